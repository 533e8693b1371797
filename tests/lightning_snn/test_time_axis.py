"""Steps and samples are told apart by what arrives; networks that fold them have the figures of those that do not.

Axes: T time steps, B batch, C channels, H rows, W columns, N tokens.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn._fold_order import check_fold_order
from lightning_snn._next_neuron import next_neurons
from lightning_snn.activity import ActivityMeter
from lightning_snn.criteria import channel_scores
from lightning_snn.describe import describe_layers
from lightning_snn.errors import NetworkError
from lightning_snn.firing_rates import RateMeter
from lightning_snn.forward import run_network
from lightning_snn.pruners._eligibility import CreditWatch
from lightning_snn.pruners._traces import measure_traces
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.layer_adaptive import Lamp
from lightning_snn.pruners.layer_adaptive import Slamp
from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import measure_synops
from lightning_snn.time_axis import by_step
from lightning_snn.time_axis import channel_axis
from tests.lightning_snn.folded import FAMILY
from tests.lightning_snn.folded import TOKENS
from tests.lightning_snn.folded import InContainers
from tests.lightning_snn.folded import InForward
from tests.lightning_snn.folded import TokensFolded
from tests.lightning_snn.folded import awake
from tests.lightning_snn.folded import input_TBCHW

CONV, LINEAR, LIF = nn.Conv2d(3, 3, 1), nn.Linear(3, 3), neuron.LIFNode
T, B = 4, 2


@pytest.mark.parametrize(
    ("module", "shape", "viewed"),
    [
        (CONV, (4, 2, 3, 5, 5), (4, 2, 3, 5, 5)),
        (CONV, (8, 3, 5, 5), (4, 2, 3, 5, 5)),
        (CONV, (2, 3, 5, 5), (1, 2, 3, 5, 5)),
        (LINEAR, (4, 2, 3), (4, 2, 3)),
        (LINEAR, (4, 2, 7, 3), (4, 2, 7, 3)),
        (LINEAR, (8, 7, 3), (4, 2, 7, 3)),
        (LINEAR, (8, 3), (4, 2, 3)),
        (LINEAR, (2, 3), (1, 2, 3)),
        (LIF(step_mode="m"), (4, 2, 3, 5, 5), (4, 2, 3, 5, 5)),
        (LIF(step_mode="s"), (8, 3, 5, 5), (4, 2, 3, 5, 5)),
        (LIF(step_mode="s"), (2, 2, 5, 5), (1, 2, 2, 5, 5)),
    ],
)
def test_every_layout_is_seen_step_by_step(module: nn.Module, shape: tuple[int, ...], viewed: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    found = by_step("layer", module, x, T, B)
    assert found.shape == viewed
    assert torch.equal(found.flatten(), x.flatten())  # steps first, then samples: the order of both folds


def test_channels_are_found_whatever_lies_before_them() -> None:
    assert channel_axis(CONV, torch.rand(8, 3, 5, 5)) == 1
    assert channel_axis(layer.Conv2d(3, 3, 1, step_mode="m"), torch.rand(4, 2, 3, 5, 5)) == 2
    assert channel_axis(LINEAR, torch.rand(8, 7, 3)) == 2


def test_what_cannot_be_told_is_refused_by_name() -> None:
    with pytest.raises(NetworkError, match=r"Layer conv1 must see .* T=4 and B=2, found \(6,\) before its channels"):
        by_step("conv1", CONV, torch.rand(6, 3, 5, 5), T, B)


def synops(network: nn.Module) -> Any:
    report = measure_synops(network, [input_TBCHW()])
    return [(each.operations, each.input_rate) for each in report.layers.values()]


def gains(network: nn.Module) -> Any:
    traces = measure_traces(network, [input_TBCHW(), input_TBCHW(batch=3)]).values()
    return [[*each.inputs_T.tolist(), *each.traces_T.tolist(), each.gain] for each in traces]


def activity(network: nn.Module) -> Any:
    with torch.no_grad(), ActivityMeter(network.eval()) as meter:
        run_network(network, input_TBCHW())
    return [mean_C.tolist() for mean_C in meter.means().values()]


def rates(network: nn.Module) -> Any:
    with torch.no_grad(), RateMeter(network.eval()) as meter:
        run_network(network, input_TBCHW())
    found = list(meter.rates().values())
    assert all(0.0 < rate < 1.0 for rate in found)
    return found


def credits(network: nn.Module) -> Any:
    watch = CreditWatch(network, weighted_layers(network), input_TBCHW()[:, :1])
    network.eval()  # batch norms of a training step round otherwise
    watch.attach()
    torch.autograd.backward(run_network(network, input_TBCHW()).square().mean())
    found = watch.detach()
    assert len(found) == len(weighted_layers(network))
    return [value.flatten().tolist() for value in found.values()]


def masks(network: nn.Module) -> Any:
    x_TBCHW = input_TBCHW(batch=6)
    bench = Bench.of(network, batches=[x_TBCHW], example=x_TBCHW[:, :1], seed=0)
    slamp = Slamp(bench=bench, sparsity=0.6).prune(network).masks
    lamp = Lamp(bench=bench, sparsity=0.6).prune(network).masks
    assert any(not torch.equal(slamp[name], lamp[name]) for name in slamp)  # it is no LAMP under another name
    return [mask.flatten().tolist() for mask in slamp.values()]


def neurons_driven(network: nn.Module) -> Any:
    return list(next_neurons(network, input_TBCHW()).values())


FIGURES: dict[str, Callable[[nn.Module], Any]] = {
    "synops": synops,
    "traces": gains,
    "activity": activity,
    "rates": rates,
    "credits": credits,
    "slamp": masks,
    "neurons": neurons_driven,
}


@pytest.mark.parametrize("family", [FAMILY, TOKENS], ids=["maps", "tokens"])
@pytest.mark.parametrize("figure", FIGURES)
def test_folding_changes_no_figure(figure: str, family: tuple[type[nn.Module], ...]) -> None:
    apart, *folded = [FIGURES[figure](awake(kind)) for kind in family]
    for found in folded:
        assert len(found) == len(apart)
        for one, other in zip(found, apart, strict=True):
            assert one == (other if isinstance(other, str | None) else pytest.approx(other, rel=1e-5, abs=1e-9))


@pytest.mark.parametrize("criterion", ["l1", "activity", "taylor"])
def test_folding_changes_no_score(criterion: str) -> None:
    def scores(kind: type[nn.Module]) -> list[Any]:
        network, x_TBCHW = awake(kind), input_TBCHW()
        plan = ChannelPlan.trace(network, x_TBCHW[:, :1])
        found = channel_scores(
            criterion,
            network,
            plan if criterion != "taylor" else _without_last(plan),
            0,
            [(x_TBCHW, torch.tensor([0, 1]))],
        )
        return list(found.values())

    apart, *folded = [scores(kind) for kind in FAMILY]
    assert all(len(each) == 2 or criterion != "taylor" for each in (apart, *folded))
    for found in folded:
        for one, other in zip(found, apart, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)


def _without_last(plan: ChannelPlan) -> ChannelPlan:
    """The linear layer has no batch norm, which Taylor's gates need."""
    return ChannelPlan(plan.groups[:-1], plan.skipped, plan._uses, plan._sizes)


class Task:
    """What ``describe_layers`` needs of a task."""

    example = input_TBCHW(batch=1)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", [*FAMILY, *TOKENS])
def test_output_shapes_are_those_of_one_sample_at_one_step(kind: type[nn.Module], steps: int) -> None:
    task, network = Task(), awake(kind)
    task.example = input_TBCHW(steps, batch=1)
    test: Any = type("Test", (), {"synops": measure_synops(network, [task.example])})
    shapes = [each["output_shape"] for each in describe_layers(task, network, test).values()]  # type: ignore[arg-type]
    if kind in TOKENS:
        assert shapes == [[4, 4, 4], [6, 16], [3]]
    else:
        assert shapes == [[4, 8, 8], [4, 8, 8], [6], [3]]
    assert not any(module._forward_hooks for module in network.modules())


def test_a_container_that_steps_is_seen_step_by_step() -> None:
    """Plain layers see ``[B, ...]`` T times, though all others are multi-step."""

    class Stepping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = layer.MultiStepContainer(nn.Flatten(), nn.Linear(64, 5))
            self.lif = neuron.LIFNode(decay_input=False, v_threshold=0.5, detach_reset=True, step_mode="m")
            self.head = layer.Linear(5, 3, step_mode="m")

        def forward(self, x_TBCHW: Tensor) -> Tensor:
            logits_TBK: Tensor = self.head(self.lif(self.fc(x_TBCHW)))
            return logits_TBK

    torch.manual_seed(0)
    network = Stepping()
    traces = measure_traces(network, [torch.ones(4, 3, 1, 8, 8)])
    assert traces["fc.1"].gain == 9.828125 / 4  # as by hand in test_traces.py
    watch = CreditWatch(network, weighted_layers(network), torch.rand(3, 1, 1, 8, 8))
    watch.attach()
    torch.autograd.backward(run_network(network, input_TBCHW()).square().mean())
    assert watch.detach()["fc.1"].shape == (5, 64)


@pytest.mark.parametrize("kind", [InContainers, TokensFolded])
def test_a_batch_as_large_as_the_steps_is_no_riddle(kind: type[nn.Module]) -> None:
    together = measure_traces(awake(kind), [input_TBCHW(steps=3, batch=3)])
    alone = measure_traces(awake(kind), [x_TBCHW for x_TBCHW in input_TBCHW(steps=3, batch=3).split(1, dim=1)])
    for name, each in alone.items():
        assert together[name].traces_T.tolist() == pytest.approx(each.traces_T.tolist(), rel=1e-6)


class SamplesFirst(InForward):
    """Folds ``[B * T, ...]``, which looks like ``[T * B, ...]``."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        T, B = x_TBCHW.shape[:2]
        x_TBCHW = self.conv1(x_TBCHW.transpose(0, 1).flatten(0, 1)).unflatten(0, (B, T)).transpose(0, 1)
        x_TBCHW = self.lif1(x_TBCHW.contiguous())
        x_TBX = self.lif3(self.fc(self.pool(x_TBCHW.flatten(0, 1)).flatten(1)).unflatten(0, (T, B)))
        logits_TBK: Tensor = self.head(x_TBX)
        return logits_TBK


def test_samples_before_steps_are_refused_by_name() -> None:
    network = awake(SamplesFirst)
    with pytest.raises(NetworkError, match=r"Layer 'conv1' must see all samples of one step .*x\.flatten\(0, 1\)"):
        check_fold_order(network, input_TBCHW())
    with pytest.raises(NetworkError, match="Layer 'conv1'"):
        measure_traces(network, [input_TBCHW()])


@pytest.mark.parametrize("kind", [*FAMILY, *TOKENS])
def test_the_proof_of_the_order_changes_nothing(kind: type[nn.Module]) -> None:
    network = awake(kind).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_fold_order(network, input_TBCHW())
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
