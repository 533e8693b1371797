import math

import numpy as np
import pytest

from search.errors import SearchError
from search.strategies._ddpg_noise import NoiseSchedule
from search.strategies._ddpg_noise import decay_to_floor
from search.strategies._ddpg_noise import truncated_normal


def moments(mean: float, sigma: float) -> tuple[float, float]:
    """Mean and variance of the normal truncated to [0, 1], by the textbook's formulas."""

    def density(z: float) -> float:
        return math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)

    def probability(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    low, high = -mean / sigma, (1.0 - mean) / sigma
    inside = probability(high) - probability(low)
    shift = (density(low) - density(high)) / inside
    shrink = (low * density(low) - high * density(high)) / inside
    return mean + sigma * shift, sigma**2 * (1.0 + shrink - shift**2)


def test_published_schedule_falls_by_a_twentieth_each_episode() -> None:
    schedule = NoiseSchedule(warmup=100, start=0.5, floor=0.0, decay=0.95)
    assert [schedule.sigma(e) for e in (100, 101, 102)] == pytest.approx([0.5, 0.475, 0.45125])
    assert schedule.sigma(400) == pytest.approx(0.5 * 0.95**300)  # no floor


def test_our_schedule_meets_its_floor_at_ninety_percent() -> None:
    decay = decay_to_floor(0.5, 0.02, warmup=10, evaluations=100)  # 80 episodes from 10 to 90
    schedule = NoiseSchedule(warmup=10, start=0.5, floor=0.02, decay=decay)
    assert schedule.sigma(10) == 0.5
    assert schedule.sigma(50) == pytest.approx(0.1)  # half way: the geometric mean of 0.5 and 0.02
    assert schedule.sigma(89) > 0.0208
    assert schedule.sigma(90) == pytest.approx(0.02)
    assert schedule.sigma(99) == 0.02


def test_schedule_of_a_search_that_is_all_warmup_is_at_its_floor_at_once() -> None:
    decay = decay_to_floor(0.5, 0.02, warmup=10, evaluations=8)
    assert NoiseSchedule(warmup=10, start=0.5, floor=0.02, decay=decay).sigma(11) == pytest.approx(0.02)


@pytest.mark.parametrize(("mean", "sigma"), [(0.5, 0.5), (0.3, 0.5), (0.9, 0.1), (0.0, 0.2), (1.0, 0.02), (0.2, 5.0)])
def test_truncated_normal_has_the_textbook_moments(mean: float, sigma: float) -> None:
    draws = truncated_normal(np.full(4000, mean), sigma, (np.arange(4000) + 0.5) / 4000)
    expected_mean, expected_variance = moments(mean, sigma)
    assert draws.mean() == pytest.approx(expected_mean, abs=1e-4)
    assert draws.var() == pytest.approx(expected_variance, rel=5e-3)


def test_moments_of_half_a_normal() -> None:
    assert moments(0.0, 0.1)[0] == pytest.approx(0.1 * math.sqrt(2.0 / math.pi))  # the oracle itself, by hand


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.5, 1.0 - 1e-9, 1.0])
@pytest.mark.parametrize("sigma", [1e-300, 1e-8, 0.02, 0.5, 1e6])
@pytest.mark.parametrize("quantile", [0.0, 1e-16, 0.5, 1.0 - 2.0**-53])
def test_truncated_normal_stays_in_bounds(mean: float, sigma: float, quantile: float) -> None:
    assert 0.0 <= truncated_normal(np.array([mean]), sigma, np.array([quantile])).item() <= 1.0


def test_truncated_normal_rises_with_its_quantile() -> None:
    draws = truncated_normal(np.full(50, 0.7), 0.3, np.linspace(0.0, 0.999, 50)).tolist()
    assert draws == sorted(draws)
    assert draws[0] == 0.0


def test_no_noise_returns_the_mean() -> None:
    assert truncated_normal(np.array([0.37]), 0.0, np.array([0.9])).tolist() == [0.37]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"warmup": -1}, "warmup counts episodes, found -1"),
        ({"start": 0.01}, "found 0.01 and 0.02"),
        ({"floor": -0.1}, "found 0.5 and -0.1"),
        ({"start": 0.0, "floor": 0.0}, "found 0.0 and 0.0"),
        ({"decay": 0.0}, "noise_decay must lie in"),
        ({"decay": 1.1}, "found 1.1"),
    ],
)
def test_impossible_schedule_is_refused(changed: dict[str, float], message: str) -> None:
    settings = {"warmup": 10, "start": 0.5, "floor": 0.02, "decay": 0.9, **changed}
    with pytest.raises(SearchError, match=message):
        NoiseSchedule(**settings)  # type: ignore[arg-type]  # values of several types


def test_floor_of_zero_needs_a_decay() -> None:
    with pytest.raises(SearchError, match="Use a positive floor, or give noise_decay"):
        decay_to_floor(0.5, 0.0, warmup=10, evaluations=100)
