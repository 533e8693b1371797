"""Residuals and drift of samples made by hand."""

import math

import numpy as np
import pytest

from search.ablations import linearity
from tests.search.ablations.made import pool


def test_residuals_by_hand() -> None:
    pre = [0.4, 0.5, 0.6, 0.7, 0.8]
    exact, shifted = pool(pre, [0.9 * x for x in pre]), pool(pre, [0.9 * x + 0.05 for x in pre])
    found = linearity.diagnose(shifted, exact, shifted)
    assert found.own_error == pytest.approx(0.0, abs=1e-12)
    assert found.usual_error == pytest.approx(0.05)
    assert found.no_line_error == pytest.approx(np.mean([abs(0.05 - 0.1 * x) for x in pre]))
    assert found.r_squared == pytest.approx(1.0)


def test_the_pool_that_a_line_is_fitted_to_is_tested_leave_one_out() -> None:
    bent = pool([0.4, 0.5, 0.6, 0.7], [0.4, 0.5, 0.6, 0.5])
    found = linearity.diagnose(bent, bent, bent)
    assert found.usual_error == found.own_error > 0.05


def test_equal_results_have_no_share_explained() -> None:
    level = pool([0.4, 0.5, 0.6, 0.7], [0.5, 0.5, 0.5, 0.5])
    assert math.isnan(linearity.diagnose(level, level, level).r_squared)


def test_layers_drift_by_their_own_factors() -> None:
    drifts = linearity.layer_drifts(pool([0.4, 0.5], [0.4, 0.5]))
    assert drifts["a"] == pytest.approx((0.5, 0.0))
    assert drifts["b"] == pytest.approx((1.5, 0.0))


def test_layers_that_hardly_spike_have_no_drift() -> None:
    """Layer a of 1,000 SynOps has 0.4 operations in the second sample before fine-tuning."""
    drifts = linearity.layer_drifts(pool([0.4, 0.001, 0.0], [0.4, 0.5, 0.5]))
    assert drifts == {"a": pytest.approx((0.5, 0.0)), "b": pytest.approx((1.5, 0.0))}
    assert linearity.layer_drifts(pool([0.001, 0.0, 0.0], [0.4, 0.5, 0.5])) == {}
    usual = linearity.Diagnosis(0.01, 0.01, 0.02, 0.99, 0.1, 0.01)
    shown = {"usual": pool([0.4, 0.5, 0.6], [0.4, 0.5, 0.6])}
    assert "single layers" not in linearity.conclude({"usual": [usual] * 2}, [{}, {}], shown).conclusion


def test_linearity_is_judged_by_condition() -> None:
    pre = [0.4, 0.5, 0.6, 0.7]
    usual = linearity.Diagnosis(0.01, 0.01, 0.02, 0.99, 0.1, 0.01)
    broken = linearity.Diagnosis(0.01, 0.06, 0.08, 0.99, 0.1, 0.4)
    shown = {"usual": pool(pre, pre), "short": pool(pre, pre)}
    finding = linearity.conclude(
        {"usual": [usual] * 2, "short": [broken] * 2}, [{"a": (0.9, 0.01), "b": (1.1, 0.0)}] * 2, shown
    )
    assert "holds for usual (1.00 ± 0.00 %" in finding.conclusion
    assert "does not hold for short (6.00 ± 0.00 %" in finding.conclusion
    assert "factors of 0.90 (a) to 1.10 (b)" in finding.conclusion
    assert [row[-1] for row in finding.rows[:2]] == ["2/2", "0/2"]
