"""What is said of the forms of the estimator, from errors made by hand."""

import math

import numpy as np
import pytest

from search.ablations import estimator_form
from search.ablations.estimator_form import Errors
from search.forms import FORMS
from tests.search.ablations.made import pool


def errors(inside: list[float], *outside: float, above: float = 0.5) -> list[Errors]:
    return [Errors(each, above, outside) for each in inside]


def test_forms_are_better_or_worse_by_interval() -> None:
    found = {name: errors([0.010, 0.011, 0.012], 0.05, 0.04) for name in FORMS}
    found["GP"] = errors([0.006, 0.0069, 0.0081], 0.05, 0.04)
    found["MLP"] = errors([0.03, 0.032, 0.034], 0.05, 0.04)
    found["ratio"] = errors([0.012, 0.008, 0.013], 0.01, 0.04)
    found["identity"] = errors([0.010, 0.011, 0.012], 0.11, 0.04, above=0.8)
    found[estimator_form.BOUND] = errors([0.03, 0.03, 0.03], 0.0, 0.0, above=0.06)
    text = estimator_form.conclude(found).conclusion
    assert "By 95 % intervals of 3 seeds, each form by itself: better: GP; worse: MLP; neither: identity, " in text
    assert "by form: identity 80 ± 0 %, ratio 50 ± 0 %, linear 50 ± 0 %, linear, upper bound 6 ± 0 %." in text
    assert "Around 0.5 times the target, outside of the range it was fitted to, the line errs by 5.00 ± 0.00 %" in text
    assert "more than 2 times that: identity 11.00 ± 0.00 %; the least is ratio 1.00 ± 0.00 % (not tested)." in text


def test_no_sample_outside_is_said() -> None:
    found = {name: errors([0.01, 0.011], 0.05, math.nan) for name in (*FORMS, estimator_form.BOUND)}
    finding = estimator_form.conclude(found)
    assert "Around 1.5 times the target no sample lies outside." in finding.conclusion
    assert finding.rows[0][-1] == ""


def test_forms_on_an_exact_line() -> None:
    """Samples of the outer pools that lie within the inner one do not count."""
    pre = np.linspace(0.4, 0.6, 16).tolist()
    exact = pool(pre, [0.9 * x + 0.05 for x in pre])
    partly, within = pool([0.7, 0.5], [0.68, 0.0]), pool([0.5], [0.0])
    found = estimator_form.errors_of(FORMS["linear"], exact, [partly, within], seed=0)
    assert found.inside < 1e-12
    assert found.outside[0] == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(found.outside[1])
    bound = estimator_form.errors_of(estimator_form.bound_of(0.95), exact, [partly], seed=0)
    assert bound.inside == pytest.approx(0.0, abs=1e-9)
    shifted = pool(pre, [x + 0.01 for x in pre])
    found = estimator_form.errors_of(FORMS["identity"], shifted, [], seed=0)
    assert (found.inside, found.above) == (pytest.approx(0.01), 1.0)
