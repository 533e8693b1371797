"""The line against values worked by hand, Student factors, scipy, a matrix formula and simulation."""

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from conf.schema import EstimatorConfig
from search.errors import SearchError
from search.estimator import ESTIMATORS
from search.estimator import Floats
from search.estimator import IdentityEstimator
from search.estimator import LinearEstimator
from search.estimator import RatioEstimator
from search.estimator import build_estimator
from search.estimator import fit_estimator
from search.estimator import leave_one_out_errors
from search.estimator import pre_for_upper

T_95_2 = 2.9199855804  # one-sided 95 % quantile of Student's t with two degrees of freedom, from a table
T_95_1 = 6.3137515148

Q_AT_MEAN = {5: 2.58, 10: 1.95, 20: 1.78, 30: 1.73, 50: 1.69, 100: 1.67, 500: 1.65}
Q_AT_ONE_SD = {5: 2.83, 10: 2.05, 20: 1.82, 30: 1.76, 50: 1.71, 100: 1.68, 500: 1.65}
Q_AT_TWO_SD = {5: 3.49, 10: 2.31, 20: 1.95, 30: 1.84, 50: 1.76, 100: 1.70, 500: 1.66}
TWO_SIDED_AT_ONE_SD = {5: 3.83, 10: 2.54, 20: 2.21, 30: 2.12, 50: 2.05, 100: 2.00, 500: 1.97}
TABLE = [
    (confidence, deviations, n, q)
    for confidence, deviations, row in (
        (0.95, 0.0, Q_AT_MEAN),
        (0.95, 1.0, Q_AT_ONE_SD),
        (0.95, 2.0, Q_AT_TWO_SD),
        (0.975, 1.0, TWO_SIDED_AT_ONE_SD),
    )
    for n, q in row.items()
]

pairs = st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1000)), min_size=4, max_size=12)


def standard_samples(n: int) -> tuple[Floats, Floats]:
    """Return x of mean 0 and sample sd 1, and y = 3 x + 7 with residuals of which RSS / (n - 2) = 1."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    x = (x - x.mean()) / x.std(ddof=1)
    noise = rng.normal(size=n)
    noise -= noise.mean() + x * (noise @ x) / (x @ x)
    return x, 3.0 * x + 7.0 + noise * np.sqrt((n - 2) / (noise @ noise))


def test_line_and_sigma_are_those_worked_by_hand() -> None:
    # means 2.5 and 4, Sxx = 5, Sxy = 7; residuals 0.1, -0.3, 0.3, -0.1
    fitted = LinearEstimator().fit([1, 2, 3, 4], [2, 3, 5, 6])
    assert fitted.slope == pytest.approx(1.4)
    assert fitted.intercept == pytest.approx(0.5)
    assert fitted.sigma == pytest.approx(np.sqrt(0.2 / 2))


def test_bounds_are_those_worked_by_hand() -> None:
    # at the mean the variance is 0.1 (1 + 1/4) = 0.125, at 5 it is 0.1 (1 + 1/4 + 2.5^2 / 5) = 0.25
    predicted = LinearEstimator().fit([1, 2, 3, 4], [2, 3, 5, 6]).predict([2.5, 5.0])
    mean, half = np.array([4.0, 7.5]), T_95_2 * np.sqrt([0.125, 0.25])
    assert_allclose(predicted.mean, mean)
    assert_allclose(predicted.upper, mean + half)
    assert_allclose(predicted.lower, mean - half)


@pytest.mark.parametrize(("confidence", "deviations", "n", "q"), TABLE)
def test_half_width_is_that_of_the_methods_table(confidence: float, deviations: float, n: int, q: float) -> None:
    fitted = LinearEstimator(confidence).fit(*standard_samples(n))
    for x in (deviations, -deviations):
        predicted = fitted.predict(x)
        assert float(predicted.upper - predicted.mean) == pytest.approx(q, abs=0.0051)
        assert float(predicted.mean - predicted.lower) == pytest.approx(q, abs=0.0051)


@pytest.mark.parametrize(("confidence", "tolerance"), [(0.95, 0.012), (0.8, 0.022)])
def test_a_bound_covers_as_often_as_it_says(confidence: float, tolerance: float) -> None:
    rng, runs = np.random.default_rng(1), 3000
    above, below = [], []
    for _ in range(runs):
        pre = rng.uniform(40.0, 60.0, size=8)
        fitted = LinearEstimator(confidence).fit(pre, 0.8 * pre + 5.0 + rng.normal(size=8))
        new = rng.uniform(35.0, 65.0)
        post, predicted = 0.8 * new + 5.0 + rng.normal(), fitted.predict(new)
        above.append(post <= predicted.upper)
        below.append(post >= predicted.lower)
    assert np.mean(above) == pytest.approx(confidence, abs=tolerance)
    assert np.mean(below) == pytest.approx(confidence, abs=tolerance)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_line_is_that_of_scipy(samples: list[tuple[int, int]]) -> None:
    pre, post = np.array(samples, dtype=np.float64).T
    assume(np.ptp(pre) > 0.0 and np.ptp(post) > 0.0)
    fitted, oracle = LinearEstimator().fit(pre, post), stats.linregress(pre, post)
    assert fitted.slope == pytest.approx(oracle.slope, rel=1e-9, abs=1e-9)
    assert fitted.intercept == pytest.approx(oracle.intercept, rel=1e-9, abs=1e-7)
    spread = ((pre - pre.mean()) ** 2).sum()
    assert fitted.sigma == pytest.approx(oracle.stderr * np.sqrt(spread), rel=1e-6, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(0, 2000))
def test_bound_is_that_of_the_general_linear_model(samples: list[tuple[int, int]], x: int) -> None:
    pre, post = np.array(samples, dtype=np.float64).T
    assume(np.ptp(pre) > 0.0)
    design, row = np.column_stack([np.ones(len(pre)), pre]), np.array([1.0, x])
    beta, *_ = np.linalg.lstsq(design, post, rcond=None)
    variance = ((post - design @ beta) ** 2).sum() / (len(pre) - 2)
    leverage = row @ np.linalg.inv(design.T @ design) @ row
    expected = row @ beta + stats.t(len(pre) - 2).ppf(0.9) * np.sqrt(variance * (1.0 + leverage))
    assert float(LinearEstimator(0.9).fit(pre, post).predict(x).upper) == pytest.approx(expected, rel=1e-6, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["linear", "ratio", "identity"]),
    pairs,
    st.floats(1e-3, 1e9),
    st.integers(0, 2000),
)
def test_units_do_not_matter(name: str, samples: list[tuple[int, int]], unit: float, x: int) -> None:
    pre, post = np.array(samples, dtype=np.float64).T
    assume(np.ptp(pre) > 0.0)
    plain = build_estimator(name, 0.95).fit(pre, post).predict(x)
    scaled = build_estimator(name, 0.95).fit(unit * pre, unit * post).predict(unit * x)
    for one, other in zip(
        (plain.mean, plain.lower, plain.upper), (scaled.mean, scaled.lower, scaled.upper), strict=True
    ):
        assert float(other) == pytest.approx(unit * float(one), rel=1e-6, abs=1e-3 * unit)


def test_prediction_has_the_shape_that_was_asked_for() -> None:
    for name in ESTIMATORS:
        fitted = build_estimator(name, 0.95).fit([1.0, 2.0, 4.0], [1.0, 3.0, 4.0])
        for shape in ((), (3,), (2, 2)):
            predicted = fitted.predict(np.ones(shape))
            assert {predicted.mean.shape, predicted.lower.shape, predicted.upper.shape} == {shape}


def test_an_exact_line_has_no_margin() -> None:
    predicted = LinearEstimator().fit([1, 2, 3], [3, 5, 7]).predict([0, 10])
    assert_allclose(predicted.lower, [1, 21], atol=1e-9)
    assert_allclose(predicted.upper, [1, 21], atol=1e-9)


def test_ratio_is_that_worked_by_hand() -> None:
    # c = (1 * 2 + 2 * 3) / (1 + 4); residuals 0.4 and -0.2, one degree of freedom; at 3: 0.2 (1 + 9 / 5) = 0.56
    fitted = RatioEstimator().fit([1, 2], [2, 3])
    assert fitted.slope == pytest.approx(1.6)
    assert fitted.intercept == 0.0
    assert fitted.sigma == pytest.approx(np.sqrt(0.2))
    predicted, half = fitted.predict(3), T_95_1 * np.sqrt(0.56)
    assert [predicted.mean, predicted.lower, predicted.upper] == pytest.approx([4.8, 4.8 - half, 4.8 + half])


def test_identity_predicts_what_it_is_given() -> None:
    fitted = IdentityEstimator().fit([1.0], [7.0])
    predicted = fitted.predict([2.0, 5.0])
    assert (fitted.slope, fitted.intercept) == (1.0, 0.0)
    for values in (predicted.mean, predicted.lower, predicted.upper):
        assert_allclose(values, [2.0, 5.0])


def test_leave_one_out_errors_are_those_worked_by_hand() -> None:
    # lines through the other three: 4 x - 8 + 4, (19 x - 6) / 7, (22 x - 6) / 7 and x
    errors = leave_one_out_errors("linear", [0, 1, 2, 3], [0, 1, 2, 9])
    assert_allclose(errors, [4.0, 6.0 / 7.0, 24.0 / 7.0, 6.0])
    assert_allclose(leave_one_out_errors("identity", [1, 5], [2, 3]), [1.0, 2.0])
    assert_allclose(leave_one_out_errors("ratio", [1, 2, 2], [1, 4, 6]), [abs(20 / 8 - 1), abs(13 / 5 * 2 - 4), 2.4])


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["linear", "ratio", "identity"]), pairs, st.integers(1, 2000), st.sampled_from([1500.0, 3000.0]))
def test_pre_for_upper_inverts_predict(name: str, samples: list[tuple[int, int]], target: int, highest: float) -> None:
    pre, post = np.array(samples, dtype=np.float64).T
    assume(np.ptp(pre) > 0.0)
    fitted = build_estimator(name, 0.95).fit(pre, post)
    found = pre_for_upper(fitted, target, highest)
    fine = np.linspace(0.0, highest, 7919)
    within = fine[fitted.predict(fine).upper <= target]
    assert 0.0 <= found <= highest
    if len(within):
        assert found >= within[-1] - highest / 1024  # nothing that is much larger fits
    if found > 0.0:
        assert float(fitted.predict(found).upper) <= target
    if 0.0 < found < highest:
        assert float(fitted.predict(found * (1.0 + 1e-9)).upper) == pytest.approx(target, rel=1e-5, abs=1e-3)


def test_pre_for_upper_is_found_between_two_infeasible_ends() -> None:
    # slope 0, mean 32 / 3, RSS 8 / 3 with one degree of freedom, Sxx = 200: a bowl around 20
    fitted = LinearEstimator().fit([10, 20, 30], [10, 12, 10])
    assert (fitted.predict([0.0, 50.0, 100.0]).upper > 25.0).all()
    factor = (25.0 - 32.0 / 3.0) / (T_95_1 * np.sqrt(8.0 / 3.0))
    expected = 20.0 + np.sqrt(200.0 * (factor**2 - 4.0 / 3.0))
    assert pre_for_upper(fitted, 25.0, highest=100.0) == pytest.approx(expected)


def test_pre_for_upper_ends_at_its_range() -> None:
    identity = IdentityEstimator()
    assert pre_for_upper(identity, 30.0, highest=100.0) == pytest.approx(30.0)
    assert pre_for_upper(identity, 300.0, highest=100.0) == 100.0
    assert pre_for_upper(LinearEstimator().fit([1, 2, 3], [11, 12, 13]), 5.0, highest=100.0) == 0.0


@pytest.mark.parametrize(
    ("name", "pre", "post", "found"),
    [
        ("linear", [1, 2], [1, 2], r"3 or more pairs.*shapes \(2,\) and \(2,\)\. Draw more samples"),
        ("ratio", [1], [1], "2 or more"),
        ("linear", [1, 2, 3], [1, 2], r"shapes \(3,\) and \(2,\)\. Draw"),
        ("linear", [[1, 2, 3]], [[1, 2, 3]], r"\(1, 3\)"),
        ("linear", [1, 2, np.nan], [1, 2, 3], "values that are not finite"),
        ("ratio", [1, 2, 3], [1, 2, np.inf], "values that are not finite"),
        ("linear", [5, 5, 5], [1, 2, 3], r"3 times 5\. Fit a ratio.*estimator\.name=ratio"),
        ("linear", [0.1, 0.1, 0.1], [1, 2, 3], "3 times 0.1"),  # their mean is not 0.1 in floating point
        ("ratio", [0, 0], [1, 2], "2 times 0 SynOps. Train"),
    ],
)
def test_unusable_samples_are_refused(name: str, pre: list[float], post: list[float], found: str) -> None:
    with pytest.raises(SearchError, match=found):
        build_estimator(name, 0.95).fit(pre, post)


def test_samples_that_are_alike_are_fitted_by_their_ratio() -> None:
    """Three of three: a network with one group of three channels. Five of six: one that is left out leaves no line."""
    fitted = fit_estimator("linear", 0.95, [5, 5, 5], [4, 5, 6])
    assert isinstance(fitted, RatioEstimator)
    assert fitted.slope == pytest.approx(1.0)
    assert fitted.sigma == pytest.approx(1.0)
    assert isinstance(fit_estimator("linear", 0.95, [5, 5, 6], [4, 5, 6]), LinearEstimator)
    assert_allclose(leave_one_out_errors("linear", [4, 4, 4, 8], [2, 2, 2, 5]), [0.0, 0.0, 0.0, 1.0], atol=1e-12)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SearchError, match=r"'linaer'\. Did you mean 'linear'"):
        build_estimator("linaer", 0.95)
    with pytest.raises(SearchError, match="Known names: identity, linear, ratio"):
        build_estimator("zzz", 0.95)


def test_the_default_of_the_configuration_is_known() -> None:
    assert isinstance(build_estimator(EstimatorConfig().name, EstimatorConfig().confidence), LinearEstimator)
