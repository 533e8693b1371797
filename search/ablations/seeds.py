"""How many seeds a claim needs, from the spread of differences over the seeds given.

For CMA-ES and DDPG against random: mean and standard deviation of the paired differences, and the least number of seeds
with which the sign-flip test, by which comparisons decide, finds a difference with a power of 80 % as the first of both
by Holm's rule; for the difference that was seen and for half a point. Differences are taken to be normal: the test is
simulated up to 12 seeds, and a t-test of the same level stands in for it from there on. Conclusion by rule: where the
95 % interval of the difference holds 0, the seen difference is called open. A standard deviation of few seeds is itself
uncertain: its interval (chi-squared) gives one of the number of seeds.
"""

import functools
import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from lightning_snn.seeds import seed_for
from search.ablations.finding import Finding
from search.ablations.searches import SearchAblation
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.canvas import logarithmic
from search.comparison.contrasts import against
from search.comparison.outcomes import SearchOutcome
from search.comparison.statistics import Difference
from search.comparison.statistics import paired_difference
from search.comparison.summary import Comparison
from search.comparison.summary import seeds_for_a_test
from search.comparison.summary import what_was_searched
from search.comparison.tables import in_points

STRATEGIES: Final = ("random", "cmaes", "ddpg")
TESTS: Final = len(STRATEGIES) - 1
LEVEL: Final = 0.05 / TESTS
"""Of the smallest p, by Holm's rule."""
POWER: Final = 0.8
SIMULATED: Final = 12
"""Seeds up to which the test's power is simulated."""
DRAWS: Final = 2000
ASKED: Final = 0.005
"""Accuracy: half a point."""
MOST: Final = 1000
"""Seeds from which on the number is not worth knowing."""


@dataclass(frozen=True)
class Spread:
    """Of the paired differences of one strategy from random."""

    difference: Difference
    deviation: float
    """Standard deviation over seeds."""
    low: float
    """Lower end of its 95 % interval."""
    high: float


class SeedsAblation(SearchAblation):
    """The spread of differences over seeds."""

    def conclude(self, comparison: Comparison) -> Finding:
        """Look at the differences."""
        return conclude(comparison.outcomes, comparison.failed)


def conclude(outcomes: Sequence[SearchOutcome], failed: Mapping[str, str]) -> Finding:
    """Say how many seeds are enough.

    Args:
        outcomes: Of all strategies.
        failed: Searches without a result.
    """
    best = {name: {each.seed: each.best for each in outcomes if each.variant == name} for name in STRATEGIES}
    found, said = dict[str, Spread](), []
    for name in STRATEGIES[1:]:
        shared = sorted(set(best[name]) & set(best["random"]))
        if len(shared) < 2:
            said.append(f"{name}: nothing can be said of {len(shared)} {'seed' if len(shared) == 1 else 'seeds'}.")
            continue
        found[name] = spread_of([best[name][s] for s in shared], [best["random"][s] for s in shared])
        said.append(_said(name, found[name]))
    return Finding(
        conclusion=" ".join(said),
        head=[
            "strategy",
            "seeds",
            "difference from random [95 %], points",
            "standard deviation [95 %], points",
            "seeds for that difference [95 %]",
            f"seeds for {100 * ASKED:g} points [95 %]",
        ],
        rows=[
            [
                name,
                str(each.difference.seeds),
                in_points(each.difference),
                f"{100 * each.deviation:.2f} [{100 * each.low:.2f}, {100 * each.high:.2f}]",
                _seeds(each.difference.mean, each),
                _seeds(ASKED, each),
            ]
            for name, each in found.items()
        ],
        legend=(
            "Differences in best validation accuracy, seed by seed. Seeds: the least with which the sign-flip test "
            f"finds the difference with a power of {POWER:.0%}, as the first of {TESTS} by Holm's rule, if differences "
            "are normal; in brackets with both ends of the standard deviation's interval. Picture: "
            "half the width of the 95 % interval that so many seeds give; bands: with both ends of the standard "
            "deviation's own interval."
        ),
        figure=_figure(found),
        values={
            name: {"difference": vars(each.difference), "deviation": each.deviation} for name, each in found.items()
        },
        about=what_was_searched(outcomes),
        failed=failed,
    )


def spread_of(mine: Sequence[float], other: Sequence[float]) -> Spread:
    """Return mean and standard deviation of paired differences, with their intervals."""
    differences, freedom = np.array(mine) - np.array(other), len(mine) - 1
    deviation = float(differences.std(ddof=1))
    low, high = (deviation * math.sqrt(freedom / float(stats.chi2.ppf(q, freedom))) for q in (0.975, 0.025))
    return Spread(paired_difference(mine, other), deviation, low, high)


def seeds_needed(difference: float, deviation: float) -> int | None:
    """Return the least number of seeds that finds a difference with the power asked for; None: more than a thousand."""
    least = seeds_for_a_test(TESTS)
    if deviation == 0.0:
        return least if difference != 0.0 else None
    effect = abs(difference) / deviation
    return next((count for count in range(least, MOST + 1) if power(effect, count) >= POWER), None)


@functools.cache
def power(effect: float, count: int) -> float:
    """Return how often the sign-flip test of normal differences comes to :data:`LEVEL`.

    Args:
        effect: Mean difference over standard deviation.
        count: Seeds.
    """
    if count > SIMULATED:
        shift, edge = effect * math.sqrt(count), float(stats.t.ppf(1.0 - LEVEL / 2.0, count - 1))
        return float(stats.nct.sf(edge, count - 1, shift) + stats.nct.cdf(-edge, count - 1, shift))
    random = np.random.default_rng(seed_for(0, "power", count))
    differences_DS = effect + random.standard_normal((DRAWS, count))
    signs_FS = np.array(list(itertools.product((1.0,), *[(1.0, -1.0)] * (count - 1))))  # the others are their mirrors
    sums_DF = np.abs(differences_DS @ signs_FS.T)
    p_D = (sums_DF >= sums_DF[:, :1] - 1e-12).mean(axis=1)
    return float((p_D <= LEVEL).mean())


def _said(name: str, found: Spread) -> str:
    is_open = found.difference.low <= 0.0 <= found.difference.high
    return (
        f"{name} against random: {in_points(found.difference)} points over {found.difference.seeds} seeds"
        f"{', so that its sign is open' if is_open else ''}; to show a difference of that size takes "
        f"{_seeds(found.difference.mean, found)} seeds, one of {100 * ASKED:g} points {_seeds(ASKED, found)}."
    )


def _seeds(difference: float, found: Spread) -> str:
    """Return how many seeds a difference needs, and how many with both ends of the deviation's interval."""
    count, low, high = (_count(seeds_needed(difference, each)) for each in (found.deviation, found.low, found.high))
    return f"{count} [{low}, {high}]"


def _count(seeds: int | None) -> str:
    return f"more than {MOST}" if seeds is None else str(seeds)


def _figure(found: Mapping[str, Spread]) -> go.Figure:
    figure = canvas("seeds", "half the width of the 95 % interval, points")
    counts = list(range(2, 31))
    widths_N = np.array([float(stats.t.ppf(0.975, count - 1)) / math.sqrt(count) for count in counts])
    for (name, each), colour in zip(found.items(), COLOURS, strict=False):
        low, middle, high = (100.0 * widths_N * value for value in (each.low, each.deviation, each.high))
        band = {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "legendgroup": name}
        figure.add_scatter(
            x=[*counts, *counts[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=colour, opacity=0.12, **band
        )
        figure.add_scatter(
            x=counts, y=middle, mode="lines", name=f"{name} - random", line={"color": colour}, legendgroup=name
        )
    figure.update_yaxes(**logarithmic())
    return figure


_VARIANTS: Final = {name: (f"strategy={name}",) for name in STRATEGIES}
SEEDS: Final = SeedsAblation(variants=_VARIANTS, references=against("random", _VARIANTS))
