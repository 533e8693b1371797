"""How many evaluations are enough: strategies at 10 to 400 of them.

Conclusion by rule: enough for a strategy is the least number from which the gain of the longest search is less than
half a point, by the upper end of the 95 % interval of the paired difference over seeds; lengths that the longest search
did not come to, as it ended by itself, are left out. Each strategy is held against
random search of the same length.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import Self

import plotly.graph_objects as go

from search.ablations.charts import line_with_whiskers
from search.ablations.searches import BEST
from search.ablations.searches import SearchAblation
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.contrasts import Contrast
from search.comparison.contrasts import contrasts
from search.comparison.summary import Comparison
from search.comparison.summary import by_seed
from search.comparison.tables import in_points
from search.comparison.tables import plain

GAIN: Final = 0.005
"""Accuracy."""


@dataclass(frozen=True, kw_only=True)
class EvaluationsAblation(SearchAblation):
    """Strategies x lengths."""

    strategies: Sequence[str]
    counts: Sequence[int]

    @classmethod
    def of(cls, *, strategies: Sequence[str], counts: Sequence[int]) -> Self:
        """Return the ablation of these strategies; the first is what the others are held against."""
        return cls(
            variants={
                f"{strategy} {count}": (f"strategy={strategy}", f"strategy.evaluations={count}")
                for strategy in strategies
                for count in counts
            },
            references={
                f"{strategy} {count}": f"{strategies[0]} {count}" for strategy in strategies[1:] for count in counts
            },
            strategies=strategies,
            counts=counts,
            note="Names say how many evaluations are allowed. DDPG's warm-up takes ten of them at least.",
        )

    def further(self, comparison: Comparison) -> list[str]:
        """Say for each strategy how many are enough."""
        said, best = [], by_seed(comparison.outcomes, BEST.of)
        for strategy in self.strategies:
            longest = f"{strategy} {self.counts[-1]}"
            made = next((line.evaluations for line in comparison.lines if line.variant == longest), None)
            if made is None:
                continue
            shorter = [count for count in self.counts if count < made.mean]  # what is longer is the same search
            gains = {count: contrasts(best, {longest: f"{strategy} {count}"}) for count in shorter}
            ends = made.mean < self.counts[-1]
            end = f"the {plain(made, 0)} after which it ends by itself" if ends else str(self.counts[-1])
            enough = None
            for count, found in reversed(gains.items()):
                if not found or not found[0].difference.high < GAIN:
                    break
                enough = count
            if enough is None:
                said.append(f"{strategy}: no fewer than {end} are shown to be enough")
            else:
                gain = in_points(gains[enough][0].difference)
                said.append(f"{strategy}: {enough} (the gain of {end} is {gain} points)")
        return [f"Enough, with less than {100 * GAIN:g} points to gain: {'; '.join(said)}."]

    def picture(self, comparison: Comparison, held: Mapping[str, Sequence[Contrast]]) -> go.Figure:
        """Draw the best accuracy against the number of evaluations."""
        figure = canvas("evaluations", "best feasible validation accuracy, %")
        best = {line.variant: line.best for line in comparison.lines}
        for strategy, colour in zip(self.strategies, COLOURS, strict=False):
            there = [count for count in self.counts if f"{strategy} {count}" in best]
            values = [best[f"{strategy} {count}"] for count in there]
            line_with_whiskers(figure, there, values, strategy, colour)
        figure.update_xaxes(type="log", tickvals=list(self.counts))
        return figure
