"""One keep ratio for all groups, as large as the budget allows: the least that a search has to beat."""

from search.budget import project
from search.space import SearchContext
from search.strategies._rule import RuleSampler
from search.strategies._rule import need_context


def build(*, seed: int, context: SearchContext | None = None) -> RuleSampler:
    """Return a sampler with one proposal."""
    known = need_context(context, "uniform")
    even = [0.5] * len(known.full)  # projection bends all alike, so where they start does not matter
    widths = project(even, known.full, low=known.low, cost=known.cost, target=known.target_cost)
    ratios = {name: n / full for name, n, full in zip(known.names, widths, known.full, strict=True)}
    return RuleSampler(ratios, seed)
