import numpy as np
import pytest

from datamodules._split import stratified_choice

LABELS_N = np.array([0, 0, 0, 0, 0, 7, 7, 7, 9, 9])  # classes of 5, 3 and 2


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (5, [3, 1, 1]),  # shares 2.5, 1.5, 1.0: the tie goes to the smaller label
        (3, [1, 1, 1]),  # shares 1.5, 0.9, 0.6: the remainders 0.9 and 0.6 come first
        (1, [1, 0, 0]),  # shares 0.5, 0.3, 0.2
        (10, [5, 3, 2]),
    ],
)
def test_shares_are_those_of_the_largest_remainders(count: int, expected: list[int]) -> None:
    chosen = stratified_choice(LABELS_N, count, np.random.default_rng(0))
    assert [(LABELS_N[chosen] == label).sum() for label in (0, 7, 9)] == expected


def test_choice_is_without_repetition_and_ascending() -> None:
    labels_N = np.random.default_rng(1).integers(0, 5, 200)
    chosen = stratified_choice(labels_N, 83, np.random.default_rng(0))
    assert len(chosen) == 83
    assert (np.diff(chosen) > 0).all()


def test_every_sample_of_a_class_is_equally_likely() -> None:
    labels_N = np.tile([3, 1], 6)  # six of each, interleaved
    times_N = np.zeros(12)
    for seed in range(3000):
        times_N[stratified_choice(labels_N, 4, np.random.default_rng(seed))] += 1
    # two of six: 1000 expected, standard deviation sqrt(3000 * 1/3 * 2/3) = 26
    assert np.abs(times_N - 1000).max() < 5 * 26
