"""All channels of all groups in one ranking, cut where the budget is met.

The ranking is by the criterion's scores (L1 of the filters by default), divided by their mean over the group:
raw filter norms differ between layers by their fan-in alone, not by what they matter. Source: ours.
"""

import numpy as np

from search.budget import widths_of
from search.space import SearchContext
from search.strategies._rule import RuleSampler
from search.strategies._rule import need_context


def build(*, seed: int, context: SearchContext | None = None) -> RuleSampler:
    """Return a sampler with one proposal."""
    known = need_context(context, "l1")
    relative = [known.scores[name] / known.scores[name].mean() for name in known.names]
    least = widths_of([known.low] * len(known.full), known.full)

    def cut_at(threshold: float) -> list[int]:
        return [max(floor, int((scores >= threshold).sum())) for floor, scores in zip(least, relative, strict=True)]

    thresholds = np.sort(np.concatenate(relative))  # the lowest one that meets the budget keeps the most channels
    first, last = 0, len(thresholds) - 1
    while first < last:
        middle = (first + last) // 2
        if known.cost(cut_at(float(thresholds[middle]))) <= known.target_cost:
            last = middle
        else:
            first = middle + 1
    kept = cut_at(float(thresholds[first]))
    return RuleSampler({n: k / full for n, k, full in zip(known.names, kept, known.full, strict=True)}, seed)
