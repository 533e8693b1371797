"""The budget: how many SynOps are allowed, what counts as within, and how a proposal is moved onto it.

Projection (ours): keep ratios x become ``max(low, x^p)``; cost falls in p, so p is found by bisection; single
channels are then added while they fit. The order of the ratios, what a strategy means to say, survives.
"""

import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

from search.errors import SearchError

P_LOW, P_HIGH = 1e-6, 1e8
"""Range of the exponent: at its ends all ratios are whole, or at the least keep ratio, to far below a channel."""
ALMOST_ONE = 1.0 - 1e-6
"""Ratios are clipped to it: 1^p = 1 would never shrink."""


@dataclass(frozen=True)
class Budget:
    """At most ``target`` SynOps per sample after fine-tuning."""

    target: float
    baseline: float
    """SynOps per sample of the dense network, by the same meter on the same data."""

    @classmethod
    def of(cls, baseline: float, *, fraction: float, synops: float | None) -> "Budget":
        """Resolve the setting: ``synops`` where given, else ``fraction`` of the baseline.

        Raises:
            SearchError: If the baseline does not spike, or the target exceeds it.
        """
        if not baseline > 0.0:
            raise SearchError(
                "The dense network causes no SynOps at all, so there is nothing to save: "
                "train it longer, or lower network.options.threshold."
            )
        target = fraction * baseline if synops is None else synops
        if target > baseline:
            raise SearchError(
                f"budget.synops is {target:g}, but the dense network needs only {baseline:g}. Choose less."
            )
        return cls(target, baseline)

    @property
    def fraction(self) -> float:
        """Return the target as a share of the baseline."""
        return self.target / self.baseline

    def constraint(self, upper: float) -> float:
        """Return Optuna's constraint, ``upper / target - 1``: feasible at or below 0."""
        return upper / self.target - 1.0

    def met_by(self, synops: float, standard_error: float = 0.0) -> bool:
        """Tell whether measured SynOps, with two standard errors for the sample's accident, lie within."""
        return synops + 2.0 * standard_error <= self.target


def widths_of(ratios: Sequence[float], full: Sequence[int]) -> list[int]:
    """Return ``max(1, round(ratio * channels))`` for each group."""
    return [max(1, min(channels, round(ratio * channels))) for ratio, channels in zip(ratios, full, strict=True)]


def project(
    ratios: Sequence[float],
    full: Sequence[int],
    *,
    low: float,
    cost: Callable[[Sequence[int]], float],
    target: float,
) -> list[int]:
    """Bend keep ratios onto a cost and return the widths, at most ``target``.

    After rounding, each group may get one more channel, where it fits; so a little of the budget can stay unused.

    Args:
        ratios: Proposed keep ratios by group, in (0, 1].
        full: Channels by group of the dense network.
        low: Least keep ratio.
        cost: Cost of widths; does not fall when a width grows.
        target: Greatest cost.

    Raises:
        SearchError: If even the least network costs more.
    """
    least = widths_of([low] * len(full), full)
    if cost(least) > target:
        raise SearchError(
            f"A budget of {target:g} SynOps is below what the smallest network needs ({cost(least):g} at keep ratio "
            f"{low:g} everywhere). Raise budget.target or lower space.low."
        )
    clipped = [min(max(ratio, 1e-9), ALMOST_ONE) for ratio in ratios]

    def bent(p: float) -> list[float]:
        return [max(low, ratio**p) for ratio in clipped]

    below, above = math.log(P_HIGH), math.log(P_LOW)
    for _ in range(60):
        middle = 0.5 * (below + above)
        if cost(widths_of(bent(math.exp(middle)), full)) <= target:
            below = middle
        else:
            above = middle
    wanted = bent(math.exp(below))
    return _fill(widths_of(wanted, full), wanted, full, cost, target)


def _fill(
    widths: list[int],
    wanted: Sequence[float],
    full: Sequence[int],
    cost: Callable[[Sequence[int]], float],
    target: float,
) -> list[int]:
    """Add single channels where rounding took most, while they fit."""
    for group in sorted(range(len(full)), key=lambda g: widths[g] - wanted[g] * full[g]):
        larger = [*widths[:group], widths[group] + 1, *widths[group + 1 :]]
        if widths[group] < full[group] and cost(larger) <= target:
            widths = larger
    return widths
