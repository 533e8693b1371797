"""Removing channels equals silencing them, on networks that fire; worked parameter counts; an untouched parent.

Weights and images are rounded to binary fractions: sums are exact then, and no spike depends on their order.
Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

import copy
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.model import sew_resnet
from spikingjelly.activation_based.model import spiking_vgg
from torch import Tensor
from torch import nn

from lightning_snn.errors import SurgeryError
from lightning_snn.forward import run_network
from lightning_snn.surgery import ChannelPlan
from lightning_snn.surgery import channel_groups
from lightning_snn.surgery import shrink

# Producers of each group with the batch norm after each, read off the network's definition by hand.
TINY_TIED = {"0": ["0 1"], "4": ["4 5"], "9": ["9"]}
TINY_KEEP = {"0": [0, 3], "4": [1, 2, 5], "9": [0, 1, 2, 4]}
VGG11_TIED = {f"features.{n}": [f"features.{n} features.{n + 1}"] for n in (0, 4, 8, 11, 15, 18, 22, 25)}
VGG11_TIED |= {"classifier.0": ["classifier.0"], "classifier.3": ["classifier.3"]}
SEW_TIED = {"conv1": ["conv1 bn1", "layer1.0.conv2 layer1.0.bn2", "layer1.1.conv2 layer1.1.bn2"]}
for n in (2, 3, 4):
    SEW_TIED[f"layer{n}.0.conv2"] = [
        f"layer{n}.0.conv2 layer{n}.0.bn2",
        f"layer{n}.0.downsample.0 layer{n}.0.downsample.1",
        f"layer{n}.1.conv2 layer{n}.1.bn2",
    ]
for block in [f"layer{n}.{b}" for n in (1, 2, 3, 4) for b in (0, 1)]:
    SEW_TIED[f"{block}.conv1"] = [f"{block}.conv1 {block}.bn1"]

Case = tuple[Any, Tensor]
SPIKING = {"spiking_neuron": neuron.LIFNode, "surrogate_function": surrogate.ATan(), "num_classes": 10}


def lif() -> Any:
    return neuron.LIFNode(surrogate_function=surrogate.ATan())


def tiny_vgg() -> nn.Module:
    """For inputs of 2 x 8 x 8; two by two pixels of each channel are left before the linear layers."""
    layers: list[nn.Module] = []
    for inputs, width in ((2, 4), (4, 6)):
        conv = layer.Conv2d(inputs, width, 3, padding=1, bias=False)
        layers += [conv, layer.BatchNorm2d(width), lif(), layer.MaxPool2d(2)]
    return nn.Sequential(*layers, layer.Flatten(), layer.Linear(24, 5), lif(), layer.Linear(5, 3))


def awake(network: nn.Module, x_TBCHW: Tensor) -> nn.Module:
    """Return the network with weights and statistics such that every layer fires, in evaluation mode."""
    functional.set_step_mode(network, "m")
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                nn.init.uniform_(module.weight, 1.0, 3.0)
                nn.init.uniform_(module.bias, 0.0, 2.0)
                module.momentum = 1.0
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 4.0 / module.weight[0].numel() ** 0.5)
                module.weight.copy_((256 * module.weight).round() / 256)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, 0.0, 3.0)
                    module.bias.copy_((256 * module.bias).round() / 256)
        run_network(network.train(), x_TBCHW)
    functional.reset_net(network)
    return network.eval()


def images(steps: int, channels: int, size: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randint(16, (steps, 2, channels, size, size)) / 16


def tiny(steps: int = 4) -> Case:
    x_TBCHW = images(steps, 2, 8)
    return awake(tiny_vgg(), x_TBCHW), x_TBCHW


def sew(steps: int) -> Case:
    x_TBCHW = images(steps, 3, 64)
    return awake(sew_resnet.sew_resnet18(cnf="ADD", **SPIKING), x_TBCHW), x_TBCHW


def vgg11(steps: int) -> Case:
    x_TBCHW = images(steps, 3, 32)
    with torch.device("meta"):  # its linear layers hold 120 million parameters: narrower ones take their place
        network = spiking_vgg.spiking_vgg11_bn(**SPIKING)
    for place, sizes in ((0, (512 * 7 * 7, 64)), (3, (64, 48)), (6, (48, 10))):
        network.classifier[place] = layer.Linear(*sizes)
    network.to_empty(device="cpu")
    return awake(network, x_TBCHW), x_TBCHW


def outputs(network: nn.Module, x_TBCHW: Tensor) -> Tensor:
    with torch.no_grad():
        return run_network(network, x_TBCHW)


def lowest_rate(network: nn.Module, x_TBCHW: Tensor) -> float:
    """Spikes per neuron and step, of the neuron layer that fires least."""
    rates: dict[nn.Module, list[float]] = {}
    neurons = [module for module in network.modules() if isinstance(module, neuron.BaseNode)]
    hooks = [n.register_forward_hook(lambda n, _, s: rates.setdefault(n, []).append(s.mean().item())) for n in neurons]
    outputs(network, x_TBCHW)
    for hook in hooks:
        hook.remove()
    return min(sum(rates[n]) / len(rates[n]) for n in neurons)


def every_other(tied: Mapping[str, Sequence[str]], network: Any) -> dict[str, list[int]]:
    """Keep channels 0, 3, 6, ... of some groups and 1, 3, 5, ... of the others."""
    widths = {name: network.get_submodule(name).weight.shape[0] for name in tied}
    return {name: list(range(i % 2, widths[name], 3 - i % 2)) for i, name in enumerate(tied)}


def silenced(network: nn.Module, tied: Mapping[str, Sequence[str]], keep: Mapping[str, Sequence[int]]) -> nn.Module:
    """Silence channels by hand: filters and scales are zero, and shifts far below the threshold."""
    network = copy.deepcopy(network)
    parts: dict[str, Any] = dict(network.named_modules())
    for group, kept in keep.items():
        for pair in tied[group]:
            producer, *norms = [parts[name] for name in pair.split()]
            gone = [channel for channel in range(len(producer.weight)) if channel not in kept]
            with torch.no_grad():
                producer.weight[gone] = 0.0
                for shifted in norms or [producer]:
                    shifted.weight[gone] = 0.0
                    shifted.bias[gone] = -1e3
    return network


def assert_removed_equals_silenced(
    network: nn.Module, x_TBCHW: Tensor, tied: Mapping[str, Sequence[str]], keep: Mapping[str, Sequence[int]]
) -> None:
    small = shrink(network, keep, x_TBCHW[:, :1])
    found_TBK = outputs(small, x_TBCHW)
    expected_TBK = outputs(silenced(network, tied, keep), x_TBCHW)
    torch.testing.assert_close(found_TBK, expected_TBK, rtol=0, atol=1e-5)
    assert (found_TBK - outputs(network, x_TBCHW)).abs().max() > 0.1
    assert lowest_rate(small, x_TBCHW) > 0.02


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("step_mode", ["m", "s"])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_removed_equals_silenced_on_a_small_vgg(steps: int, step_mode: str, frozen: bool) -> None:
    network, x_TBCHW = tiny(steps)
    functional.set_step_mode(network.requires_grad_(not frozen), step_mode)
    assert_removed_equals_silenced(network, x_TBCHW, TINY_TIED, TINY_KEEP)


@pytest.mark.parametrize("model", ["sew_resnet18", "spiking_vgg11_bn"])
@pytest.mark.parametrize(("steps", "step_mode", "frozen"), [(1, "m", False), (2, "s", False), (4, "m", True)])
def test_removed_equals_silenced_on_models_of_spikingjelly(
    model: str, steps: int, step_mode: str, frozen: bool
) -> None:
    build, tied = {"sew_resnet18": (sew, SEW_TIED), "spiking_vgg11_bn": (vgg11, VGG11_TIED)}[model]
    network, x_TBCHW = build(steps)
    functional.set_step_mode(network.requires_grad_(not frozen), step_mode)
    assert_removed_equals_silenced(network, x_TBCHW, tied, every_other(tied, network))


def test_random_keeps_equal_the_mask_and_hand_made_silence() -> None:
    network, x_TBCHW = tiny()
    plan = ChannelPlan.trace(network, x_TBCHW[:, :1])

    kept = {
        name: st.lists(st.integers(0, width - 1), min_size=1, unique=True)
        for name, width in (("0", 4), ("4", 6), ("9", 5))
    }

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.fixed_dictionaries({}, optional=kept))
    def check(keep: dict[str, list[int]]) -> None:
        found = outputs(plan.shrink(network, keep), x_TBCHW)
        torch.testing.assert_close(found, outputs(plan.mask(network, keep), x_TBCHW), rtol=0, atol=1e-5)
        by_hand = outputs(silenced(network, TINY_TIED, keep), x_TBCHW)
        torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-5)

    check()


def test_masked_channels_never_spike_and_shapes_stay() -> None:
    network, x_TBCHW = tiny()
    masked = ChannelPlan.trace(network, x_TBCHW[:, :1]).mask(network, TINY_KEEP)
    seen: list[Tensor] = []
    for place in (2, 6, 10):
        masked.get_submodule(str(place)).register_forward_hook(lambda _, __, s: seen.append(s.transpose(0, 2)))
    outputs(masked, x_TBCHW)
    for spikes_CBT, kept in zip(seen, TINY_KEEP.values(), strict=True):
        fired_C = spikes_CBT.flatten(1).any(1)
        assert set(torch.nonzero(fired_C).flatten().tolist()) <= set(kept)
        assert fired_C.any()
    assert [p.shape for p in masked.parameters()] == [p.shape for p in network.parameters()]


def test_parameters_fall_as_worked_by_hand() -> None:
    network, x_TBCHW = tiny()
    small: Any = shrink(network, TINY_KEEP, x_TBCHW)
    counts = [sum(p.numel() for p in module.parameters()) for module in (network, small)]
    dense = 2 * 4 * 9 + 2 * 4 + 4 * 6 * 9 + 2 * 6 + (24 * 5 + 5) + (5 * 3 + 3)
    kept = 2 * 2 * 9 + 2 * 2 + 2 * 3 * 9 + 2 * 3 + (3 * 4 * 4 + 4) + (4 * 3 + 3)
    assert counts == [dense, kept]
    assert str(small[4]).startswith("Conv2d(2, 3,")
    assert small[5].running_var.shape == (3,)
    assert torch.equal(small[4].weight, network[4].weight[[1, 2, 5]][:, [0, 3]])
    unsorted: Any = shrink(network, {"4": np.array([5, 1, 2])}, x_TBCHW)
    assert torch.equal(unsorted[4].weight, network[4].weight[[1, 2, 5]])
    columns = [4 * channel + pixel for channel in (1, 2, 5) for pixel in range(4)]
    assert torch.equal(small[9].weight, network[9].weight[[0, 1, 2, 4]][:, columns])


def test_groups_of_a_small_vgg_and_their_positions() -> None:
    network, x_TBCHW = tiny()
    groups = channel_groups(network, x_TBCHW)
    assert [(g.name, g.width, g.layers, g.consumers) for g in groups] == [
        ("0", 4, ("0",), ("4",)),
        ("4", 6, ("4",), ("9",)),
        ("9", 5, ("9",), ("11",)),
    ]
    uses = ChannelPlan.trace(network, x_TBCHW).positions("4")
    assert [(use.layer, use.side) for use in uses] == [("4", "out"), ("5", "norm"), ("9", "in")]
    assert uses[0].positions_CP.tolist() == [[0], [1], [2], [3], [4], [5]]
    assert uses[2].positions_CP.tolist() == [[4 * c, 4 * c + 1, 4 * c + 2, 4 * c + 3] for c in range(6)]


def test_residual_additions_tie_their_producers() -> None:
    network, x_TBCHW = sew(steps=1)
    groups = channel_groups(network, x_TBCHW[:, :1, :, :32, :32])
    assert {g.name: g.layers for g in groups} == {
        name: tuple(pair.split()[0] for pair in pairs) for name, pairs in SEW_TIED.items()
    }
    order = [name for name, _ in network.named_modules()]
    assert [g.name for g in groups] == sorted(SEW_TIED, key=order.index)
    by_name = {g.name: g for g in groups}
    assert by_name["layer4.0.conv2"].consumers == ("layer4.1.conv1", "fc")
    assert by_name["conv1"].consumers == (
        "layer1.0.conv1",
        "layer1.1.conv1",
        "layer2.0.conv1",
        "layer2.0.downsample.0",
    )


@pytest.mark.parametrize("step_mode", ["m", "s"])
@pytest.mark.parametrize("training", [True, False])
def test_the_parent_is_untouched_and_the_result_has_its_modes(training: bool, step_mode: str) -> None:
    network, x_TBCHW = tiny()
    functional.set_step_mode(network, step_mode)
    network.train(training)
    network[1].eval()  # one frozen batch norm
    network[4].weight.requires_grad_(False)
    torch.autograd.backward(run_network(network, x_TBCHW).sum())  # leaves state that cannot be copied, and gradients
    before = copy.deepcopy(network.state_dict())
    gradients = {name: p.grad for name, p in network.named_parameters()}
    parameters = dict(network.named_parameters())
    modes = [(m.training, getattr(m, "step_mode", None)) for m in network.modules()]
    small = shrink(network, TINY_KEEP, x_TBCHW)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p is parameters[name] and p.grad is gradients[name] for name, p in network.named_parameters())
    for net in (network, small):
        assert [(m.training, getattr(m, "step_mode", None)) for m in net.modules()] == modes
        assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["4.weight"]
        assert [m.v for m in net.modules() if isinstance(m, neuron.LIFNode)] == [0.0, 0.0, 0.0]
    assert not {p.data_ptr() for p in small.parameters()} & {p.data_ptr() for p in network.parameters()}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_result_trains_even_if_cut_without_gradients(mode: type[torch.no_grad]) -> None:
    network, x_TBCHW = tiny()
    with mode():
        small = shrink(network, TINY_KEEP, x_TBCHW)
    before = copy.deepcopy(small.state_dict())
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    torch.autograd.backward(run_network(small.train(), x_TBCHW).square().sum())
    optimizer.step()
    assert all(not torch.equal(p, before[name]) for name, p in small.named_parameters())


def test_one_plan_serves_other_networks_of_the_structure() -> None:
    network, x_TBCHW = tiny()
    plan = ChannelPlan.trace(network, x_TBCHW)
    other = awake(tiny_vgg(), x_TBCHW)
    run_network(other, x_TBCHW)  # leaves state that cannot be copied
    small = plan.shrink(other, TINY_KEEP)
    expected = outputs(silenced(other, TINY_TIED, TINY_KEEP), x_TBCHW)
    torch.testing.assert_close(outputs(small, x_TBCHW), expected, rtol=0, atol=1e-5)


def live_weights(network: nn.Module) -> dict[str, Tensor]:
    """Which weights of convolutions and linear layers are not zero."""
    weighted = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear))
    return {name: module.weight.detach() != 0.0 for name, module in weighted}


def test_live_synapses_by_hand() -> None:
    network, x_TBCHW = tiny()
    live = ChannelPlan.trace(network, x_TBCHW).live_synapses(network, {"0": [0, 3], "9": [0, 1, 2, 4]})
    assert {name: mask.shape for name, mask in live.items()} == {
        name: mask.shape for name, mask in live_weights(network).items()
    }
    assert live["0"][:, 0, 0, 0].tolist() == [True, False, False, True]
    assert live["4"][0, :, 1, 1].tolist() == [True, False, False, True]
    assert bool(live["4"][:, [0, 3]].all())
    assert live["9"][:, 0].tolist() == [True, True, True, False, True]
    assert live["11"].tolist() == [[True, True, True, False, True]] * 3
    assert all(bool(mask.all()) for mask in ChannelPlan.trace(network, x_TBCHW).live_synapses(network, {}).values())


@pytest.mark.parametrize("model", ["tiny", "sew_resnet18", "spiking_vgg11_bn"])
def test_live_synapses_are_the_weights_that_shrinking_leaves(model: str) -> None:
    build, tied = {"tiny": (tiny, TINY_TIED), "sew_resnet18": (sew, SEW_TIED), "spiking_vgg11_bn": (vgg11, VGG11_TIED)}[
        model
    ]
    network, x_TBCHW = build(1)
    plan, keep = ChannelPlan.trace(network, x_TBCHW[:, :1]), every_other(tied, network)
    live, small = plan.live_synapses(network, keep), dict(plan.shrink(network, keep).named_modules())
    before = dict(network.named_modules())
    for name, mask in live.items():
        found: Any = small[name]
        parent: Any = before[name]
        assert torch.equal(parent.weight[mask], found.weight.flatten()), name
    # silencing sets filters to zero, and leaves the weights that read a silent channel
    for name, mask in live_weights(plan.mask(network, keep)).items():
        nonzero = live_weights(network)[name]
        assert torch.equal(mask & live[name], nonzero & live[name]), name
        assert torch.equal(mask.flatten(1).any(1), live[name].flatten(1).any(1)), name


def test_live_synapses_of_a_depthwise_convolution_go_with_its_outputs() -> None:
    """Its second axis has one entry: the input that its own block reads."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(layer.Conv2d(2, 4, 3, padding=1), layer.BatchNorm2d(4), lif()),
        *(layer.Conv2d(4, 4, 3, padding=1, groups=4), layer.BatchNorm2d(4), lif()),
        *(layer.Flatten(), layer.Linear(4 * 16, 3)),
    )
    x_TBCHW = images(2, 2, 4)
    plan = ChannelPlan.trace(awake(network, x_TBCHW), x_TBCHW)
    live, small = plan.live_synapses(network, {"0": [1, 2, 3]}), plan.shrink(network, {"0": [1, 2, 3]})
    assert live["0"][:, 0, 0, 0].tolist() == live["3"][:, 0, 0, 0].tolist() == [False, True, True, True]
    assert live["7"][0].tolist() == [False] * 16 + [True] * 48
    assert sum(int(mask.sum()) for mask in live.values()) == 3 * 2 * 9 + 3 * 9 + 3 * 48
    weights = {n: m.weight for n, m in small.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert {n: w.numel() for n, w in weights.items()} == {n: int(mask.sum()) for n, mask in live.items()}


def test_live_synapses_of_a_grouped_convolution() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(layer.Conv2d(2, 4, 3, padding=1), layer.BatchNorm2d(4), lif()),
        *(layer.Conv2d(4, 6, 3, padding=1, groups=2), layer.BatchNorm2d(6), lif()),
        *(layer.Flatten(), layer.Linear(6 * 16, 3)),
    )
    x_TBCHW = images(2, 2, 4)
    plan = ChannelPlan.trace(awake(network, x_TBCHW), x_TBCHW)
    keep = {group.name: [1] for group in plan.groups}  # one block of the two, and with it all that is tied
    live, small = plan.live_synapses(network, keep), dict(plan.shrink(network, keep).named_modules())
    assert 0 < int(live["3"].sum()) < live["3"].numel()
    for name, mask in live.items():
        parent: Any = network.get_submodule(name)
        found: Any = small[name]
        assert torch.equal(parent.weight[mask], found.weight.flatten()), name


def test_live_synapses_check_their_arguments() -> None:
    network, x_TBCHW = tiny()
    plan = ChannelPlan.trace(network, x_TBCHW)
    with pytest.raises(SurgeryError, match="found no group that is called '5'"):
        plan.live_synapses(network, {"5": [0]})
    with pytest.raises(SurgeryError, match="found index 9"):
        plan.live_synapses(network, {"4": [9]})
