"""What each ablation concludes from numbers made by hand: the rules of their docstrings."""

import numpy as np
import pytest

from search.ablations import energy
from search.ablations import estimator_form
from search.ablations import estimator_samples
from search.ablations import estimator_transfer
from search.ablations import linearity
from search.ablations import scale
from search.ablations import seeds
from search.ablations import transformer
from search.ablations.pool import Pool
from search.ablations.variants import REWARD
from search.budget import Budget
from search.forms import FORMS
from search.sampling import Sample
from tests.search.comparison.outcomes import outcome
from tests.search.comparison.test_summary import made


def pool(pre: list[float], post: list[float]) -> Pool:
    """Samples of a dense network of 1,000 SynOps in two layers."""
    samples = [
        Sample(n, [1], 1000 * x, 1000 * y, 0.5, 0.9, 1.0, {"a": (400 * x, 200 * x), "b": (600 * x, 900 * x)})
        for n, (x, y) in enumerate(zip(pre, post, strict=True))
    ]
    return Pool(Budget(500.0, 1000.0), {"a": 400.0, "b": 600.0}, samples)


def test_a_finding_of_searches_has_a_row_a_variant() -> None:
    outcomes = [outcome(name, seed, 0.5 + 0.01 * seed) for name in ("linear 3", "none") for seed in range(3)]
    finding = REWARD.conclude(made(outcomes, reference="linear 3"))
    assert finding.head[0] == "variant"
    assert [row[0] for row in finding.rows] == ["linear 3", "none"]
    assert len(finding.figure.data) == 2


def test_samples_level_off_at_the_first_count_within_5_percent() -> None:
    errors = [0.05, 0.04, 0.03, 0.0209, 0.0205, 0.02, 0.02, 0.02, 0.02]
    found_SNK = np.array([[[error, 2 * error, 0.95] for error in errors]] * 3)
    text = estimator_samples.conclude(found_SNK).conclusion
    assert text.startswith("The error of the line levels off at 8 samples: 2.09 ± 0.00 %")


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


def test_forms_are_better_or_worse_by_interval() -> None:
    errors = {name: np.array([[0.010, 0.05], [0.011, 0.05], [0.012, 0.05]]) for name in FORMS}
    errors["GP"] = errors["linear"] - [[0.004, 0.0], [0.0041, 0.0], [0.0039, 0.0]]
    errors["MLP"] = errors["linear"] + [[0.02, 0.0], [0.021, 0.0], [0.022, 0.0]]
    errors["ratio"] = errors["linear"] + [[0.002, -0.04], [-0.003, -0.04], [0.001, -0.04]]
    errors["identity"] = errors["identity"] + [[0.0, 0.06]] * 3
    text = estimator_form.conclude(errors).conclusion
    assert "By 95 % intervals of 3 seeds, each form by itself: better: GP; worse: MLP; neither: " in text
    assert "More than 2 times that: identity (11.00 ± 0.00 %)." in text
    assert "The least error there is that of ratio (1.00 ± 0.00 %; not tested)." in text


def test_cross_validation_of_an_exact_line_is_0() -> None:
    pre = np.linspace(0.4, 0.6, 16).tolist()
    exact = pool(pre, [0.9 * x + 0.05 for x in pre])
    assert estimator_form.cross_validated(FORMS["linear"], exact, seed=0) < 1e-12
    assert estimator_form.cross_validated(FORMS["identity"], exact, seed=0) == pytest.approx(0.0, abs=0.011)


def test_transfer_holds_within_two_percent_or_half_again() -> None:
    errors = {
        "here": [(0.01, 0.01)] * 2,
        "near": [(0.01, 0.02)] * 2,
        "hard": [(0.04, 0.059)] * 2,
        "far": [(0.01, 0.05)] * 2,
    }
    text = estimator_transfer.conclude(errors, {name: [0.9, 1.0] for name in errors}).conclusion
    assert text.startswith("The line transfers to: near, hard.")
    assert "anew for: far (5.00 ± 0.00 % in place of 1.00 ± 0.00 %)" in text


def test_residuals_by_hand() -> None:
    pre = [0.4, 0.5, 0.6, 0.7, 0.8]
    exact, shifted = pool(pre, [0.9 * x for x in pre]), pool(pre, [0.9 * x + 0.05 for x in pre])
    found = linearity.diagnose(shifted, exact, shifted)
    assert found.own_error == pytest.approx(0.0, abs=1e-12)
    assert found.usual_error == pytest.approx(0.05)
    assert found.r_squared == pytest.approx(1.0)


def test_layers_drift_by_their_own_factors() -> None:
    drifts = linearity.layer_drifts(pool([0.4, 0.5], [0.4, 0.5]))
    assert drifts["a"] == pytest.approx((0.5, 0.0))
    assert drifts["b"] == pytest.approx((1.5, 0.0))


def test_orders_agree_by_kendalls_tau() -> None:
    same, turned = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]
    assert energy._agreement(same, same) == (1.0, 0.0)
    tau, flips = energy._agreement(same, turned)  # one of six pairs
    assert (tau, flips) == pytest.approx((4 / 6, 1 / 6))
    found = [[{"synops": x, "alike": 2 * x, "other": y} for x, y in zip(same, turned, strict=True)]] * 2
    text = energy.conclude(found).conclusion
    assert "by: alike." in text
    assert "They have not by: other (tau 0.67 ± 0.00)" in text


def test_seeds_are_enough_once_the_sign_is_sure() -> None:
    best = {"random": [0.5] * 5, "cmaes": [0.6, 0.6, 0.6, 0.6, 0.6], "ddpg": [0.6, 0.6, 0.6, 0.6, 0.0]}
    text = seeds.conclude(best).conclusion
    assert "cmaes against random: +10.00 points over all 5 seeds [+10.00, +10.00]; 2 seeds give that sign" in text
    # The mean of all is -0.02: of subsets without the last seed none has that sign.
    assert "ddpg against random: -2.00 points" in text
    assert "5 seeds give that sign" in text.partition("ddpg")[2]


def test_cost_grows_as_a_power() -> None:
    rows = [
        {"series": "width", "value": value, "parameters": 10, "evaluation": 0.1 * value**2, "epoch": 0.5 * value}
        for value in (1, 2, 4)
    ]
    text = scale.conclude(rows).conclusion
    assert "With width, an evaluation grows as its power 2.0, an epoch of fine-tuning as its power 1.0." in text


def test_a_transformer_holds_within_two_percent() -> None:
    pre = np.linspace(0.4, 0.6, 16)
    noise = np.random.default_rng(0).normal(0.0, 1.0, 16)
    near, far = (pool(pre.tolist(), (0.9 * pre + size * noise).tolist()) for size in (0.005, 0.1))
    assert transformer.conclude([near]).conclusion.startswith("The line holds for a small Spikformer")
    assert transformer.conclude([far]).conclusion.startswith("The line does not hold")
