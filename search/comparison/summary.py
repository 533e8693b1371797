"""What the outcomes of a comparison say: means with standard errors, differences from a reference, ranks."""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.comparison.contrasts import Contrast
from search.comparison.contrasts import against
from search.comparison.contrasts import contrasts
from search.comparison.outcomes import SearchOutcome
from search.comparison.statistics import Difference
from search.comparison.statistics import mean_ranks

CLOSE = 0.99
"""Share of the best accuracy of a seed, by any variant, that counts as reached."""


@dataclass(frozen=True)
class Mean:
    """Of one figure over seeds."""

    mean: float
    error: float
    """Standard error; NaN of a single seed."""


@dataclass(frozen=True)
class Line:
    """One variant at one target, over all its seeds."""

    variant: str
    target: float
    seeds: int
    best: Mean
    test_accuracy: Mean
    balanced: Mean
    """Balanced test accuracy; NaN where the classes of the test data are equal."""
    synops: Mean
    violation: Mean
    met: int
    """Seeds whose result meets its budget."""
    evaluations: Mean
    reached: int
    """Seeds that came to 99 % of the best accuracy that any variant found with that seed."""
    evaluations_to_close: Mean
    """Over those seeds."""
    search_seconds: Mean
    rank: float
    """Mean rank by ``best`` over the seeds that all variants have; 1 is first, ties share."""
    difference: Difference | None
    """Of ``best`` from the reference's, seed by seed."""
    p_corrected: float | None
    """The same by Holm's rule over all variants of the target."""


@dataclass(frozen=True)
class Comparison:
    """All that a comparison's page and tables show."""

    title: str
    command: str
    reference: str | None
    """Variant that the others are held against; None where it is not among them."""
    evaluations: int
    """Of the longest search."""
    outcomes: list[SearchOutcome]
    lines: list[Line]
    failed: Mapping[str, str]
    """Searches without a result, and why."""

    @property
    def targets(self) -> list[float]:
        """Return the budgets, the largest first."""
        return sorted({line.target for line in self.lines}, reverse=True)

    @property
    def variants(self) -> list[str]:
        """Return the variants, in the order in which they were asked for."""
        return list(dict.fromkeys(line.variant for line in self.lines))

    @property
    def scope(self) -> str:
        """Return in a sentence what was searched."""
        return what_was_searched(self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"schema": 1, **dataclasses.asdict(self)}


def compare(
    title: str,
    command: str,
    outcomes: Sequence[SearchOutcome],
    *,
    reference: str,
    failed: Mapping[str, str],
) -> Comparison:
    """Summarise outcomes.

    Args:
        title: Of the page.
        command: That makes it.
        outcomes: Finished searches, in the order of their variants.
        reference: Variant that the others are held against.
        failed: Searches without a result.
    """
    lines: list[Line] = []
    for target in dict.fromkeys(each.target for each in outcomes):
        lines += _lines_of([each for each in outcomes if each.target == target], reference)
    known = reference if any(each.variant == reference for each in outcomes) else None
    evaluations = max(each.evaluations for each in outcomes)
    return Comparison(title, command, known, evaluations, list(outcomes), lines, failed)


def _lines_of(outcomes: Sequence[SearchOutcome], reference: str) -> list[Line]:
    """Summarise the outcomes of one target."""
    best = by_seed(outcomes, lambda outcome: outcome.best)
    seeds = {each.seed for each in outcomes}
    top = {seed: max(each.best for each in outcomes if each.seed == seed) for seed in seeds}
    shared = sorted(seeds.intersection(*best.values()))
    ranks = mean_ranks({variant: [mine[seed] for seed in shared] for variant, mine in best.items()})
    held = {each.variant: each for each in contrasts(best, against(reference, best))}
    return [
        _line([each for each in outcomes if each.variant == variant], top, ranks[variant], held.get(variant))
        for variant in best
    ]


def _line(mine: Sequence[SearchOutcome], top: Mapping[int, float], rank: float, held: Contrast | None) -> Line:
    close = [_first(each.curve, CLOSE * top[each.seed]) for each in mine]
    reached = [each for each in close if each is not None]
    return Line(
        variant=mine[0].variant,
        target=mine[0].target,
        seeds=len(mine),
        best=mean_of([each.best for each in mine]),
        test_accuracy=mean_of([each.test_accuracy for each in mine]),
        balanced=mean_of([each.balanced_test_accuracy for each in mine if each.balanced_test_accuracy is not None]),
        synops=mean_of([each.synops for each in mine]),
        violation=mean_of([each.violation for each in mine]),
        met=sum(each.met for each in mine),
        evaluations=mean_of([each.evaluations for each in mine]),
        reached=len(reached),
        evaluations_to_close=mean_of(reached),
        search_seconds=mean_of([each.search_seconds for each in mine]),
        rank=rank,
        difference=held.difference if held else None,
        p_corrected=held.p_corrected if held else None,
    )


def by_seed(outcomes: Iterable[SearchOutcome], figure: Callable[[SearchOutcome], float]) -> dict[str, dict[int, float]]:
    """Return a figure of each search: variant -> seed -> figure."""
    figures: dict[str, dict[int, float]] = {}
    for each in outcomes:
        figures.setdefault(each.variant, {})[each.seed] = figure(each)
    return figures


def mean_of(values: Sequence[float]) -> Mean:
    """Return mean and standard error; NaN where there are too few values for them."""
    if not values:
        return Mean(math.nan, math.nan)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Mean(float(np.mean(values)), error)


def what_was_searched(outcomes: Sequence[SearchOutcome]) -> str:
    """Return in a sentence what searches were made with; where they differ, all of it is named."""

    def named(values: Iterable[object]) -> str:
        return ", ".join(dict.fromkeys(map(str, values)))

    return (
        f"{named(each.strategy for each in outcomes)}: {named(each.network for each in outcomes)} on "
        f"{named(each.data for each in outcomes)}, T = {named(each.time_steps for each in outcomes)}, pruned to "
        f"{named(f'{100 * each.target:g}' for each in outcomes)} % of the dense network's SynOps; seeds "
        f"{named(sorted({each.seed for each in outcomes}))}; at most "
        f"{named(sorted({each.allowed for each in outcomes}))} evaluations a search."
    )


def seeds_for_a_test(tests: int) -> int:
    """Return the least number of seeds with which the first of so many sign-flip tests can come to 5 %, by Holm."""
    return math.ceil(math.log2(2.0 * tests / 0.05))


def what_seeds_can_show(seeds: int, tests: int) -> str:
    """Return a sentence on the power of the test: the least p that so many seeds can give."""
    least = min(1.0, 2.0 / 2.0**seeds)
    text = f"With {seeds} {'seed' if seeds == 1 else 'seeds'} the sign-flip test cannot give less than p = {least:.2g}"
    if tests > 1:
        text += f", or {min(1.0, tests * least):.2g} corrected for {tests} tests (Holm)"
    if tests * least > 0.05:
        return f"{text}: no difference can be significant at 5 %; {seeds_for_a_test(tests)} seeds would be needed."
    return f"{text}: differences can be significant at 5 %, if they point the same way in (almost) all seeds."


def _first(curve: Sequence[float], level: float) -> int | None:
    """Return after how many evaluations a curve reaches a level."""
    return next((count for count, value in enumerate(curve, 1) if value >= level > 0.0), None)
