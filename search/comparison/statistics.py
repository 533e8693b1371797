"""What can be said of differences between strategies from a few seeds: intervals, a sign-flip test, its correction.

Seeds are paired: strategies that share a seed share the dense network, so that differences are taken seed by seed.
"""

import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MOST_FLIPS = 16
"""Seeds up to which all signs are gone through, 2^16 of them; as many are drawn where there are more seeds."""


@dataclass(frozen=True)
class Difference:
    """A paired difference of one strategy from another over seeds."""

    mean: float
    low: float
    """Lower end of the 95 % interval of the mean (Student's t); NaN for a single seed."""
    high: float
    """Upper end; equal to the lower one where all seeds differ alike, so that they say nothing of the spread."""
    p: float
    """Of the sign-flip test, two-sided, before any correction."""
    seeds: int

    @property
    def has_interval(self) -> bool:
        """Tell whether there are several seeds, and they do not all differ alike."""
        return self.low < self.high


def paired_difference(mine: Sequence[float], other: Sequence[float]) -> Difference:
    """Compare two strategies seed by seed.

    Args:
        mine: A figure of each seed.
        other: The same of the other strategy, in the same order.

    Raises:
        ValueError: If there is no seed, their numbers differ, or a figure is no number.
    """
    if len(mine) != len(other) or not mine:
        raise ValueError(f"A paired difference needs the same seeds twice, found {len(mine)} and {len(other)}.")
    if not np.isfinite([*mine, *other]).all():
        raise ValueError(f"A paired difference needs numbers, found {[*mine, *other]}.")
    differences = (np.asarray(mine, dtype=np.float64) - np.asarray(other, dtype=np.float64)).tolist()
    return Difference(*mean_interval(differences), sign_flip_p(differences), len(differences))


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return a mean and the ends of its 95 % interval (Student's t); the ends of a single value are NaN."""
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return mean, math.nan, math.nan
    if np.ptp(values) < 1e-12:  # differences of equal counts differ by rounding
        return mean, mean, mean
    half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1)) / math.sqrt(count)
    return mean, mean - half, mean + half


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the sign-flip (Fisher's randomisation) test of mean zero.

    All 2^n ways to flip the signs are alike if strategies differ by chance alone; p is the share of them whose absolute
    sum is at least the one that was seen. With n seeds it cannot be less than 2 / 2^n. The test is exact up to 16
    seeds; for more of them 2^16 of the ways are drawn, the one that was seen among them.
    """
    count = len(differences)
    if count <= MOST_FLIPS:
        signs_FS = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    else:
        signs_FS = np.random.default_rng(0).choice((1.0, -1.0), (2**MOST_FLIPS, count))
        signs_FS[0] = 1.0
    sums_F = np.abs(signs_FS @ np.asarray(differences, dtype=np.float64))
    return float((sums_F >= sums_F[0] - 1e-12 * max(1.0, sums_F[0])).mean())  # rounding must not lose the signs seen


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for their number by Holm's step-down rule (1979), by the same names."""
    corrected, so_far = {}, 0.0
    for index, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        so_far = max(so_far, min(1.0, (len(p_values) - index) * p))
        corrected[name] = so_far
    return {name: corrected[name] for name in p_values}


def mean_ranks(figures: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the mean rank of each strategy over seeds, 1 for the highest figure; equal figures share their ranks.

    NaN where there is no seed that all have.
    """
    if not all(figures.values()):
        return dict.fromkeys(figures, math.nan)
    ranks_KS = stats.rankdata([[-each for each in values] for values in figures.values()], axis=0)
    return dict(zip(figures, ranks_KS.mean(axis=1).tolist(), strict=True))


def mean_front(fronts: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return (SynOps, mean over searches of the best accuracy at no more SynOps), from where all have one.

    Args:
        fronts: Of each search the (SynOps, accuracy) of its networks that no other one beats, both rising.
    """
    if not fronts or not all(fronts):
        return []
    start = max(front[0][0] for front in fronts)
    places = sorted({start, *(synops for front in fronts for synops, _ in front if synops > start)})
    return [
        (place, float(np.mean([max(accuracy for synops, accuracy in front if synops <= place) for front in fronts])))
        for place in places
    ]
