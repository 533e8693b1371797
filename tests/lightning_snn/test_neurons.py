"""One predicate for neurons: all of SpikingJelly's, a user's own, and nothing else; leaks only where they are known.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import encoding
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import rnn
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn

from lightning_snn._next_neuron import UNKNOWN
from lightning_snn._next_neuron import next_neurons
from lightning_snn.activity import ActivityMeter
from lightning_snn.criteria import channel_scores
from lightning_snn.errors import PruningError
from lightning_snn.errors import SurgeryError
from lightning_snn.firing_rates import RateMeter
from lightning_snn.forward import run_network
from lightning_snn.neurons import is_neuron
from lightning_snn.neurons import leak_of
from lightning_snn.neurons import spikes
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners._traces import measure_traces
from lightning_snn.pruners.bench import Bench
from lightning_snn.surgery import ChannelPlan

STEPS = 3
ALL = {name: kind for name, kind in vars(neuron).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)} | {
    "BaseNode": neuron.BaseNode
}


class Spike(torch.autograd.Function):
    """A spike of one's own, as much research code has it."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return (v > 0.5).to(v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # torch has no better types for it
        return gradient


class OwnFunction(nn.Module):
    """Leaky neurons without any of SpikingJelly's classes."""

    def forward(self, x_TB: Tensor) -> Tensor:
        v_B, found = torch.zeros_like(x_TB[0]), []
        for x_B in x_TB:
            v_B = 0.5 * v_B + x_B
            spikes_B: Tensor = Spike.apply(v_B)  # type: ignore[no-untyped-call]  # torch has no types for it
            found.append(spikes_B)
            v_B = v_B * (1.0 - spikes_B)
        return torch.stack(found)


class OwnSurrogate(nn.Module):
    """A neuron of one's own with one of SpikingJelly's surrogate functions."""

    def __init__(self) -> None:
        super().__init__()
        self.spike = surrogate.ATan()

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.spike(x - 0.5)
        return spikes


class OtherCharge(neuron.SimpleLIFNode):  # type: ignore[misc]  # spikingjelly is untyped
    """Charges otherwise than its parent."""

    def neuronal_charge(self, x: Tensor) -> None:
        self.v = 0.1 * self.v + x


class OtherReset(neuron.SimpleLIFNode):  # type: ignore[misc]  # spikingjelly is untyped
    """Charges like its parent."""

    def neuronal_reset(self, spike: Tensor) -> None:
        self.v = self.v - 0.3 * spike.detach()


def network(make: Callable[[], nn.Module], mode: str = "m") -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = nn.Sequential(
            *(layer.Conv2d(1, 4, 3, padding=1), layer.BatchNorm2d(4), make()),
            *(layer.Conv2d(4, 5, 3, padding=1), layer.BatchNorm2d(5), make()),
            *(layer.Flatten(), layer.Linear(5 * 16, 3)),
        )
    for norm in (module for module in built if isinstance(module, nn.BatchNorm2d)):
        nn.init.constant_(norm.weight, 2.0)
        nn.init.constant_(norm.bias, 0.5)
    functional.set_step_mode(built, mode)
    return built.eval()


def input_TBCHW() -> Tensor:
    return torch.rand(STEPS, 2, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def lif() -> nn.Module:
    return neuron.LIFNode(2.0, decay_input=False, detach_reset=True)


def simple_lif() -> nn.Module:
    return neuron.SimpleLIFNode(2.0, decay_input=False, detach_reset=True)


@pytest.mark.parametrize("name", ALL)
def test_every_class_of_spikingjellys_neurons_is_one(name: str) -> None:
    kind = ALL[name]
    module = kind.__new__(kind)
    nn.Module.__init__(module)  # what the predicate says does not depend on arguments
    assert is_neuron(module)
    assert spikes(module) == ("NonSpiking" not in name)


@pytest.mark.parametrize(
    "module",
    [
        nn.ReLU(),
        nn.Conv2d(1, 1, 1),
        layer.SynapseFilter(),
        layer.Dropout(0.5),
        layer.NeuNorm(2, 3, 3),
        layer.BatchNormThroughTime2d(2, 3),
        layer.MultiStepContainer(lif()),
        layer.ElementWiseRecurrentContainer(lif(), lambda x, y: x + y),
        layer.LinearRecurrentContainer(lif(), 2, 2),
        layer.SpikingSelfAttention(8, 2),
        encoding.PoissonEncoder(),
        encoding.LatencyEncoder(4),
        rnn.SpikingLSTMCell(2, 2),
        nn.Sequential(lif(), nn.Linear(2, 2)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_containers_filters_and_encoders_are_none(module: nn.Module) -> None:
    assert not is_neuron(module)


def test_one_with_a_surrogate_function_is_a_users_own() -> None:
    assert is_neuron(OwnSurrogate())
    assert spikes(OwnSurrogate())
    assert leak_of(OwnSurrogate()) is None


def test_leaks_are_known_where_nothing_about_the_charge_is_new() -> None:
    quarter: Any = neuron.LIFNode(tau=4.0)
    assert leak_of(quarter) == 0.75
    assert leak_of(neuron.SimpleLIFNode(4.0, True)) == leak_of(neuron.NonSpikingLIFNode(4.0)) == 0.75
    assert leak_of(neuron.ParametricLIFNode(4.0)) == pytest.approx(0.75)
    assert leak_of(neuron.IFNode()) == leak_of(neuron.SimpleIFNode()) == leak_of(neuron.NonSpikingIFNode()) == 1.0
    assert leak_of(OtherReset(4.0, True)) == 0.75
    quarter.tau = torch.tensor([4.0, 2.0])  # one a channel
    assert leak_of(quarter) is None


@pytest.mark.parametrize(
    "module",
    [
        OtherCharge(4.0, True),
        neuron.PSN(3),
        neuron.GatedLIFNode(3),
        neuron.QIFNode(),
        neuron.KLIFNode(),
        neuron.CUBALIFNode(),
        neuron.LIAFNode(torch.relu, False),
        neuron.ILIFNode(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_leaks_are_never_guessed(module: nn.Module) -> None:
    assert leak_of(module) is None


@pytest.mark.parametrize("mode", ["m", "s"])
def test_simple_twins_have_the_figures_of_the_others(mode: str) -> None:
    x_TBCHW, found = input_TBCHW(), []
    for make in (lif, simple_lif):
        net = network(make, mode)
        with torch.no_grad(), RateMeter(net) as rates, ActivityMeter(net) as activity:
            run_network(net, x_TBCHW)
        plan = ChannelPlan.trace(net, x_TBCHW[:, :1])
        scores = channel_scores("activity", net, plan, 0, [(x_TBCHW, torch.tensor([0, 1]))])
        found.append(
            [
                *rates.rates().values(),
                *torch.cat(list(activity.means().values())).tolist(),
                *np.concatenate(list(scores.values())).tolist(),
                *(each.gain for each in measure_traces(net, [x_TBCHW]).values()),
            ]
        )
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert 0.0 < found[0][0] < 1.0


def test_watching_simple_neurons_changes_nothing() -> None:
    net, x_TBCHW = network(simple_lif), input_TBCHW()
    alone = run_network(net, x_TBCHW)
    with ActivityMeter(net):
        assert torch.equal(run_network(net, x_TBCHW), alone)
    assert torch.equal(run_network(net, x_TBCHW), alone)


UNKNOWN_LEAK = {
    "PSN": lambda: neuron.PSN(STEPS),
    "MaskedPSN": lambda: neuron.MaskedPSN(2, STEPS, step_mode="m"),
    "GatedLIFNode": lambda: neuron.GatedLIFNode(STEPS),
    "OwnSurrogate": OwnSurrogate,
}


@pytest.mark.parametrize("name", UNKNOWN_LEAK)
def test_neurons_of_unknown_dynamics_are_counted_and_cut_and_refused_by_name(name: str) -> None:
    net, x_TBCHW = network(UNKNOWN_LEAK[name]), input_TBCHW()
    with torch.no_grad(), RateMeter(net) as rates:
        run_network(net, x_TBCHW)
    assert list(rates.rates()) == ["2", "5"]
    assert next_neurons(net, x_TBCHW[:, :1]) == {"0": "2", "3": "5", "7": None}
    with pytest.raises(PruningError, match=rf"found {name} as '2'\. Use --pruning lamp"):
        measure_traces(net, [x_TBCHW])
    if name == "OwnSurrogate":
        return  # a function that surgery does not know
    plan = ChannelPlan.trace(net, x_TBCHW[:, :1])
    assert [group.name for group in plan.groups] == ["0", "3"]
    with pytest.raises(SurgeryError, match=f"nobody can tell of the {name} in layer '2'"):
        channel_scores("activity", net, plan, 0, [(x_TBCHW, torch.tensor([0, 1]))])


def test_parallel_neurons_keep_their_steps_where_there_are_as_many_as_channels() -> None:
    """A bias of each step is none of each channel."""
    net = network(lambda: neuron.PSN(4))
    x_TBCHW = torch.rand(4, 2, 1, 4, 4)
    small = ChannelPlan.trace(net, x_TBCHW[:, :1]).shrink(net, {"0": [0, 2]})
    assert small[2].bias.shape == (4, 1)
    assert run_network(small, x_TBCHW).shape == (4, 2, 3)


def test_spikes_of_ones_own_are_no_readout() -> None:
    net, x_TBCHW = network(OwnFunction), input_TBCHW()
    assert next_neurons(net, x_TBCHW[:, :1]) == {"0": UNKNOWN, "3": UNKNOWN, "7": None}
    with pytest.raises(PruningError, match="behind layer '0'"):
        measure_traces(net, [x_TBCHW])


def test_a_filter_between_layer_and_neurons_is_refused() -> None:
    net = network(lambda: nn.Sequential(layer.SynapseFilter(), lif()))
    with pytest.raises(PruningError, match=r"a SynapseFilter as '2\.0', which keeps inputs"):
        measure_traces(net, [input_TBCHW()])


def test_a_layer_that_is_used_twice_is_refused_by_traces() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = layer.Linear(16, 16), lif()
            self.head = layer.Linear(16, 3)
            functional.set_step_mode(self, "m")

        def forward(self, x_TBCHW: Tensor) -> Tensor:
            logits_TBK: Tensor = self.head(self.lif(self.fc(self.fc(x_TBCHW.flatten(2)))))
            return logits_TBK

    with pytest.raises(PruningError, match=r"each of the T=3 steps once, found 6 of them in layer 'fc'"):
        measure_traces(Twice(), [input_TBCHW()])


def bench(net: nn.Module) -> Bench:
    x_TBCHW = input_TBCHW()
    return Bench.of(net, batches=[x_TBCHW], example=x_TBCHW[:, :1], seed=0)


@pytest.mark.parametrize("pruner", ["slamp", "spike_nm", "sca"])
def test_pruners_that_need_the_dynamics_refuse_before_any_training(pruner: str) -> None:
    net = network(lambda: neuron.PSN(STEPS))
    with pytest.raises((PruningError, SurgeryError), match=r"PSN (as|in layer) '2'"):
        build_pruner(pruner, bench=bench(net)).accept(net)


def test_lamp_needs_no_dynamics_and_says_what_it_cannot_bound() -> None:
    net = network(lambda: neuron.PSN(STEPS))
    lamp = build_pruner("lamp", bench=bench(net), sparsity=0.5)
    lamp.accept(net)
    assert "found PSN as '2'" in lamp.prune(net).notes["distortion_bound_is_unknown"]


def test_a_readout_with_potentials_has_the_leak_of_its_neurons() -> None:
    class Potentials(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.readout = layer.Linear(16, 3), neuron.NonSpikingLIFNode(tau=2.0)
            functional.set_step_mode(self, "m")

        def forward(self, x_TBCHW: Tensor) -> Tensor:
            return torch.stack(self.readout(self.fc(x_TBCHW.flatten(2))))

    traces = measure_traces(Potentials(), [torch.ones(4, 2, 1, 4, 4)])
    assert traces["fc"].gain == 9.828125 / 4
    with RateMeter(Potentials()) as rates:
        run_network(Potentials(), input_TBCHW())
    assert rates.rates() == {}
