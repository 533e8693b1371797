"""The meter on whole networks: against NeuroBench, in other step modes, and what it leaves behind.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from types import SimpleNamespace
from typing import Any
from typing import get_args

import pytest
import torch
from neurobench.hooks.layer import LayerHook
from neurobench.metrics.workload.synaptic_operations import SynapticOperations
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn._synops_report import FirstLayer
from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.synops import SynOpsMeter
from lightning_snn.synops import SynOpsReport
from lightning_snn.synops import measure_synops


def spiking_net(step_mode: str = "m", *, seed: int = 0) -> nn.Sequential:
    """Three convolutions and a head, random, alive, and binary in all layers but the first."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1),
        layer.BatchNorm2d(4),
        neuron.LIFNode(v_threshold=0.3),
        layer.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False),
        neuron.LIFNode(v_threshold=0.1),
        layer.MaxPool2d(2),
        layer.Conv2d(6, 4, 2, dilation=1),
        neuron.LIFNode(v_threshold=0.1),
        layer.Flatten(),
        layer.Linear(4, 3),
    )
    functional.set_step_mode(network, step_mode)
    return network


def images(time_steps: int, batch: int, *, seed: int = 0) -> Tensor:
    return torch.rand(time_steps, batch, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


def spikes(time_steps: int, batch: int, *, seed: int = 0) -> Tensor:
    return (images(time_steps, batch, seed=seed) < 0.3).float()


def figures(report: SynOpsReport) -> list[tuple[Any, ...]]:
    """Everything measured, comparable by ``==``."""
    layers = [(name, entry, entry.channel_operations.tolist()) for name, entry in report.layers.items()]
    return [(report.total, report.macs, report.accumulates, report.dense), *layers]


def neurobench(network: nn.Module, x_TBCHW: Tensor) -> dict[str, float]:
    """Their count of the same pass; hooks are registered once, as twice would double it."""
    hooks = [LayerHook(m) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        run_network(network, x_TBCHW)
    model = SimpleNamespace(connection_hooks=hooks)
    counts: dict[str, float] = SynapticOperations()(model, None, (torch.zeros(x_TBCHW.shape[1]), None))
    for hook in hooks:
        hook.close()
    return counts


@pytest.mark.parametrize("step_mode", ["s", "m"])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_neurobench_on_a_binary_network(step_mode: str, masked: bool) -> None:
    network = spiking_net(step_mode).eval()
    if masked:
        with torch.no_grad():
            for module in network:
                if isinstance(module, nn.Conv2d):
                    module.weight[module.weight < -0.05] = 0.0
    x_TBCHW = spikes(3, 8)
    report = measure_synops(network, [x_TBCHW], first_layer="add")
    theirs = neurobench(network, x_TBCHW)
    assert theirs["Effective_ACs"] > 500  # alive
    assert report.total == report.accumulates == theirs["Effective_ACs"]
    assert report.macs == theirs["Effective_MACs"] == 0
    assert report.dense == theirs["Dense"]


def test_analog_first_layer_equals_neurobench_macs() -> None:
    network = spiking_net().eval()
    report = measure_synops(network, [images(3, 8)])
    theirs = neurobench(network, images(3, 8))
    assert (report.accumulates, report.macs) == (theirs["Effective_ACs"], theirs["Effective_MACs"])
    assert report.total == report.accumulates > 0


def test_step_modes_agree() -> None:
    multi, single = spiking_net("m"), spiking_net("s")
    assert figures(measure_synops(multi, [images(4, 5)])) == figures(measure_synops(single, [images(4, 5)]))
    assert measure_synops(multi, [images(4, 5)]).standard_error > 0


def test_flattened_container_equals_step_layers() -> None:
    step_layers = spiking_net("m")
    containers = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)),
        neuron.LIFNode(v_threshold=0.3, step_mode="m"),
        layer.SeqToANNContainer(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)),
        neuron.LIFNode(v_threshold=0.1, step_mode="m"),
        layer.SeqToANNContainer(nn.MaxPool2d(2), nn.Conv2d(6, 4, 2)),
        neuron.LIFNode(v_threshold=0.1, step_mode="m"),
        layer.SeqToANNContainer(nn.Flatten(), nn.Linear(4, 3)),
    )
    for ours, theirs in zip(containers.parameters(), step_layers.parameters(), strict=True):
        ours.data.copy_(theirs.data)
    for container in containers:
        if isinstance(container, layer.SeqToANNContainer):
            container.step_mode = "m"  # SpikingJelly makes its containers without one
    one, other = (measure_synops(network, [images(4, 5)]) for network in (containers, step_layers))
    assert list(one.layers) == ["0.0", "2.0", "4.1", "6.1"]
    assert list(one.layers.values()) == list(other.layers.values())
    assert (one.total, one.standard_error) == (other.total, other.standard_error)


def test_sum_over_steps_equals_single_steps() -> None:
    conv = nn.Sequential(layer.Conv2d(2, 3, 3, step_mode="m"))
    x_TBCHW = spikes(4, 3)

    def total(*steps: Tensor) -> float:
        meter = SynOpsMeter(conv, first_layer="add")
        for step_TBCHW in steps:
            with torch.no_grad(), meter:
                meter.start_batch(len(step_TBCHW), 3)
                conv(step_TBCHW)
        return meter.report().total * meter.report().samples

    assert total(x_TBCHW) == total(*x_TBCHW.split(1)) > 0  # type: ignore[no-untyped-call]  # PyTorch's, untyped


def test_first_layer_switch_changes_only_its_own_share() -> None:
    apart, add, drop = (
        measure_synops(spiking_net(), [images(2, 4)], first_layer=switch) for switch in get_args(FirstLayer)
    )
    first, hidden = apart.layers["0"], ("3", "6", "9")
    assert [entry.is_first for entry in apart.layers.values()] == [True, False, False, False]
    assert first.macs == 2 * 2 * 4 * 22**2  # no pixel is zero: two steps, 2 x 4 channels, 22 taps an axis
    assert apart.layers == add.layers == drop.layers
    assert (apart.budgeted, add.budgeted, drop.budgeted) == (hidden, ("0", *hidden), hidden)
    assert apart.total == drop.total == add.total - first.macs == apart.accumulates > 0
    assert apart.accumulates == add.accumulates == drop.accumulates
    assert (apart.macs, add.macs, drop.macs) == (first.macs, first.macs, 0)
    assert apart.dense == add.dense == drop.dense + first.dense


def test_entering_twice_counts_once_and_leaves_no_hook() -> None:
    network, x_TBCHW = spiking_net().eval(), images(2, 3)
    meter = SynOpsMeter(network)
    with torch.no_grad(), meter, meter:
        meter.start_batch(2, 3)
        run_network(network, x_TBCHW)
    once = measure_synops(network, [x_TBCHW])
    assert figures(meter.report()) == figures(once)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    with torch.no_grad():
        run_network(network, x_TBCHW)  # unwatched
    assert figures(meter.report()) == figures(once)
    with torch.no_grad(), meter:
        meter.start_batch(2, 3)
        run_network(network, x_TBCHW)
    assert meter.report().samples == 6
    assert figures(meter.report())[0] == figures(once)[0]


def test_hooks_are_gone_after_an_error() -> None:
    network = spiking_net()

    def announce_four_but_show_three() -> None:
        with SynOpsMeter(network) as meter:
            meter.start_batch(2, 4)
            run_network(network, images(2, 3))

    with pytest.raises(NetworkError, match=r"Layer 0 must see inputs .* found \(2, 3\)"):
        announce_four_but_show_three()
    assert not any(module._forward_hooks for module in network.modules())


def test_a_training_pass_can_be_counted() -> None:
    network = spiking_net().train()
    with SynOpsMeter(network) as meter:
        meter.start_batch(2, 3)
        run_network(network, images(2, 3)).sum().backward()  # type: ignore[no-untyped-call]  # PyTorch's, untyped
    assert meter.report().total > 0
    assert network.get_parameter("0.weight").grad is not None


def test_network_is_left_as_it_was() -> None:
    network = spiking_net().train()
    network[1].eval()  # a frozen batch norm
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [module.training for module in network.modules()]
    measure_synops(network, [images(2, 3)])
    assert [module.training for module in network.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(m.v == 0.0 for m in network.modules() if isinstance(m, neuron.BaseNode))


def test_half_precision_counts_the_same() -> None:
    conv = nn.Sequential(nn.Conv2d(2, 300, 3, padding=1))
    x_BCHW = spikes(1, 3)[0]
    expected = None
    for dtype in (torch.float32, torch.bfloat16):
        meter = SynOpsMeter(conv, first_layer="add")
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16), meter:
            meter.start_batch(1, 3)
            conv(x_BCHW.to(dtype))
        expected = expected or figures(meter.report())
        assert figures(meter.report()) == expected
        assert meter.report().accumulates > 300 * 9


def test_unknown_options_name_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=r"first_layer must be one of apart, add, drop, found 'keep'"):
        SynOpsMeter(nn.Linear(1, 1), first_layer="keep")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match=r"analog_hidden must be one of add, apart, found 'drop'"):
        measure_synops(nn.Linear(1, 1), [], analog_hidden="drop")  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("refused", [nn.ConvTranspose2d(1, 1, 2), layer.ConvTranspose1d(1, 1, 2), nn.LSTM(2, 2)])
def test_layers_that_cannot_be_counted_are_refused_by_name(refused: nn.Module) -> None:
    with pytest.raises(NetworkError, match=rf"{type(refused).__name__} as layer up\.0"):
        SynOpsMeter(nn.ModuleDict({"up": nn.Sequential(refused)}))


def test_misuse_is_one_sentence() -> None:
    network = spiking_net()
    with pytest.raises(ValueError, match="at least one batch"):
        measure_synops(network, [])
    with pytest.raises(ValueError, match="found a tuple"):
        measure_synops(network, [(images(1, 1), 0)])  # type: ignore[list-item]  # wrong on purpose
    with pytest.raises(ValueError, match="layer 0 ran before any"), SynOpsMeter(network):
        run_network(network, images(1, 1))
    with pytest.raises(ValueError, match="T=2 and B=0"):
        SynOpsMeter(network).start_batch(2, 0)


def test_another_networks_synapses_by_hand() -> None:
    """The spikes of one network meet the synapses of another: what they would cost there."""
    network: Any = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    synapses: Any = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
        for dense in network:
            dense.bias.zero_()
        network[1].weight.fill_(1.0)
        synapses[0].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [5.0, 0.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 4.0]]))
        synapses[1].weight.copy_(torch.tensor([[0.0, 7.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0]]))
    x_BN = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])  # the same values come out, with a 0 behind

    def counted(by: nn.Module | None) -> list[float]:
        meter = SynOpsMeter(network, first_layer="add", synapses=by)
        with meter, torch.no_grad():
            meter.start_batch(1, 2)
            network(x_BN)
        report = meter.report()
        return [report.layers["0"].operations, report.layers["1"].operations, report.total]

    assert counted(None) == counted(network) == [2.0, 4.0, 6.0]  # fan-outs 1, 1, 1; then 2 for each
    # inputs reach 2, 0, 3 weights: 5 and 2; then 1, 2, 0, 1: 1 and 3
    assert counted(synapses) == [3.5, 2.0, 5.5]


def test_synapses_of_a_sparser_network_equal_its_own_where_the_spikes_are_the_same() -> None:
    """The first layer sees the data, whatever its weights are."""
    network, masked = spiking_net(), spiking_net()
    first = next(module for module in masked.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        first.weight[:, :, 0] = 0.0
    x_TBCHW = images(2, 3)
    meter = SynOpsMeter(network, first_layer="add", synapses=masked)
    with meter, torch.no_grad():
        meter.start_batch(2, 3)
        run_network(network, x_TBCHW)
    found, expected = meter.report(), measure_synops(masked, [x_TBCHW], first_layer="add")
    name = next(iter(expected.layers))
    assert found.layers[name].operations == expected.layers[name].operations
    assert found.layers[name].operations < measure_synops(network, [x_TBCHW]).layers[name].operations
    assert first.weight.grad is None
