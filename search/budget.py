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
    setting: str = "budget.target"
    """What the user says the target by: ``budget.target``, a share, or ``budget.synops``."""

    @classmethod
    def of(cls, baseline: float, *, fraction: float, synops: float | None) -> "Budget":
        """Resolve the setting: ``synops`` where given, else ``fraction`` of the baseline.

        Raises:
            SearchError: If the baseline does not spike, or the target exceeds it.
        """
        if not baseline > 0.0:
            raise SearchError(
                "The dense network causes no SynOps at all that count in the budget, so there is nothing to save. "
                "Train it longer, lower the threshold of its neurons (network.options.threshold of a built-in "
                "network), or let more layers count (synops.first_layer, synops.analog_hidden)."
            )
        if synops is None:
            return cls(fraction * baseline, baseline)
        if synops > baseline:
            raise SearchError(
                f"budget.synops is {synops:,.1f}, but the dense network needs only {baseline:,.1f}. Choose less."
            )
        return cls(synops, baseline, "budget.synops")

    @property
    def fraction(self) -> float:
        """Return the target as a share of the baseline."""
        return self.target / self.baseline

    def raised_to(self, synops: float) -> str:
        """Return the setting at which so many SynOps are allowed, such as ``budget.target to 0.35``, rounded up."""
        if self.setting == "budget.target":
            return f"{self.setting} to {math.ceil(1000.0 * synops / self.baseline) / 1000.0:g}"
        return f"{self.setting} to {math.ceil(synops)}"

    def constraint(self, upper: float) -> float:
        """Return Optuna's constraint, ``upper / target - 1``: feasible at or below 0."""
        return upper / self.target - 1.0

    def met_by(self, synops: float, standard_error: float = 0.0) -> bool:
        """Tell whether measured SynOps, with two standard errors for the sample's accident, lie within."""
        return synops + 2.0 * standard_error <= self.target


def check_reachable(budget: Budget, full: Sequence[int], *, low: float, cost: Callable[[Sequence[int]], float]) -> None:
    """Refuse a budget that no network of the search space meets.

    Args:
        budget: SynOps that are allowed.
        full: Channels by group of the dense network.
        low: Least keep ratio.
        cost: Cost of widths, in SynOps.

    Raises:
        SearchError: If there is none.
    """
    least = widths_of([low] * len(full), full)
    needed, smallest = cost(least), cost([1] * len(full))
    if needed <= budget.target:
        return
    within_low = smallest <= budget.target
    if set(full) == {1}:
        advice = "Each of its layers has one channel: give a network with wider layers."
    elif least == list(full):
        more = "" if within_low else f", and raise {budget.raised_to(smallest)} or more"
        advice = f"No layer may lose a channel: lower space.low{more}."
    else:
        advice = f"Raise {budget.raised_to(needed)} or more{', or lower space.low' if within_low else ''}."
    raise SearchError(
        f"A budget of {budget.target:,.1f} SynOps is below what the smallest network needs ({needed:,.1f} at keep "
        f"ratio {low:g} everywhere). {advice}"
    )


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
            f"A cost of {target:g} is below that of the smallest network, {cost(least):g} at keep ratio {low:g} "
            "everywhere. Allow more, or a lower keep ratio."
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
