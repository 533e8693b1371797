"""The agent's parts, and when it is stable: after how many evaluations its best network hardly changes any more.

Conclusion by rule: ``search/comparison/verdict.py`` for the parts; a search is settled after the first evaluation whose
best network so far is within half a point of the last one.
"""

from typing import Final

from search.ablations.searches import SearchAblation
from search.comparison.summary import Comparison
from search.comparison.summary import mean_of
from search.comparison.tables import plain

CLOSE: Final = 0.005
"""Accuracy within which a search's best network so far counts as its last one."""


class AgentAblation(SearchAblation):
    """Variants of DDPG."""

    def further(self, comparison: Comparison) -> list[str]:
        """Say after how many evaluations each length of search was settled."""
        said = []
        for variant in ("as it is", "200 episodes", "400 episodes"):
            curves = [each.curve for each in comparison.outcomes if each.variant == variant and each.best > 0.0]
            if curves:
                settled = mean_of([settled_after(curve) for curve in curves])
                made = mean_of([len(curve) for curve in curves])
                said.append(f"{plain(settled, 0)} of {made.mean:.0f}")
        within = f"On average the best network is within {100 * CLOSE:g} points of the last one after"
        return [f"{within} {'; '.join(said)} evaluations."] if said else []


def settled_after(curve: list[float]) -> int:
    """Return after how many evaluations the best so far is within half a point of the last."""
    return next(count for count, value in enumerate(curve, 1) if value >= curve[-1] - CLOSE)
