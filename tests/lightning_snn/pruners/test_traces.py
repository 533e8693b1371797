"""Traces worked by hand; their bound holds; SLAMP is LAMP where there is no time.

Axes: T time steps, B batch, N inputs.
"""

import math

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.forward import run_network
from lightning_snn.pruners._traces import distortion_bounds
from lightning_snn.pruners._traces import energy
from lightning_snn.pruners._traces import leak
from lightning_snn.pruners._traces import measure_traces
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.layer_adaptive import Lamp
from lightning_snn.pruners.layer_adaptive import Slamp
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import tiny_vgg


def two_layers(node: neuron.BaseNode, mode: str = "m") -> nn.Module:
    network = nn.Sequential(layer.Linear(4, 3), node, layer.Linear(3, 2))
    functional.set_step_mode(network, mode)
    return network


def lif(tau: float = 2.0, decay_input: bool = False) -> neuron.LIFNode:
    return neuron.LIFNode(tau=tau, decay_input=decay_input, detach_reset=True)


@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("decay_input", [False, True])
def test_a_constant_input_piles_up(mode: str, decay_input: bool) -> None:
    """z = 1, 1.5, 1.75, 1.875 at tau = 2: squares 1 + 2.25 + 3.0625 + 3.515625 over 4."""
    x_TBN = torch.ones(4, 5, 4)
    traces = measure_traces(two_layers(lif(decay_input=decay_input), mode), [x_TBN])["0"]
    assert traces.gain == 9.828125 / 4
    assert traces.gain == pytest.approx(2.457, abs=1e-3)
    assert traces.traces_T.tolist() == [4.0, 9.0, 12.25, 14.0625]  # four inputs each
    assert traces.inputs_T.tolist() == [4.0, 4.0, 4.0, 4.0]


def test_rare_spikes_pile_up_little() -> None:
    """One spike at step u leaves 1 + 1/4 + 1/16 + 1/64 down to 1, on average over u = 1..4: 1.22265625."""
    x_TBN = torch.zeros(4, 4, 4)
    for step in range(4):
        x_TBN[step, step, 0] = 1.0
    expected = (1.328125 + 1.3125 + 1.25 + 1.0) / 4
    assert measure_traces(two_layers(lif()), [x_TBN])["0"].gain == expected == pytest.approx(1.223, abs=1e-3)


def test_neurons_without_leak_count_up() -> None:
    """z = 1, 2, 3 of an IF neuron: (1 + 4 + 9) / 3."""
    x_TBN = torch.ones(3, 2, 4)
    assert measure_traces(two_layers(neuron.IFNode()), [x_TBN])["0"].gain == pytest.approx(14 / 3, rel=1e-12)


def test_a_readout_and_a_silent_layer_gain_nothing() -> None:
    traces = measure_traces(two_layers(neuron.IFNode(v_threshold=1e9)), [torch.ones(3, 2, 4)])
    assert traces["2"].gain == 1.0  # no spike reaches it
    assert traces["2"].traces_T.tolist() == [0.0, 0.0, 0.0]
    awake = two_layers(neuron.IFNode(v_threshold=1e-9))
    nn.init.ones_(awake[0].weight)
    traces = measure_traces(awake, [torch.ones(3, 2, 4)])
    assert traces["2"].inputs_T.tolist() == [3.0, 3.0, 3.0]
    assert traces["2"].gain == 1.0  # logits have no memory


def test_means_are_over_samples_of_all_batches() -> None:
    x_TBN = torch.ones(2, 3, 4)
    x_TBN[:, 0] = 0.0
    alone = measure_traces(two_layers(lif()), [x_TBN, torch.ones(2, 1, 4)])["0"]
    assert alone.inputs_T.tolist() == [3.0, 3.0]  # 3 of 4 samples, four inputs each


def test_leaks() -> None:
    network = nn.Sequential(lif(4.0), neuron.IFNode(), neuron.ParametricLIFNode(init_tau=4.0), neuron.QIFNode())
    assert [leak(network, name) for name in ("0", "1")] == [0.75, 1.0]
    assert leak(network, "2") == pytest.approx(0.75)
    assert leak(network, None) == 0.0
    with pytest.raises(PruningError, match=r"found QIFNode as '3'\. Use --pruning lamp"):
        leak(network, "3")


def test_energy_counts_a_value_as_often_as_it_is_read() -> None:
    conv = nn.Conv2d(2, 5, 3, padding=1)
    x_BCHW = torch.zeros(1, 2, 4, 4)
    x_BCHW[0, 1, 0, 0] = 2.0  # a corner: read by 4 positions
    x_BCHW[0, 0, 1, 2] = 1.0  # inside: read by 9
    assert energy(conv, x_BCHW) == 4 * 4.0 + 9 * 1.0
    assert energy(nn.Conv2d(2, 5, 3, stride=2, padding=1), x_BCHW) == 1 * 4.0 + 2 * 1.0


def test_the_bound_holds_for_convolutions() -> None:
    """Potentials without threshold and reset, with and without some weights, against the bound: a plain loop."""
    torch.manual_seed(0)
    network = tiny_vgg()
    x_TBCHW = images(8)[0].expand(4, -1, -1, -1, -1) * (torch.rand(4, 8, 1, 4, 4) < 0.5)
    conv = network.features[3]
    masks = {name: torch.rand_like(m.weight) < 0.3 for name, m in network.named_modules() if hasattr(m, "in_channels")}
    masks["classifier"] = torch.rand_like(network.classifier.weight) < 0.3
    bounds = distortion_bounds(network, masks, measure_traces(network, [x_TBCHW]))
    spikes: list[Tensor] = []
    handle = conv.register_forward_pre_hook(lambda module, args: spikes.append(args[0]))
    with torch.no_grad():
        run_network(network.eval(), x_TBCHW)
    handle.remove()
    assert spikes[0].sum() > 0
    missing = conv.weight.detach() * ~masks["features.3"]
    moved, met = torch.zeros(()), []
    for s_BCHW in spikes[0]:
        moved = 0.5 * moved + torch.nn.functional.conv2d(s_BCHW, missing, padding=1)
        met.append(moved.square().sum((1, 2, 3)).mean().sqrt())
    for actual, bound in zip(met, bounds["features.3"], strict=True):
        assert 0.05 * bound < actual <= bound


def test_slamp_is_lamp_at_one_step_bit_for_bit() -> None:
    network, x_NCHW = tiny_vgg(), images(12)[0]
    bench = Bench.of(network, batches=[x_NCHW.unsqueeze(0)], example=x_NCHW[:1].unsqueeze(0), seed=0)
    for sparsity in (0.3, 0.8, 0.95):
        lamp = Lamp(bench=bench, sparsity=sparsity).prune(network)
        slamp = Slamp(bench=bench, sparsity=sparsity).prune(network)
        assert set(slamp.notes["gain"].values()) == {1.0}
        assert lamp.masks.keys() == slamp.masks.keys()
        assert all(torch.equal(lamp.masks[name], slamp.masks[name]) for name in lamp.masks)


def test_slamp_differs_from_lamp_where_time_piles_up() -> None:
    """Hidden layers gain, the readout does not: SLAMP takes more from the readout."""
    network, x_NCHW = tiny_vgg(), images(12)[0]
    x_TBCHW = x_NCHW.expand(4, *x_NCHW.shape)
    bench = Bench.of(network, batches=[x_TBCHW], example=x_TBCHW[:, :1], seed=0)
    lamp = Lamp(bench=bench, sparsity=0.8).prune(network)
    slamp = Slamp(bench=bench, sparsity=0.8).prune(network)
    assert slamp.notes["gain"]["features.0"] == pytest.approx(9.828125 / 4)
    assert slamp.notes["gain"]["classifier"] == 1.0
    assert sum(int(mask.sum()) for mask in slamp.masks.values()) == sum(int(m.sum()) for m in lamp.masks.values())
    assert slamp.masks["classifier"].sum() < lamp.masks["classifier"].sum()
    assert slamp.masks["features.0"].sum() > lamp.masks["features.0"].sum()


def test_notes_hold_the_bound_of_each_layer_and_step() -> None:
    network, x_NCHW = tiny_vgg(), images(12)[0]
    x_TBCHW = x_NCHW.expand(3, *x_NCHW.shape)
    bench = Bench.of(network, batches=[x_TBCHW], example=x_TBCHW[:, :1], seed=0)
    pruned = Lamp(bench=bench, sparsity=0.5).prune(network)
    bounds = pruned.notes["distortion_bound"]["features.0"]
    gone = network.features[0].weight.detach()[~pruned.masks["features.0"]].double().norm()
    trace, expected = torch.zeros(()), []
    for x_BCHW in x_TBCHW:
        trace = 0.5 * trace + x_BCHW
        reads = torch.nn.functional.unfold(trace, 3, padding=1).double().square().sum((1, 2)).mean()
        expected.append(float(gone * math.sqrt(reads)))
    assert bounds == pytest.approx(expected)
