"""Tests and intervals against figures worked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.comparison.statistics import holm
from search.comparison.statistics import mean_front
from search.comparison.statistics import mean_ranks
from search.comparison.statistics import paired_difference
from search.comparison.statistics import sign_flip_p

NUMBERS = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=8)


def test_a_difference_by_hand() -> None:
    found = paired_difference([0.9, 0.8, 1.0], [0.5, 0.6, 0.7])
    # Differences 0.4, 0.2, 0.3: mean 0.3, standard deviation 0.1; Student's t of 2 degrees at 97.5 % is 4.302653.
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))
    assert found.p == 2 / 8  # only all signs as they are, or all turned, give a sum as large
    assert found.seeds == 3


def test_one_seed_has_no_interval() -> None:
    found = paired_difference([0.9], [0.5])
    assert found.mean == pytest.approx(0.4)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.p == 1.0


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0, 2.0, 4.0], 2 / 8),
        ([1.0, -2.0, 4.0], 6 / 8),  # |3|: reached by +++ 7, +-+ 3, -++ 5 and their mirror images; not by ++- 1
        ([0.0, 0.0], 1.0),
        ([1.0, 1.0, 1.0, 1.0, -1.0], 12 / 32),  # |3|: at most one sign differs, 2 (1 + 5) of 32
        ([0.1] * 10, 2 / 1024),
    ],
)
def test_sign_flips_by_hand(differences: list[float], expected: float) -> None:
    assert sign_flip_p(differences) == pytest.approx(expected)


@given(NUMBERS, st.floats(0.01, 100.0))
def test_sign_flips_know_neither_scale_nor_direction(differences: list[float], scale: float) -> None:
    p = sign_flip_p(differences)
    assert 2.0 / 2.0 ** len(differences) <= p <= 1.0
    assert sign_flip_p([-each for each in differences]) == pytest.approx(p)
    rounded = [round(each, 6) for each in differences]
    assert sign_flip_p([scale * each for each in rounded]) == pytest.approx(sign_flip_p(rounded))


@pytest.mark.parametrize(("mine", "other"), [([], []), ([1.0], [1.0, 2.0])])
def test_pairs_must_match(mine: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="same seeds twice"):
        paired_difference(mine, other)


def test_beyond_16_seeds_signs_are_drawn() -> None:
    """Of 20 seeds: all alike is seen once or so in 2^16 draws; 12 against 8 is |4| or more, by the binomial 0.503."""
    assert sign_flip_p([1.0] * 20) == pytest.approx(1 / 2**16, abs=2 / 2**16)
    assert sign_flip_p([1.0] * 12 + [-1.0] * 8) == pytest.approx(0.5034, abs=0.01)


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, and never less than the one before."""
    found = holm({"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02})
    assert list(found) == ["c", "a", "d", "b"]
    assert found == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.5})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_ranks_by_hand() -> None:
    found = mean_ranks({"a": [0.9, 0.5, 0.7], "b": [0.8, 0.6, 0.7], "c": [0.1, 0.7, 0.1]})
    # Seed by seed: a 1 3 1.5, b 2 2 1.5, c 3 1 3.
    assert found == pytest.approx({"a": 5.5 / 3, "b": 5.5 / 3, "c": 7 / 3})


def test_a_mean_front_by_hand() -> None:
    fronts = [[(0.4, 0.5), (0.6, 0.8)], [(0.5, 0.7), (0.55, 0.9)]]
    expected = [(0.5, 0.6), (0.55, 0.7), (0.6, 0.85)]
    assert [pytest.approx(each) for each in expected] == mean_front(fronts)
    assert mean_front([fronts[0]]) == fronts[0]
    assert mean_front([fronts[0], []]) == mean_front([]) == []
