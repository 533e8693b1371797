"""What pruners measure with: the search for a number, and measurements that leave the network alone."""

import copy

import pytest
import torch
from spikingjelly.activation_based import layer
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.errors import SurgeryError
from lightning_snn.forward import run_network
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.bench import largest_count
from lightning_snn.synops import measure_synops
from tests.lightning_snn.pruners.conformance import contents
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import make_bench


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (1, 100, 37, 37),
        (1, 100, 1, 1),
        (1, 100, 99, 99),
        (1, 100, 100, 100),
        (1, 100, 500, 100),  # all fit
        (5, 100, 3, 5),  # none fits: the fewest there can be
        (4, 4, 9, 4),
        (4, 4, 2, 4),
    ],
)
def test_the_largest_count_that_fits(low: int, high: int, most: int, expected: int) -> None:
    assert largest_count(low, high, lambda count: count <= most) == expected


def test_large_numbers_are_found_to_a_thousandth_in_few_measurements() -> None:
    asked: list[int] = []

    def fits(count: int) -> bool:
        asked.append(count)
        return count <= 123_456

    found = largest_count(0, 1_000_000, fits)
    assert 123_456 - 1_000 <= found <= 123_456
    assert len(asked) <= 11  # once for all, then a million is halved to a thousand
    assert found in asked  # what is returned was measured, and fits


def test_synops_are_those_of_a_copy_with_batch_norms_measured_anew() -> None:
    network, bench = dense_network(), make_bench()
    network.train()
    before = copy.deepcopy(network.state_dict())
    found = bench.synops(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    fresh = bench.recalibrated(network)
    assert found == bench.dense_synops == measure_synops(fresh, bench.batches).total > 0.0
    assert found != measure_synops(network, bench.batches).total
    assert contents(fresh) != contents(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_recalibrated_copy_has_the_means_of_the_batches() -> None:
    bench = make_bench()
    fresh = bench.recalibrated(dense_network())
    assert not any(module.training for module in fresh.modules())
    conv, norm = fresh.get_submodule("features.0"), fresh.get_submodule("features.1")
    with torch.no_grad():
        means = [conv(x_TBCHW).mean(dim=(0, 1, 3, 4)) for x_TBCHW in bench.batches]
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))


def test_the_switches_decide_what_counts() -> None:
    apart = make_bench()
    added = Bench.of(dense_network(), batches=apart.batches, example=apart.example, seed=0, first_layer="add")
    first = measure_synops(apart.recalibrated(dense_network()), apart.batches).layers["features.0"].operations
    assert added.dense_synops == pytest.approx(apart.dense_synops + first)


def test_a_dense_network_that_hardly_spikes_is_refused() -> None:
    dense, bench = dense_network(), make_bench()
    for norm in [module for module in dense.modules() if isinstance(module, torch.nn.BatchNorm2d)]:
        torch.nn.init.constant_(norm.bias, -100.0)
    with pytest.raises(PruningError, match="hardly spikes on training data: it causes no SynOps at all"):
        Bench.of(dense, batches=bench.batches, example=bench.example, seed=0)


class Priced(Bench):
    """A network of ``n`` features costs n SynOps."""

    def synops(self, network: nn.Module) -> float:
        assert isinstance(network, nn.Linear)
        return float(network.in_features)


@pytest.mark.parametrize(("round_", "expected"), [(1, 500), (2, 250)])
def test_rounds_share_the_way_to_the_target(round_: int, expected: int) -> None:
    """A quarter of 1000 in two rounds: a half, then a half of that."""
    bench = make_bench()
    pruner = build_pruner("lamp", bench=Priced(bench.batches, bench.example, 0, 1000.0), target=0.25, rounds=2)
    news: list[str] = []
    pruner.tell = news.append
    found = pruner.most_within(10, 1000, lambda n: nn.Linear(n, 1), round_)
    assert abs(found - expected) <= 1  # the search ends at a thousandth
    assert news[0] == "1,000 of 1,000 left: 100.0% of the dense SynOps"


def test_a_target_below_the_least_network_is_refused() -> None:
    bench = make_bench()
    pruner = build_pruner("lamp", bench=Priced(bench.batches, bench.example, 0, 1000.0), target=0.25)
    assert pruner.most_within(250, 1000, lambda n: nn.Linear(n, 1), 1) == 250
    with pytest.raises(PruningError, match=r"pruning\.target 0\.25 is below .* needs, 25\.10% of the dense SynOps"):
        pruner.most_within(251, 1000, lambda n: nn.Linear(n, 1), 1)


def test_a_network_that_was_just_trained_can_be_measured() -> None:
    network, bench = dense_network(), make_bench()
    run_network(network.train(), bench.batches[0]).sum().backward()
    assert bench.synops(network) > 0.0


def test_a_network_without_channels_is_refused() -> None:
    alone = nn.Sequential(layer.Flatten(step_mode="m"), layer.Linear(16, 3, step_mode="m"))
    with pytest.raises(SurgeryError, match=r"^Sequential has no channels to prune besides its classifier's outputs\."):
        make_bench().plan(alone)
