"""All channels of all groups in one ranking, cut where the budget is met.

The ranking is by the criterion's scores (L1 of the filters by default), divided by their mean over the group:
raw filter norms differ between layers by their fan-in alone, not by what they matter. Source: ours.
"""

from search.space import SearchContext
from search.strategies._ranking import cut_to_budget
from search.strategies._rule import RuleSampler
from search.strategies._rule import need_context


def build(*, seed: int, context: SearchContext | None = None) -> RuleSampler:
    """Return a sampler with one proposal."""
    known = need_context(context, "l1")
    relative = [known.scores[name] / (known.scores[name].mean() or 1.0) for name in known.names]
    return RuleSampler(cut_to_budget(known, relative), seed)
