"""What a strategy may know, worked by hand on a toy: two groups of 10 and 20 channels, each channel costs 1 or 2."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from torch import nn

from lightning_snn.criteria import channel_scores
from lightning_snn.inference import evaluate
from lightning_snn.surgery import ChannelGroup
from lightning_snn.surgery import ChannelPlan
from search.baseline import Baseline
from search.budget import Budget
from search.cost import CostModel
from search.cost import LayerCost
from search.errors import SearchError
from search.estimator import LinearEstimator
from search.estimator import RatioEstimator
from search.sampling import Sample
from search.space import SearchContext
from search.space import build_context
from search.space import refine_target_cost
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import loader
from tests.lightning_snn.tiny import tiny_vgg

BUDGET = Budget(target=25.0, baseline=50.0)


def context(target_cost: float = 25.0, low: float = 0.1) -> SearchContext:
    one, two = (price * np.arange(width + 1, dtype=np.float64) for width, price in ((10, 1.0), (20, 2.0)))
    cost = CostModel({"a": LayerCost(0.0, {0: one}, 1.0, {}), "b": LayerCost(0.0, {1: two}, 1.0, {})})
    groups = [ChannelGroup("conv2", 10, ("conv2",), ("a",)), ChannelGroup("conv10", 20, ("conv10",), ("b",))]
    return SearchContext(
        groups=groups,
        low=low,
        scores={"conv2": np.ones(10), "conv10": np.ones(20)},
        cost=cost,
        target_cost=target_cost,
        state_features_LF=np.zeros((2, 9)),
        evaluations=3,
        fresh_network=nn.Identity,
    )


def samples(widths: Sequence[list[int]], pre: Sequence[float]) -> list[Sample]:
    return [Sample(n, each, y, y, 0.5, 0.5, 0.0) for n, (each, y) in enumerate(zip(widths, pre, strict=True))]


def test_groups_are_named_and_sized_in_network_order() -> None:
    known = context()
    assert known.names == ["conv2", "conv10"]
    assert known.full == [10, 20]
    assert known.space == {name: FloatDistribution(0.1, 1.0) for name in known.names}
    assert list(known.space) == known.names
    assert known.dense_cost == 50.0
    assert known.state_features_LF is known.state_features_LF


@pytest.mark.parametrize(
    ("t", "actions", "expected"),
    [
        (0, [], [0.0, (1 + 4) / 25]),  # nothing removed; least: 1 and 2 channels
        (1, [0.5], [5 / 50, (5 + 4) / 25]),
        (2, [0.5, 0.25], [35 / 50, (5 + 10) / 25]),
        (1, [0.5, 0.25], [5 / 50, (5 + 4) / 25]),  # later actions are not known yet
    ],
)
def test_the_changing_state_is_what_is_removed_and_what_is_reachable(
    t: int, actions: list[float], expected: list[float]
) -> None:
    assert context().dynamic_features(t, actions) == pytest.approx(expected)


def test_the_target_goes_back_through_the_estimator_and_the_measured_share_of_static_cost() -> None:
    """After = 0.5 x before exactly, so 50 before are allowed; before = 1.25 x static, so 40 static are."""
    estimator = RatioEstimator().fit([10.0, 20.0], [5.0, 10.0])
    taken = samples([[4, 10], [8, 16]], [30.0, 50.0])  # static 24 and 40
    assert refine_target_cost(context(), taken, estimator, BUDGET).target_cost == pytest.approx(40.0)


def test_the_share_is_the_least_squares_line_through_the_origin() -> None:
    # static 10 and 20, before 12 and 18: (100 + 400) / (120 + 360)
    taken = samples([[10, 0], [10, 5]], [12.0, 18.0])
    estimator = RatioEstimator().fit([1.0, 2.0], [1.0, 2.0])
    assert refine_target_cost(context(), taken, estimator, BUDGET).target_cost == pytest.approx(25.0 * 500.0 / 480.0)


def test_only_the_target_is_refined() -> None:
    before = context()
    after = refine_target_cost(before, samples([[10, 0]], [10.0]), RatioEstimator().fit([1, 2], [1, 2]), BUDGET)
    assert after.groups is before.groups
    assert after.cost is before.cost
    assert before.target_cost == 25.0


def test_a_budget_out_of_the_estimators_reach_asks_for_the_smallest_network() -> None:
    """After = before + 100: no network is expected to meet 25, and every strategy proposes the least one."""
    estimator = LinearEstimator().fit([10.0, 20.0, 30.0], [110.0, 120.0, 130.0])
    refined = refine_target_cost(context(), samples([[4, 10]], [24.0]), estimator, BUDGET)
    assert refined.target_cost == 5.0


@pytest.mark.parametrize("pre", [[0.0, 0.0], [0.1, 0.2]])
def test_samples_that_hardly_spike_are_refused_and_not_divided_by(pre: list[float]) -> None:
    """Static 24 and 40, so that 0.1 and 0.2 are less than a hundredth of what they should be."""
    taken, estimator = samples([[4, 10], [8, 16]], pre), RatioEstimator().fit([10.0, 20.0], [5.0, 10.0])
    with pytest.raises(
        SearchError, match=r"Pruned networks hardly spike before .* over 2, where about 32 were expected"
    ):
        refine_target_cost(context(), taken, estimator, BUDGET)


def test_a_single_silent_sample_is_no_reason_to_refuse_the_others() -> None:
    taken, estimator = samples([[4, 10], [8, 16]], [0.0, 40.0]), RatioEstimator().fit([10.0, 20.0], [10.0, 20.0])
    refined = refine_target_cost(context(), taken, estimator, BUDGET)
    assert refined.target_cost == pytest.approx(25.0 * (24.0**2 + 40.0**2) / (40.0 * 40.0))


def test_the_target_is_something_to_divide_by_where_the_smallest_network_costs_nothing() -> None:
    """After = before + 100: nothing meets 25, and static cost says that one channel of each group is free."""
    free = np.concatenate([[0.0] * 3, np.arange(1.0, 19.0)])
    known = dataclasses.replace(context(), cost=CostModel({"b": LayerCost(0.0, {1: free}, 1.0, {})}))
    estimator = LinearEstimator().fit([10.0, 20.0, 30.0], [110.0, 120.0, 130.0])
    refined = refine_target_cost(known, samples([[4, 10]], [8.0]), estimator, BUDGET)
    assert refined.least_cost == 0.0
    assert refined.target_cost == pytest.approx(0.018)  # a thousandth of the dense network's 18
    assert np.isfinite(refined.dynamic_features(1, [0.5])).all()


def dead_baseline(threshold: float) -> Baseline:
    """With a threshold of 1 the first neurons spike; those behind them are silenced, as in a network of many layers."""
    network, (x_NCHW, y_N) = tiny_vgg(threshold=threshold), images(12)
    for norm in [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)][1:]:
        nn.init.constant_(norm.bias, -100.0)
    measured = evaluate(network, loader(x_NCHW, y_N, batch_size=4), time_steps=2)
    plan = ChannelPlan.trace(network, x_NCHW[:1].expand(2, 1, 1, 4, 4))
    return Baseline(network, measured, plan, channel_scores("l1", network, plan, seed=0), "l1", seconds=0.0)


def test_a_dense_network_that_hardly_spikes_is_refused_before_anything_is_sampled() -> None:
    said = r"hardly spikes on validation data: it causes no SynOps at all.* train it"
    with pytest.raises(SearchError, match=said):
        build_context(dead_baseline(1e3), Budget(target=0.5, baseline=1.0), low=0.1, evaluations=1)


def test_a_dense_network_whose_last_layer_hears_nothing_is_searched_with_a_word() -> None:
    baseline = dead_baseline(1.0)
    budget = Budget.of(baseline.validation.synops.total, fraction=0.9, synops=None)
    with pytest.warns(UserWarning, match="hardly speaks .*: its last layer, classifier, gets 0 operations"):
        build_context(baseline, budget, low=0.1, evaluations=1)


def test_a_single_validation_sample_is_refused() -> None:
    """Its standard error is NaN, so that no measurement would ever meet a budget."""
    network, (x_NCHW, y_N) = tiny_vgg(), images(1)
    measured = evaluate(network, loader(x_NCHW, y_N, batch_size=1), time_steps=2)
    plan = ChannelPlan.trace(network, x_NCHW.expand(2, 1, 1, 4, 4))
    baseline = Baseline(network, measured, plan, channel_scores("l1", network, plan, seed=0), "l1", seconds=0.0)
    budget = Budget.of(measured.synops.total, fraction=0.5, synops=None)
    with pytest.raises(SearchError, match=r"of one validation sample there are none\. Give more"):
        build_context(baseline, budget, low=0.1, evaluations=1)


def test_widths_must_be_as_many_as_groups() -> None:
    with pytest.raises(ValueError, match="zip"):
        context().dynamic_features(1, [0.5, 0.5, 0.5][:0])


def test_errors_are_of_one_family() -> None:
    assert issubclass(SearchError, ValueError)


def test_strategies_get_the_scores_and_know_by_what_criterion() -> None:
    network, (x_NCHW, y_N) = tiny_vgg(), images(4)
    measured = evaluate(network, loader(x_NCHW, y_N, batch_size=4), time_steps=2)
    plan = ChannelPlan.trace(network, x_NCHW[:1].expand(2, 1, 1, 4, 4))
    scores = channel_scores("bn_gamma", network, plan, seed=0)
    baseline = Baseline(network, measured, plan, scores, "bn_gamma", seconds=0.0)
    budget = Budget.of(measured.synops.total, fraction=0.5, synops=None)
    known = build_context(baseline, budget, low=0.1, evaluations=1)
    assert known.scores is scores
    assert known.criterion == "bn_gamma"
