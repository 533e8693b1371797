"""One ranking of the channels of all groups, cut where the budget is met. What ``l1``, ``slimming`` and ``sca`` share.

Groups keep the least share of ``space.low`` whatever their scores, and equal scores stay or go together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.space import SearchContext

Floats = NDArray[np.float64]


def cut_to_budget(context: SearchContext, scores: Sequence[Floats]) -> dict[str, float]:
    """Return the keep ratios of one global threshold: the lowest one at which static SynOps meet the budget.

    Args:
        context: The groups and the budget.
        scores: One score a channel, ``[width]``, of each group in network order, comparable between groups.
    """
    least = context.least_widths

    def cut_at(threshold: float) -> list[int]:
        return [max(floor, int((values >= threshold).sum())) for floor, values in zip(least, scores, strict=True)]

    thresholds = np.sort(np.concatenate(scores))  # the lowest one that meets the budget keeps the most channels
    first, last = 0, len(thresholds) - 1
    while first < last:
        middle = (first + last) // 2
        if context.cost(cut_at(float(thresholds[middle]))) <= context.target_cost:
            last = middle
        else:
            first = middle + 1
    kept = cut_at(float(thresholds[first]))
    return {name: k / full for name, k, full in zip(context.names, kept, context.full, strict=True)}


def mean_over_layers(context: SearchContext) -> list[Floats]:
    """Return the scores of each group, which are sums over its tied layers, as means over them.

    As sums, channels that residual additions tie would outrank all others by their number of layers.
    """
    return [context.scores[group.name] / len(group.layers) for group in context.groups]
