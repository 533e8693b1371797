"""Which channels are best, worked by hand, and that as many stay as the measure allows."""

import numpy as np
import pytest
import torch
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners._channels import ChannelPruner
from lightning_snn.pruners._channels import Scores
from lightning_snn.pruners._channels import best
from lightning_snn.pruners._channels import floors
from lightning_snn.surgery import ChannelPlan
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import make_bench
from tests.lightning_snn.pruners.conformance import weights

SCORES = {"a": np.array([3.0, 1.0, 2.0]), "b": np.array([0.4, 0.5])}


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, {"a": [0], "b": [1]}),  # the best of each group, in any case
        (2, {"a": [0], "b": [1]}),
        (3, {"a": [0, 2], "b": [1]}),
        (4, {"a": [0, 1, 2], "b": [1]}),
        (5, {"a": [0, 1, 2], "b": [0, 1]}),
        (9, {"a": [0, 1, 2], "b": [0, 1]}),
    ],
)
def test_the_best_channels_of_all_groups(count: int, expected: dict[str, list[int]]) -> None:
    assert best(SCORES, count) == expected


def test_ties_go_to_the_earlier_group_and_the_lower_index() -> None:
    even = {"a": np.zeros(3), "b": np.zeros(2)}
    assert best(even, 2) == {"a": [0], "b": [0]}
    assert best(even, 3) == {"a": [0, 1], "b": [0]}
    assert best(even, 4) == {"a": [0, 1, 2], "b": [0]}
    assert list(best({"b": np.zeros(1), "a": np.zeros(1)}, 2)) == ["b", "a"]  # groups stay in order


class ByIndex(ChannelPruner):
    """Channels of lower index are better; some must stay, or go."""

    name = "by index"
    stays: int | None = None  # of the first group
    goes: int | None = None  # of the second

    def scores(self, network: nn.Module, plan: ChannelPlan) -> Scores:
        scores = {group.name: -np.arange(group.width, dtype=np.float64) for group in plan.groups}
        first, second = scores.values()
        if self.stays is not None and self.goes is not None:
            first[self.stays], second[self.goes] = np.inf, -np.inf
        return scores


def rows(masks: dict[str, torch.Tensor]) -> list[list[int]]:
    """Output channels of the two convolutions that have weights left."""
    return [mask.flatten(1).any(1).nonzero().flatten().tolist() for mask in list(masks.values())[:2]]


def test_a_share_of_the_channels_stays() -> None:
    network = dense_network()
    pruned = ByIndex(bench=make_bench(), keep=0.5).prune(network)  # 8 of 16
    assert rows(pruned.dense_masks) == [[0, 1, 2, 3], [0, 1, 2, 3]]
    first, second, head = weights(pruned.network).values()
    before = list(weights(network).values())
    assert torch.equal(first, before[0][:4])
    assert torch.equal(second, before[1][:4, :4])
    assert torch.equal(head, before[2][:, :16])
    assert pruned.masks == {}


@pytest.mark.parametrize(
    ("keep", "expected"), [(0.01, [[0], [0]]), (0.45, [[0, 1, 2, 3], [0, 1, 2]]), (0.99, [[*range(8)], [*range(8)]])]
)
def test_one_channel_of_each_group_stays_at_least(keep: float, expected: list[list[int]]) -> None:
    assert rows(ByIndex(bench=make_bench(), keep=keep, low=0.0).prune(dense_network()).dense_masks) == expected


def test_what_must_stay_stays_and_what_must_go_goes() -> None:
    pruner = ByIndex(bench=make_bench(), keep=0.25)
    pruner.stays, pruner.goes = 7, 0
    assert rows(pruner.prune(dense_network()).dense_masks) == [[0, 1, 7], [1]]
    pruner.keep = 0.99
    assert rows(pruner.prune(dense_network()).dense_masks) == [[*range(8)], [*range(1, 8)]]


def test_one_channel_more_would_miss_the_target() -> None:
    network, bench = dense_network(), make_bench()
    pruner = ByIndex(bench=bench, target=0.5)
    kept = rows(pruner.prune(network).dense_masks)
    plan = bench.plan(network)
    scores = pruner.scores(network, plan)
    count = sum(map(len, kept))
    assert list(best(scores, count).values()) == kept
    assert bench.synops(plan.shrink(network, best(scores, count))) <= 0.5 * bench.dense_synops
    assert bench.synops(plan.shrink(network, best(scores, count + 1))) > 0.5 * bench.dense_synops


def test_a_floor_comes_before_the_ranking() -> None:
    """A floor of 0.3 is 3 of 10 and 1 of 2; the other channel of 5 goes to the best that are left."""
    scores = {"weak": np.arange(10.0), "strong": np.array([100.0, 200.0])}
    assert best(scores, 5, low=0.3) == {"weak": [7, 8, 9], "strong": [0, 1]}
    assert best(scores, 4, low=0.3) == {"weak": [7, 8, 9], "strong": [1]}
    assert best(scores, 2, low=0.0) == {"weak": [9], "strong": [1]}
    assert floors(scores, 0.3) == {"weak": 3, "strong": 1}
    assert floors(scores, 0.31) == {"weak": 4, "strong": 1}
    assert floors({"must": np.full(4, np.inf)}, 0.0) == {"must": 4}


@pytest.mark.parametrize("low", [-0.1, 1.0])
def test_a_floor_is_a_share(low: float) -> None:
    with pytest.raises(PruningError, match=f"low must be at least 0 and below 1, found {low:g}"):
        ByIndex(bench=make_bench(), low=low)


def test_each_layer_cannot_keep_more_than_all_do() -> None:
    with pytest.raises(PruningError, match=r"found 0\.3, which is more than 0\.05"):
        ByIndex(bench=make_bench(), keep=0.05, low=0.3)


def test_channels_that_must_all_stay_are_refused_before_a_training() -> None:
    ByIndex(bench=make_bench(), low=0.8).accept(dense_network())  # 7 of 8
    with pytest.raises(PruningError, match=r"pruning\.options\.low, 0\.95, .*Lower it, or give a network with wider"):
        ByIndex(bench=make_bench(), low=0.95).accept(dense_network())
