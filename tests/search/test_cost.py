"""The static cost against measurement: exact wherever the spikes that reach a layer are those of the dense network.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn._synops_report import AnalogHidden
from lightning_snn._synops_report import FirstLayer
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import SynOpsReport
from lightning_snn.synops import measure_synops
from search.cost import CostModel
from search.cost import LayerCost
from search.cost import measure_cost_model
from search.evaluator import keep_order


@dataclass(frozen=True)
class Measured:
    """A network that spikes, its measurement, and the cost model made of it."""

    network: nn.Module
    x_TBCHW: Tensor
    plan: ChannelPlan
    order: Mapping[str, list[int]]
    report: SynOpsReport
    cost: CostModel

    @property
    def full(self) -> list[int]:
        return [group.width for group in self.plan.groups]

    def pruned_to(self, widths: list[int]) -> SynOpsReport:
        """Return what the network measures with these widths, its batch norms left as they are."""
        keep = {
            group.name: sorted(self.order[group.name][:width])
            for group, width in zip(self.plan.groups, widths, strict=True)
        }
        return measure_synops(self.plan.shrink(self.network, keep), [self.x_TBCHW])


def measured(network: nn.Module, *, first_layer: FirstLayer = "apart", analog_hidden: AnalogHidden = "add") -> Measured:
    """Make the network spike, and measure it on random images; channels are kept in random order."""
    x_TBCHW = torch.rand(1, 6, 2, 8, 8).expand(3, -1, -1, -1, -1)
    functional.set_step_mode(network, "m")
    recalibrate_batch_norm_(network, [x_TBCHW])
    plan = ChannelPlan.trace(network, x_TBCHW)
    rng = np.random.default_rng(3)
    order = keep_order({group.name: rng.random(group.width) for group in plan.groups})
    report = measure_synops(network, [x_TBCHW], first_layer=first_layer, analog_hidden=analog_hidden)
    assert all(each.operations > 0.0 for each in report.layers.values())
    cost = measure_cost_model(network, plan, report, order)
    return Measured(network, x_TBCHW, plan, order, report, cost)


def spiking(*layers: nn.Module) -> list[nn.Module]:
    """Return each layer with a batch norm and a neuron that fires at half a standard deviation after it."""
    stack: list[nn.Module] = []
    for each in layers:
        channels = len(each.weight)  # type: ignore[arg-type]  # convolutions have one
        norm = layer.BatchNorm2d(channels)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        stack += [each, norm, neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.5)]
    return stack


def plain(pool: type[nn.Module] = layer.MaxPool2d) -> nn.Sequential:
    """Layers 0, 4, 8 and 12; four pixels of each of the last channels reach the linear layer."""
    torch.manual_seed(0)
    return nn.Sequential(
        *spiking(layer.Conv2d(2, 8, 3, padding=1)),
        pool(2),
        *spiking(layer.Conv2d(8, 6, 3, padding=1)),
        pool(2),
        *spiking(layer.Conv2d(6, 5, 3, padding=1)),
        layer.Flatten(),
        layer.Linear(20, 3),
    )


class Residual(nn.Module):
    """One convolution around which its input is added: the same channels on both its sides."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(*spiking(layer.Conv2d(2, 8, 3, padding=1)))
        self.block = nn.Sequential(*spiking(layer.Conv2d(8, 8, 3, padding=1, groups=groups)))
        self.pool, self.flatten = layer.MaxPool2d(4), layer.Flatten()
        self.head = layer.Linear(32, 3)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        h_TBCHW = self.stem(x_TBCHW)
        logits_TBK: Tensor = self.head(self.flatten(self.pool(h_TBCHW + self.block(h_TBCHW))))
        return logits_TBK


@pytest.fixture(scope="module")
def net() -> Measured:
    return measured(plain())


def test_a_layer_costs_what_its_kept_inputs_cause_in_its_kept_outputs() -> None:
    # 10 from elsewhere, 3 + 4 of the first two channels of group 0, 5 of one channel of group 2; 2 of 8 outputs free
    cost = LayerCost(10.0, {0: np.array([0.0, 3.0, 7.0, 8.0]), 2: np.array([0.0, 5.0])}, 0.25, {1: 0.125})
    assert cost([2, 4, 1]) == pytest.approx((10 + 7 + 5) * (0.25 + 4 * 0.125))
    assert cost([0, 6, 0]) == pytest.approx(10.0)


def test_cost_of_the_dense_widths_is_the_measured_total(net: Measured) -> None:
    assert net.full == [8, 6, 5]
    assert net.cost(net.full) == pytest.approx(net.report.total, rel=1e-12)
    assert set(net.cost.layers) == {"4", "8", "12"}


def test_cost_never_falls_when_a_width_grows(net: Measured) -> None:
    for group, full in enumerate(net.full):
        costs = [net.cost([*net.full[:group], width, *net.full[group + 1 :]]) for width in range(full + 1)]
        assert all(low <= high for low, high in pairwise(costs))
        assert costs[0] < costs[-1]


@pytest.mark.parametrize("width", [1, 3, 7])
def test_inputs_are_exact_where_the_channels_before_are_pruned(net: Measured, width: int) -> None:
    """Channels of the first group do not see each other, so what is left of it spikes as before."""
    widths = [width, 6, 5]
    assert net.cost.layers["4"](widths) == pytest.approx(net.pruned_to(widths).layers["4"].operations, rel=1e-12)
    assert net.cost.layers["4"](widths) < net.report.layers["4"].operations


@pytest.mark.parametrize("widths", [[8, 1, 5], [8, 4, 5], [3, 2, 5]])
def test_outputs_are_exact_where_the_own_channels_are_pruned(net: Measured, widths: list[int]) -> None:
    found = net.pruned_to(widths).layers["4"].operations
    assert net.cost.layers["4"](widths) == pytest.approx(found, rel=1e-12)
    whole = net.cost.layers["4"]([widths[0], 6, 5])
    assert net.cost.layers["4"](widths) == pytest.approx(whole * widths[1] / 6, rel=1e-12)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_channel_is_all_its_features_after_a_flatten(net: Measured, width: int) -> None:
    widths = [8, 6, width]
    assert net.cost.layers["12"](widths) == pytest.approx(net.pruned_to(widths).layers["12"].operations, rel=1e-12)


def test_outputs_of_the_network_are_never_pruned(net: Measured) -> None:
    assert net.cost.layers["12"].outputs == {}
    assert net.cost.layers["12"].fixed_outputs == 1.0


def test_the_total_follows_the_measured_one_roughly(net: Measured) -> None:
    """Rates do change behind a pruned layer: near the dense network by little, as the projection's loop assumes."""
    assert net.cost([7, 6, 5]) == pytest.approx(net.pruned_to([7, 6, 5]).total, rel=0.25)


def test_the_input_layer_counts_where_the_budget_counts_it() -> None:
    added = measured(plain(), first_layer="add")
    assert set(added.cost.layers) == {"0", "4", "8", "12"}
    assert added.cost(added.full) == pytest.approx(added.report.total, rel=1e-12)
    assert added.cost.layers["0"]([2, 6, 5]) == pytest.approx(added.pruned_to([2, 6, 5]).layers["0"].operations)
    assert added.cost.layers["0"]([2, 6, 5]) == pytest.approx(added.report.layers["0"].operations * 2 / 8)


def test_hidden_analog_layers_count_where_the_budget_counts_them() -> None:
    """Average pools make the layers behind them analog; the linear layer sees spikes."""
    added = measured(plain(layer.AvgPool2d))
    with pytest.warns(UserWarning, match="Hidden layers with analog input"):
        apart = measured(plain(layer.AvgPool2d), analog_hidden="apart")
    assert [name for name, each in added.report.layers.items() if each.analog] == ["0", "4", "8"]
    assert set(added.cost.layers) == {"4", "8", "12"}
    assert set(apart.cost.layers) == {"12"}
    for each in (added, apart):
        assert each.cost(each.full) == pytest.approx(each.report.total, rel=1e-12)
    assert added.cost.layers["4"]([3, 6, 5]) == pytest.approx(added.pruned_to([3, 6, 5]).layers["4"].operations)


def test_channels_on_both_sides_of_a_convolution_count_twice() -> None:
    net = measured(Residual(groups=1))
    assert net.full == [8]
    for width in (1, 5, 8):
        found = net.pruned_to([width]).layers["block.0"].operations
        assert net.cost.layers["block.0"]([width]) == pytest.approx(found, rel=1e-12)


def test_channels_of_a_depthwise_convolution_count_once() -> None:
    net = measured(Residual(groups=8))
    assert net.full == [8]
    for width in (1, 5, 8):
        found = net.pruned_to([width])
        for name in ("block.0", "head"):  # a channel of a depthwise block sees itself alone, so the head is exact, too
            assert net.cost.layers[name]([width]) == pytest.approx(found.layers[name].operations, rel=1e-12)
