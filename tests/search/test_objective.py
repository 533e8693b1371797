"""One trial with an evaluator whose SynOps are a known distortion of the static cost."""

import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from typing import cast

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from optuna.trial import create_trial
from torch import nn

from conf.schema import RewardConfig
from lightning_snn.surgery import ChannelGroup
from search.budget import Budget
from search.cost import CostModel
from search.cost import LayerCost
from search.estimator import Estimator
from search.estimator import IdentityEstimator
from search.estimator import LinearEstimator
from search.evaluator import Candidate
from search.evaluator import Evaluator
from search.objective import Objective
from search.objective import best_trial
from search.objective import candidate_of
from search.objective import is_feasible
from search.sampling import Sample
from search.space import SearchContext
from search.space import refine_target_cost
from search.study import Outcome

WIDTH = 400
NAMES = ["a", "b", "c"]
FULL = [WIDTH] * 3
DENSE = 1000.0 * WIDTH + 2000.0 * WIDTH + 3000.0 * WIDTH
DISTORTIONS: dict[str, Callable[[float], float]] = {
    "none": lambda static: static,
    "a fifth less": lambda static: 0.8 * static,
    "a quarter more": lambda static: 1.25 * static,
    "a constant more": lambda static: static + 0.05 * DENSE,
    "concave": lambda static: DENSE * (static / DENSE) ** 0.75,
    "convex": lambda static: DENSE * (static / DENSE) ** 1.3,
}
# After = 0.9 x before + 0.02 of dense, with a little noise: the bound lies above the mean by 0.6 % of dense.
PRE = DENSE * np.array([0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7])
POST = 0.9 * PRE + DENSE * (0.02 + 0.003 * np.array([1, -1, 1, -1, -1, 1, -1, 1]))
PROPOSALS = ([0.5, 0.5, 0.5], [1.0, 1.0, 1.0], [0.1, 0.1, 0.1], [0.9, 0.2, 0.6], [0.3, 1.0, 0.15])


class FakeEvaluator:
    """Measures a distortion of the static cost, and remembers what it was asked for."""

    def __init__(self, distortion: Callable[[float], float], accuracy: float = 0.75) -> None:
        self.distortion, self.accuracy = distortion, accuracy
        self.asked: list[tuple[int, ...]] = []

    def evaluate(self, widths: Sequence[int]) -> Candidate:
        self.asked.append(tuple(widths))
        return Candidate(tuple(widths), self.accuracy, self.distortion(static_cost(widths)), 10 * sum(widths), 2.5)


def static_cost(widths: Sequence[int]) -> float:
    return sum(1000.0 * price * width for price, width in zip((1, 2, 3), widths, strict=True))


def objective(
    evaluator: FakeEvaluator,
    *,
    estimator: Estimator | None = None,
    projection: bool = True,
    target: float = 0.5,
    reward: RewardConfig | None = None,
) -> Objective:
    tables = {
        name: 1000.0 * price * np.arange(WIDTH + 1, dtype=np.float64)
        for name, price in zip(NAMES, (1, 2, 3), strict=True)
    }
    context = SearchContext(
        groups=[ChannelGroup(name, WIDTH, (name,), ()) for name in NAMES],
        low=0.1,
        scores={},
        cost=CostModel({name: LayerCost(0.0, {g: tables[name]}, 1.0, {}) for g, name in enumerate(NAMES)}),
        target_cost=target * DENSE,
        state_features_LF=np.zeros((3, 1)),
        evaluations=1,
        fresh_network=nn.Identity,
    )
    return Objective(
        context,
        cast(Evaluator, evaluator),
        estimator or LinearEstimator().fit(PRE, POST),
        Budget(target * DENSE, DENSE),
        reward or RewardConfig(),
        projection,
    )


def params(ratios: Sequence[float]) -> dict[str, float]:
    return dict(zip(NAMES, ratios, strict=True))


@pytest.mark.parametrize("name", DISTORTIONS)
@pytest.mark.parametrize("ratios", PROPOSALS)
def test_projection_lands_just_below_the_budget_within_three_passes(name: str, ratios: list[float]) -> None:
    evaluator = FakeEvaluator(DISTORTIONS[name])
    started = objective(evaluator)
    sampled = []
    for index, level in enumerate((0.4, 0.46, 0.54, 0.6)):  # as an estimator's samples lie
        widths = [round(level * WIDTH)] * 3
        pre = DISTORTIONS[name](static_cost(widths))
        sampled.append(Sample(index, widths, pre, pre, 0.5, 0.5, 0.0))
    context = refine_target_cost(started.context, sampled, started.estimator, started.budget)
    outcome = replace(started, context=context)(params(ratios))
    used = outcome.attributes["upper"] / (0.5 * DENSE)
    assert 0.98 <= used <= 1.0
    assert outcome.constraint == pytest.approx(used - 1.0)
    assert outcome.attributes["passes"] == len(evaluator.asked) <= 3


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.25, 2.0])
def test_a_factor_between_static_and_measured_is_found_in_two_passes(factor: float) -> None:
    evaluator = FakeEvaluator(lambda static: factor * static)
    outcome = objective(evaluator)(params([0.9, 0.2, 0.6]))
    assert 0.98 <= outcome.attributes["upper"] / (0.5 * DENSE) <= 1.0
    assert len(evaluator.asked) == 2


def test_a_static_cost_that_is_right_needs_one_pass() -> None:
    outcome = objective(FakeEvaluator(DISTORTIONS["none"]), estimator=IdentityEstimator())(params([0.9, 0.2, 0.6]))
    assert outcome.attributes["passes"] == 1


def test_everything_is_recorded_as_it_was_measured() -> None:
    evaluator = FakeEvaluator(DISTORTIONS["a fifth less"])
    found = objective(evaluator)(params([0.9, 0.2, 0.6]))
    widths = evaluator.asked[-1]
    synops = 0.8 * static_cost(widths)
    predicted = LinearEstimator().fit(PRE, POST).predict(synops)
    seconds = found.attributes["seconds"]
    assert found.value == 0.75
    assert found.attributes == {
        "keep": {name: width / WIDTH for name, width in zip(NAMES, widths, strict=True)},
        "widths": dict(zip(NAMES, widths, strict=True)),
        "accuracy": 0.75,
        "synops": synops,
        "predicted_synops": float(predicted.mean),
        "lower": float(predicted.lower),
        "upper": float(predicted.upper),
        "parameters": 10 * sum(widths),
        "passes": len(evaluator.asked),
        "seconds": seconds,
    }
    assert 0.0 < seconds < 2.0  # of the whole trial, all passes, not what one candidate says


def test_ratios_keep_their_order_through_projection() -> None:
    widths = objective(FakeEvaluator(DISTORTIONS["concave"]))(params([0.9, 0.2, 0.6])).attributes["widths"]
    assert widths["a"] > widths["c"] > widths["b"]


def test_without_projection_the_raw_widths_are_measured_once() -> None:
    evaluator = FakeEvaluator(DISTORTIONS["none"])
    outcome = objective(evaluator, projection=False)(params([0.9, 0.2, 0.333]))
    assert evaluator.asked == [(360, 80, 133)]
    assert outcome.attributes["passes"] == 1
    assert outcome.attributes["keep"]["c"] == 133 / 400


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (RewardConfig(), 0.75 - 3.0 * 0.6),
        (RewardConfig(beta=1.0), 0.75 - 0.6),
        (RewardConfig(form="replace"), -0.6),
        (RewardConfig(form="plain"), 0.75),
    ],
)
def test_the_reward_holds_the_budget_only_without_projection(reward: RewardConfig, expected: float) -> None:
    """Ratio 0.8 everywhere, target 0.5: u = 1.6."""
    evaluator = FakeEvaluator(DISTORTIONS["none"])
    free = objective(evaluator, estimator=IdentityEstimator(), projection=False, reward=reward)(params([0.8] * 3))
    assert free.value == pytest.approx(expected)
    assert free.constraint == pytest.approx(0.6)


@pytest.mark.parametrize("form", ["linear", "two-sided", "replace", "amc-log"])
def test_with_projection_a_trial_is_worth_its_accuracy(form: str) -> None:
    bent = objective(FakeEvaluator(DISTORTIONS["none"]), reward=RewardConfig(form=form))(params([0.8] * 3))
    assert bent.constraint is not None
    assert bent.constraint < 0.0
    assert bent.value == 0.75


def test_the_reward_sees_the_upper_bound() -> None:
    """Expected on target are 0.9 x 0.53 + 0.02 = 0.497 of dense, but the bound lies above 0.5."""
    free = objective(FakeEvaluator(lambda static: 0.53 * DENSE), projection=False, reward=RewardConfig(beta=1.0))
    outcome = free(params([0.5] * 3))
    predicted = LinearEstimator().fit(PRE, POST).predict(0.53 * DENSE)
    share = float(predicted.upper) / (0.5 * DENSE) - 1.0
    assert float(predicted.mean) < 0.5 * DENSE
    assert share > 0.0
    assert outcome.constraint == pytest.approx(share)
    assert outcome.value == pytest.approx(0.75 - share)


@pytest.mark.parametrize("projection", [True, False])
def test_a_silent_network_fails(projection: bool) -> None:
    """Its bound is the intercept's, above 0; still it is worth nothing."""
    outcome = objective(FakeEvaluator(lambda static: 0.0), projection=projection)(params([0.5] * 3))
    assert math.isnan(outcome.value)
    assert outcome.attributes["upper"] > 0.0
    assert outcome.attributes["passes"] == 1


def test_an_accuracy_that_is_no_number_fails() -> None:
    assert math.isnan(objective(FakeEvaluator(DISTORTIONS["none"], math.nan))(params([0.5] * 3)).value)


def test_a_budget_below_all_reach_measures_the_smallest_network() -> None:
    evaluator = FakeEvaluator(lambda static: 20.0 * static)
    outcome = objective(evaluator, estimator=IdentityEstimator())(params([0.9, 0.2, 0.6]))
    assert evaluator.asked[-1] == (40, 40, 40)
    assert outcome.attributes["widths"] == {"a": 40, "b": 40, "c": 40}
    assert outcome.constraint == pytest.approx(20 * 0.1 / 0.5 - 1.0)


def test_of_several_passes_the_one_closest_to_the_budget_counts() -> None:
    """Measured: 0.6, 0.9 and 1.1 of the target, whatever is asked for; then 1.3, 1.1 and 1.2 of it."""
    for uses, chosen in (([0.6, 0.9, 1.1], 0.9), ([0.9, 0.6, 1.1], 0.9), ([1.3, 1.1, 1.2], 1.1)):
        left = [0.5 * DENSE * use for use in uses]

        def next_one(static: float, left: list[float] = left) -> float:
            return left.pop(0)

        outcome = objective(FakeEvaluator(next_one), estimator=IdentityEstimator())(params([0.5] * 3))
        assert outcome.attributes["synops"] == pytest.approx(0.5 * DENSE * chosen)
        assert outcome.attributes["passes"] == 3


def trial(
    value: float | None, constraint: float | None, synops: float = 1.0, accuracy: float | None = None
) -> FrozenTrial:
    """A recorded trial, whose accuracy is its value unless it is given."""
    found = create_trial(
        state=TrialState.COMPLETE if value is not None else TrialState.FAIL,
        value=value,
        params={"a": 0.5},
        distributions={"a": FloatDistribution(0.1, 1.0)},
        user_attrs={"synops": synops, "accuracy": value if accuracy is None else accuracy},
        constraints={} if constraint is None else {"synops": constraint},
    )
    found.number = 7
    return found


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([trial(0.9, 0.01), trial(0.5, 0.0), trial(0.6, -0.5), trial(0.55, -0.1)], 2),
        ([trial(0.9, 0.2), trial(0.1, 0.05), trial(0.95, 0.3)], 1),  # none is feasible: the closest
        ([trial(0.6, -0.1, synops=5.0), trial(0.6, -0.1, synops=4.0)], 1),  # of two equals the cheaper
        ([trial(-0.1, -0.3, accuracy=0.8), trial(0.5, -0.1, accuracy=0.6)], 0),  # whatever the reward
        ([trial(None, -0.5), trial(0.2, -0.1)], 1),
        ([trial(None, None), trial(0.9, 0.4)], 1),
    ],
)
def test_the_best_trial_is_the_best_feasible_one(trials: list[FrozenTrial], best: int) -> None:
    assert best_trial(trials) is trials[best]


def test_without_a_measured_trial_none_is_best() -> None:
    assert best_trial([]) is None
    assert best_trial([trial(None, None), trial(None, -0.5)]) is None


@pytest.mark.parametrize(
    ("value", "constraint", "feasible"),
    [(0.5, -0.1, True), (0.5, 0.0, True), (0.5, 1e-12, False), (None, -0.1, False), (0.5, None, False)],
)
def test_feasible_means_a_value_and_a_bound_within_the_budget(
    value: float | None, constraint: float | None, feasible: bool
) -> None:
    assert is_feasible(trial(value, constraint)) is feasible


def test_a_recorded_trial_gives_its_candidate_back() -> None:
    outcome: Outcome = objective(FakeEvaluator(DISTORTIONS["none"]))(params([0.9, 0.2, 0.6]))
    seen: dict[str, Any] = dict(outcome.attributes)
    seen["widths"] = dict(reversed(seen["widths"].items()))  # the order of a record is not that of the network
    recorded = create_trial(value=outcome.value, user_attrs=seen)
    candidate = candidate_of(recorded, NAMES)
    assert candidate.widths == tuple(outcome.attributes["widths"][name] for name in NAMES)
    assert (candidate.accuracy, candidate.synops) == (0.75, outcome.attributes["synops"])
    assert candidate.parameters == outcome.attributes["parameters"]
