"""Where the line's error is said to level off."""

import numpy as np

from search.ablations import estimator_samples


def test_samples_level_off_at_the_first_count_within_5_percent() -> None:
    errors = [0.05, 0.04, 0.03, 0.0209, 0.0205, 0.02, 0.02, 0.02, 0.02]
    found_SNK = np.array([[[error, 2 * error, 0.95] for error in errors]] * 3)
    text = estimator_samples.conclude(found_SNK, 0.95).conclusion
    assert text.startswith("The error of the line levels off at 8 samples: 2.09 ± 0.00 %")


def test_samples_level_off_where_the_error_stays_low() -> None:
    errors = [0.05, 0.0201, 0.03, 0.0209, 0.0205, 0.02, 0.02, 0.02, 0.02]
    text = estimator_samples.conclude(np.array([[[error, 2 * error, 0.95] for error in errors]] * 3), 0.95).conclusion
    assert text.startswith("The error of the line levels off at 8 samples")
    flat = np.array([[[0.02, 0.04, 0.95]] * len(errors)] * 3)
    assert estimator_samples.conclude(flat, 0.95).conclusion.startswith("The error of the line levels off at 3 samples")


def test_errors_by_count_are_0_for_an_exact_line() -> None:
    pre = np.linspace(0.4, 0.6, 64)
    found = estimator_samples.errors_by_count(pre, 0.9 * pre + 0.05, 0.95, seed=0)
    assert found.shape == (len(estimator_samples.COUNTS), 3)
    assert np.abs(found[:, :2]).max() < 1e-9


def test_more_noise_is_more_error_and_more_samples_are_less_margin() -> None:
    pre = np.linspace(0.4, 0.6, 64)
    noise = np.random.default_rng(0).normal(0.0, 0.01, 64)
    found = estimator_samples.errors_by_count(pre, 0.9 * pre + noise, 0.95, seed=0)
    assert found[0, 0] > found[-1, 0]
    assert found[1, 1] > found[-1, 1]
    assert 0.85 < found[-1, 2] <= 1.0
