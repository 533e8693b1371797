"""What each ablation concludes from numbers made by hand: the rules of their docstrings."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from search.ablations import energy
from search.ablations import estimator_form
from search.ablations import estimator_samples
from search.ablations import estimator_transfer
from search.ablations import linearity
from search.ablations import rule
from search.ablations import scale
from search.ablations import seeds
from search.ablations import transformer
from search.ablations.agent import settled_after
from search.ablations.estimator_form import Errors
from search.ablations.pool import Pool
from search.ablations.searches import BEST
from search.ablations.searches import FEASIBLE
from search.ablations.searches import SearchAblation
from search.ablations.searches import contrasts
from search.ablations.variants import AGENT
from search.ablations.variants import EVALUATIONS
from search.budget import Budget
from search.comparison.outcomes import SearchOutcome
from search.comparison.statistics import sign_flip_p
from search.comparison.summary import Comparison
from search.comparison.summary import compare
from search.forms import FORMS
from search.sampling import Sample
from tests.search.comparison.outcomes import outcome


def pool(pre: list[float], post: list[float]) -> Pool:
    """Samples of a dense network of 1,000 SynOps in two layers."""
    samples = [
        Sample(n, [1], 1000 * x, 1000 * y, 0.5, 0.9, 1.0, {"a": (400 * x, 200 * x), "b": (600 * x, 900 * x)})
        for n, (x, y) in enumerate(zip(pre, post, strict=True))
    ]
    return Pool(Budget(500.0, 1000.0), ["a", "b"], samples, np.array(pre) ** 2)


def made(outcomes: list[SearchOutcome], failed: dict[str, str] | None = None) -> Comparison:
    return compare("title", "command", outcomes, reference="", failed=failed or {})


TWO = SearchAblation(
    variants={"a": (), "b": (), "c": ()},
    references={"b": "a", "c": "b"},
    measures=(BEST, FEASIBLE),
    note="Note.",
)


def test_each_variant_is_held_against_its_own_reference_by_each_measure() -> None:
    outcomes = [outcome("a", seed, 0.5 + 0.01 * seed, feasible=0.2) for seed in range(8)]
    outcomes += [outcome("b", seed, 0.6 + 0.011 * seed, feasible=0.9 + 0.01 * seed) for seed in range(8)]
    outcomes += [outcome("c", seed, 0.6 + 0.011 * seed, feasible=1.0, met=seed > 0) for seed in range(8)]
    finding = TWO.conclude(made(outcomes, {"a, 50%, seed 8": "it was silent."}))
    assert "By best validation accuracy, better than a: b (+10.35 [" in finding.conclusion
    assert "By best validation accuracy, the same with every seed as b: c." in finding.conclusion
    assert "By late proposals within the budget, more than a: b (+73.50 [" in finding.conclusion
    assert "The budget was missed by c (1 of 8)." in finding.conclusion
    assert finding.verdict.endswith("No result of a, 50%, seed 8: it was silent.")
    held = finding.head.index("held against")
    assert [(row[0], row[held]) for row in finding.rows] == [("a", ""), ("b", "a"), ("c", "b")]
    assert {row[finding.head.index("evaluations")] for row in finding.rows} == {"4 ± 0"}
    assert all(len(row) == len(finding.head) for row in finding.rows)
    assert [list(trace.y) for trace in finding.figure.data] == [["b<br>against a", "c<br>against b"]] * 2


def test_contrasts_are_of_the_seeds_that_both_have_and_corrected_together() -> None:
    outcomes = [outcome("a", seed, 0.5) for seed in range(4)] + [outcome("b", seed, 0.6) for seed in (1, 2, 3, 4)]
    outcomes += [outcome("c", seed, 0.55) for seed in (1, 2, 3)]
    found = contrasts(outcomes, {"b": "a", "c": "a", "absent": "a", "a": "absent"}, BEST)
    assert [(each.variant, each.difference.seeds) for each in found] == [("b", 3), ("c", 3)]
    assert [each.p_corrected for each in found] == [0.5, 0.5]  # 2 / 8 by two tests


@pytest.mark.parametrize(("curve", "settled"), [([0.0, 0.5, 0.9, 0.9], 3), ([0.5, 0.895, 0.8951, 0.9], 2), ([0.7], 1)])
def test_a_search_is_settled_within_half_a_point_of_its_end(curve: list[float], settled: int) -> None:
    assert settled_after(curve) == settled


def test_the_agent_is_settled_by_length() -> None:
    outcomes = [outcome("as it is", seed, 0.5, curve=[0.1, 0.5, 0.5, 0.5]) for seed in range(3)]
    outcomes += [outcome("200 episodes", seed, 0.5, curve=[0.1] * (4 + 2 * seed) + [0.5] * 4) for seed in range(3)]
    (said,) = AGENT.further(made(outcomes))
    within = "On average the best network is within 0.5 points of the last one"
    assert said == f"{within} after 2 ± 0 of 4; 7 ± 1 of 10 evaluations."


def test_searches_without_a_network_within_the_budget_are_never_settled() -> None:
    outcomes = [outcome("as it is", 0, 0.5, curve=[0.1, 0.5, 0.5, 0.5]), outcome("as it is", 1, 0.0, curve=[0.0] * 4)]
    (said,) = AGENT.further(made(outcomes))
    assert said.endswith("after 2 of 4 evaluations.")


def test_evaluations_are_enough_where_little_is_left_to_gain() -> None:
    gained = {10: 0.8, 25: 0.89, 50: 0.897, 100: 0.899, 200: 0.9, 400: 0.9}
    outcomes = [
        outcome(f"{strategy} {count}", seed, best + 0.001 * seed + (0.01 * count / 400 if strategy == "ddpg" else 0.0))
        for strategy in ("random", "ddpg")
        for count, best in gained.items()
        for seed in range(3)
    ]
    finding = EVALUATIONS.conclude(made(outcomes))
    assert "random: 50 (the gain of 400 is +0.30 [" in finding.conclusion
    assert "ddpg: no fewer than 400 are shown to be enough" in finding.conclusion
    assert list(finding.figure.data[0].x) == list(gained)


def test_evaluations_are_enough_only_where_no_longer_search_gains() -> None:
    """By luck ten are within half a point of 400, and 25 to 200 are not."""
    gained = {10: 0.897, 25: 0.85, 50: 0.86, 100: 0.87, 200: 0.88, 400: 0.9}
    outcomes = [outcome(f"random {count}", s, best + 0.001 * s) for count, best in gained.items() for s in range(3)]
    assert "random: no fewer than 400" in EVALUATIONS.conclude(made(outcomes)).conclusion


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


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ([0.01, 0.011, 0.009], "holds"),
        ([0.05, 0.051, 0.049], "does not hold"),
        ([0.001, 0.03, 0.01], "undecided"),
        ([0.001], "undecided"),
        ([0.02, 0.02], "holds"),
    ],
)
def test_a_prediction_holds_by_its_interval(found: list[float], word: str) -> None:
    assert rule.judged(found) == word


def test_a_judgement_names_what_no_prediction_would_do() -> None:
    found = {"near": [0.01, 0.01], "far": [0.05, 0.05], "also": [0.0, 0.0]}
    text = rule.judgement("It", found, {name: [0.03, 0.03] for name in found})
    assert text == (
        "It, with an error of 2 % of the dense network's SynOps as the limit, holds for near (1.00 ± 0.00 %; without "
        "it 3.00 ± 0.00 %), also (0.00 ± 0.00 %; without it 3.00 ± 0.00 %); does not hold for far (5.00 ± 0.00 %; "
        "without it 3.00 ± 0.00 %)."
    )


def test_transfer_is_judged_elsewhere() -> None:
    found = {
        name: [estimator_transfer.Errors(0.01, error, 0.04)] * 2
        for name, error in (("here", 0.01), ("near", 0.015), ("far", 0.05))
    }
    finding = estimator_transfer.conclude(found, {name: [0.9, 1.0] for name in found})
    assert "holds for near (1.50 ± 0.00 %; without it 4.00 ± 0.00 %); does not hold for far" in finding.conclusion
    assert "here" not in finding.conclusion.removeprefix("The line from here")
    assert finding.rows[0][-1] == "0.950 ± 0.050"


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


def test_orders_agree_by_kendalls_tau() -> None:
    same, turned = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]
    candidates = [{"synops": x, "alike": 2 * x, "other": y} for x, y in zip(same, turned, strict=True)]
    assert energy.kendalls_tau(candidates, "alike") == 1.0
    assert energy.kendalls_tau(candidates, "other") == pytest.approx(4 / 6)  # one of six pairs
    level = [{"synops": 5.0, "alike": 2.0, "other": 1.0}, {"synops": 5.0, "alike": 2.0, "other": 3.0}]
    assert energy.variation(level, "other") == pytest.approx(math.sqrt(2.0) / 2.0)
    finding = energy.conclude([{"spread": candidates, "on budget": level}] * 2)
    assert "have the order of their SynOps (Kendall's tau of 0.9 or more) by: alike (1.00" in finding.conclusion
    assert "have another order by: other (0.67 ± 0.00)." in finding.conclusion
    assert "in SynOps by 0.0 ± 0.0 % (standard deviation over mean), in energy by at most 70.7" in finding.conclusion
    assert [row[2] for row in finding.rows] == ["0.0 ± 0.0", "16.7 ± 0.0"]


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


def test_cost_grows_as_a_power() -> None:
    rows: list[dict[str, Any]] = [
        {"series": "width", "value": value, "seed": seed, "parameters": 10}
        | {"evaluation": (1 + seed) * (0.1 * value**2 if value > 1 else 9.0), "epoch": 0.5 * value}
        for seed in (0, 1)
        for value in (1, 2, 4)
    ]
    finding = scale.conclude(rows)
    assert (
        "With width, an evaluation grows as its power 2.0 ± 0.0, an epoch of fine-tuning as its power 1.0 ± 0.0."
        in (finding.conclusion)
    )
    assert [row[:2] for row in finding.rows] == [["width", "1"], ["width", "2"], ["width", "4"]]


def test_a_transformer_is_judged_by_its_own_line() -> None:
    pre = np.linspace(0.4, 0.6, 16)
    noise = np.random.default_rng(0).normal(0.0, 1.0, 16)
    near, far = (pool(pre.tolist(), (0.9 * pre + size * noise).tolist()) for size in (0.002, 0.1))
    assert "holds for a small Spikformer" in transformer.conclude({3: near, 4: near}, "SmallSpikformer.").conclusion
    assert "does not hold for a small Spikformer" in transformer.conclude({3: far, 4: far}, "").conclusion
    assert [row[0] for row in transformer.conclude({3: near, 4: near}, "SmallSpikformer.").rows] == ["3", "4"]
