"""How many seeds are said to be needed, against tables and the test itself."""

import math

import numpy as np
import pytest
from scipy import stats

from search.ablations import seeds
from search.comparison.statistics import sign_flip_p
from tests.search.comparison.outcomes import outcome


@pytest.mark.parametrize(
    ("difference", "deviation", "count"),
    [
        (0.5, 1.0, 41),  # as tables of the t-test have it at 2.5 %, two-sided: the first of two by Holm's rule
        (-0.5, 1.0, 41),
        (0.2, 1.0, 241),
        (0.01, 1.0, None),
        (1.0, 0.0, 7),  # with fewer the sign-flip test cannot come to 5 % for two differences
        (9.0, 1.0, 7),
        (0.0, 0.0, None),
    ],
)
def test_seeds_needed_are_those_of_tables(difference: float, deviation: float, count: int | None) -> None:
    assert seeds.seeds_needed(difference, deviation) == count


@pytest.mark.parametrize(("effect", "count"), [(1.5, 7), (2.0, 8), (1.0, 10)])
def test_power_is_how_often_the_test_shows_it(effect: float, count: int) -> None:
    """By the test itself, on other draws."""
    drawn = np.random.default_rng(1).normal(effect, 1.0, (400, count))
    shown = np.mean([sign_flip_p(each.tolist()) <= 0.025 for each in drawn])
    assert seeds.power(effect, count) == pytest.approx(shown, abs=0.08)  # three standard errors of both


def test_seven_seeds_show_a_difference_only_where_all_point_the_same_way() -> None:
    """P(all seven positive) = Phi(1.5)^7, as any other sign gives p of 4 / 128 or more."""
    assert seeds.power(1.5, 7) == pytest.approx(stats.norm.cdf(1.5) ** 7, abs=0.035)


def test_an_interval_that_holds_0_leaves_the_sign_open() -> None:
    outcomes = [outcome("random", seed, 0.5) for seed in range(5)]
    outcomes += [outcome("cmaes", seed, 0.6 + 0.01 * (seed % 2)) for seed in range(5)]
    outcomes += [outcome("ddpg", seed, 0.5 + 0.01 * (-1) ** seed) for seed in range(4)]
    finding = seeds.conclude(outcomes, {"ddpg, 50%, seed 4": "it was silent."})
    cmaes, _, ddpg = finding.conclusion.partition(" ddpg against")
    assert "cmaes against random: +10.40 [" in cmaes
    assert (
        "over 5 seeds; to show a difference of that size takes 7 [7, 7] seeds, one of 0.5 points 15 [8, 97]." in cmaes
    )
    assert "over 4 seeds, so that its sign is open; to show a difference of that size takes more than 1000" in ddpg
    assert "ddpg, 50%, seed 4" in finding.verdict


def test_strategies_without_seeds_are_said_to_say_nothing() -> None:
    finding = seeds.conclude([outcome("random", 0, 0.5), outcome("cmaes", 0, 0.6)], {})
    assert finding.conclusion == "cmaes: nothing can be said of 1 seed. ddpg: nothing can be said of 0 seeds."


def test_the_spread_has_an_interval() -> None:
    """Of two differences with deviation s: sqrt(1 / 5.0239) s to sqrt(1 / 0.00098207) s, by the chi-squared table."""
    found = seeds.spread_of([0.1, 0.3], [0.0, 0.0])
    assert found.deviation == pytest.approx(math.sqrt(0.02))
    assert found.low == pytest.approx(math.sqrt(0.02 / 5.0239), rel=1e-4)
    assert found.high == pytest.approx(math.sqrt(0.02 / 0.00098207), rel=1e-4)
