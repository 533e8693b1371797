"""What cannot be cut is refused in one sentence, which names the layer and what to do.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import Any
from typing import cast

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import base
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune
from torch.nn.utils import spectral_norm
from torch.nn.utils import weight_norm

from lightning_snn._channel_groups import group_channels
from lightning_snn._channel_ports import Port
from lightning_snn._channel_trace import Tie
from lightning_snn._channel_trace import Trace
from lightning_snn.errors import SurgeryError
from lightning_snn.forward import run_network
from lightning_snn.surgery import ChannelPlan
from lightning_snn.surgery import channel_groups
from lightning_snn.surgery import shrink

X_TBCHW = torch.randint(16, (3, 2, 4, 8, 8), generator=torch.Generator().manual_seed(0)) / 16


class Wired(nn.Module):
    """Named layers, and a function that wires them; it gets layers as attributes of its first argument."""

    def __init__(self, wiring: Callable[[Any, Tensor], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.wiring = wiring
        for name, module in layers.items():
            self.add_module(name, module)
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Any:
        return self.wiring(self, x)


class Inhibition(base.MemoryModule):  # type: ignore[misc]  # spikingjelly is untyped
    """Channels hold each other back: not what a neuron may do."""

    def single_step_forward(self, x: Tensor) -> Tensor:
        return (x > x.mean(-3, keepdim=True)).to(x) * x

    multi_step_forward = single_step_forward


class Competition(base.MemoryModule):  # type: ignore[misc]  # spikingjelly is untyped
    """Each channel sees what it has above the others."""

    def single_step_forward(self, x: Tensor) -> Tensor:
        return x - x.mean(-3, keepdim=True)

    multi_step_forward = single_step_forward


class DelayLine(nn.Module):
    """Returns what it saw two passes ago."""

    def __init__(self) -> None:
        super().__init__()
        self.line: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.line.append(x)
        return self.line.pop(0) if len(self.line) > 2 else torch.zeros_like(x)


class DelayDeque(nn.Module):
    """The same by steps, in a deque that is never empty."""

    def __init__(self) -> None:
        super().__init__()
        self.line = deque([torch.zeros(())], maxlen=1)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        found = []
        for x_BCHW in x_TBCHW:
            found.append(x_BCHW * 0.0 + self.line[0])
            self.line.append(x_BCHW)
        return torch.stack(found)


def lif() -> Any:
    return neuron.LIFNode(surrogate_function=surrogate.ATan())


def conv(inputs: int, outputs: int) -> Any:
    return layer.Conv2d(inputs, outputs, 3, padding=1)


def head(features: int) -> nn.Module:
    return nn.Sequential(layer.AdaptiveAvgPool2d(2), layer.Flatten(), layer.Linear(4 * features, 3))


def chain(*middle: nn.Module) -> Wired:
    """First six channels, then what is given, then the head."""
    body = nn.Sequential(conv(4, 6), lif(), *middle, head(6))
    return Wired(lambda net, x: net.body(x), body=body)


def shared_weight() -> Wired:
    network: Any = chain(conv(6, 6), lif(), conv(6, 6), lif())
    network.body[4].weight = network.body[2].weight
    return cast(Wired, network)


def loose_parameter() -> Wired:
    network = Wired(lambda net, x: net.head(net.sn(net.conv(x) * net.scale)), conv=conv(4, 6), sn=lif(), head=head(6))
    network.scale = nn.Parameter(torch.ones(6, 1, 1))
    return network


def around_the_head(function: Callable[[Tensor], Tensor], features: int = 6) -> Callable[[], Wired]:
    """Apply a function between the first neurons and the head."""
    return lambda: Wired(
        lambda net, x: net.head(function(net.sn(net.conv(x)))), conv=conv(4, 6), sn=lif(), head=head(features)
    )


def added_to_concatenation() -> Wired:
    def wiring(net: Any, x: Tensor) -> Any:
        both = torch.cat([net.sn1(net.conv1(x)), net.sn2(net.conv2(x))], -3)
        return net.head(both + net.sn3(net.conv3(x)))

    return Wired(
        wiring, conv1=conv(4, 3), sn1=lif(), conv2=conv(4, 3), sn2=lif(), conv3=conv(4, 6), sn3=lif(), head=head(6)
    )


def with_image() -> Wired:
    return Wired(
        lambda net, x: net.head(torch.cat([x, net.sn(net.conv(x))], -3)), conv=conv(4, 6), sn=lif(), head=head(10)
    )


def unused_layer() -> Wired:
    return Wired(
        lambda net, x: net.head(net.sn(net.conv(x))), conv=conv(4, 6), sn=lif(), head=head(6), aux=layer.Linear(6, 3)
    )


REFUSED: dict[str, tuple[Callable[[], Wired], str]] = {
    "group norm": (lambda: chain(layer.GroupNorm(2, 6), lif()), "'body.2', found a GroupNorm"),
    "layer type": (lambda: chain(layer.ConvTranspose2d(6, 6, 3), lif()), "'body.2', found a ConvTranspose2d"),
    "subclass": (lambda: chain(layer.WSConv2d(6, 6, 3), lif()), "'body.2', found a WSConv2d"),
    "reparametrised weight": (
        lambda: chain(weight_norm(conv(6, 6)), lif()),
        r"'body.2' needs .* weight norm makes anew .*: torch\.nn\.utils\.remove_weight_norm\(layer\)",
    ),
    "spectral norm": (lambda: chain(spectral_norm(conv(6, 6)), lif()), "'body.2' needs .* spectral norm makes anew"),
    "parametrized by weight norm": (
        lambda: chain(parametrizations.weight_norm(conv(6, 6)), lif()),
        r"'body.2' needs .* parametrization \(WeightNorm\) makes anew .*remove_parametrizations",
    ),
    "parametrized by spectral norm": (
        lambda: chain(parametrizations.spectral_norm(conv(6, 6)), lif()),
        r"'body.2' needs .* parametrization \(SpectralNorm\) makes anew",
    ),
    "torch's pruning": (
        lambda: chain(prune.identity(conv(6, 6), "weight"), lif()),
        r"'body.2' needs .* torch's pruning makes anew .*prune\.remove",
    ),
    "delay line": (lambda: chain(DelayLine(), conv(6, 6), lif()), "'body.2' keeps tensors .* list, 'line'"),
    "delay line in a deque": (lambda: chain(DelayDeque(), conv(6, 6), lif()), "'body.2' keeps tensors"),
    "a neuron for float32": (
        lambda: chain(conv(6, 6), neuron.DSRIFNode(3, v_threshold=1.0)),
        "must run in float64.* found RuntimeError",
    ),
    "shared weight": (shared_weight, "'body.2' and 'body.4'"),
    "loose parameter": (loose_parameter, "'scale' meets the channels of layer 'conv'"),
    "unused layer": (unused_layer, "'aux' must run"),
    "sum over channels": (around_the_head(lambda x: x.sum(-3, keepdim=True), 1), "'conv' .* found Sum"),
    "mean over channels": (around_the_head(lambda x: x.mean(-3, keepdim=True), 1), "'conv' .* found Mean"),
    "shuffle": (
        around_the_head(lambda x: x.view(*x.shape[:-3], 2, 3, 8, 8).transpose(-3, -4).flatten(-4, -3)),
        "'conv' .* found (View|Transpose)",
    ),
    "rows of two channels": (around_the_head(lambda x: x.reshape(*x.shape[:-3], 3, 16, 8), 3), "found View"),
    "rows of all channels": (around_the_head(lambda x: x.reshape(-1, 64).view(x.shape)), "'conv' .* found View"),
    "channels last": (around_the_head(lambda x: x.movedim(-3, -1).movedim(-1, -3)), "'conv' .* found Permute"),
    "slice": (around_the_head(lambda x: x[..., :3, :, :], 3), "'conv' .* found Slice"),
    "stacked rows": (around_the_head(lambda x: torch.cat([x, x], -2)), "'conv' .* found Cat"),
    "tokens": (
        lambda: Wired(
            lambda net, x: net.mix(net.conv(x).flatten(-2)).mean(-1), conv=conv(4, 6), mix=layer.Linear(64, 2)
        ),
        "'mix' must see features",
    ),
    "addition to a concatenation": (added_to_concatenation, "'conv2' cannot follow the 6 channels of layer 'conv3'"),
    "concatenation with the image": (with_image, "'head.2' must read the channels of layers, found 16 of 40"),
    "multi-step only": (around_the_head(lambda x: x.flatten(2).view(3, 2, 6, 8, 8)), "in single-step mode"),
    "fixed width": (around_the_head(lambda x: x + torch.ones(6, 1, 1)), "does not run without some of its channels"),
    "addition to the image": (
        lambda: Wired(lambda net, x: net.head(net.sn(net.conv(x) + x)), conv=conv(4, 4), sn=lif(), head=head(4)),
        "does not run without some of its channels",
    ),
    "mixing neuron": (lambda: chain(conv(6, 6), Inhibition()), "found outputs that are .* apart"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_cut_is_refused_by_name(case: str) -> None:
    build, message = REFUSED[case]
    torch.manual_seed(0)
    with pytest.raises(SurgeryError, match=message):
        channel_groups(build(), X_TBCHW)


SKIPPED = {
    "group norm": "body.0",
    "layer type": "body.0 body.2",
    "subclass": "body.0 body.2",
    "parametrized by weight norm": "body.0 body.2",
    "shared weight": "body.0 body.2 body.4",
    "loose parameter": "conv",
    "sum over channels": "conv",
    "mean over channels": "conv",
    "shuffle": "conv",
    "rows of two channels": "conv",
    "rows of all channels": "conv",
    "channels last": "conv",
    "slice": "conv",
    "stacked rows": "conv",
    "tokens": "conv",
    "addition to a concatenation": "conv1 conv2 conv3",
    "fixed width": "conv",
}
"""What of the networks above is left alone if that is allowed: layers by name, without the prefix."""
REFUSED_ALWAYS = ("reparametrised weight", "spectral norm", "delay line", "unused layer", "multi-step only")


def behind_a_layer(rest: nn.Module) -> Wired:
    return Wired(lambda net, x: net.rest(net.sn(net.conv(x))), conv=conv(4, 4), sn=lif(), rest=rest)


@pytest.mark.parametrize("case", SKIPPED)
def test_what_cannot_be_cut_can_be_left_alone(case: str) -> None:
    torch.manual_seed(0)
    build, message = REFUSED[case]
    network = behind_a_layer(build())
    plan = ChannelPlan.trace(network, X_TBCHW, skip_unsupported=True)
    assert [group.name for group in plan.groups] == ["conv"]
    assert sorted(plan.skipped) == [f"rest.{name}" for name in SKIPPED[case].split()]
    if case != "tokens":  # the layer before it is met first
        reasons = " ".join(plan.skipped.values()).replace("rest.", "")
        assert re.search(message, reasons)
    small = shrink(network, {"conv": [0, 3]}, X_TBCHW, skip_unsupported=True)
    with torch.no_grad():
        found = run_network(small.eval(), X_TBCHW)
        expected = run_network(plan.mask(network, {"conv": [0, 3]}).eval(), X_TBCHW)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_lists_of_tensors_that_stay_as_they_are_do_no_harm() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales, self.seen = [torch.tensor(2.0)], []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(x.shape)
            return x * self.scales[0]

    scaled = Scaled()
    assert [group.name for group in channel_groups(chain(scaled, conv(6, 6), lif()), X_TBCHW)] == ["body.0", "body.3"]
    mixed = chain(scaled, layer.GroupNorm(2, 6), lif())
    scaled.seen.clear()
    with pytest.raises(SurgeryError, match="found a GroupNorm"):
        channel_groups(mixed, X_TBCHW)
    assert len(scaled.scales) == 1


def test_a_delay_line_is_left_as_it_was() -> None:
    network: Any = chain(DelayLine(), conv(6, 6), lif())
    kept = torch.ones(())
    network.body[2].line.append(kept)
    with pytest.raises(SurgeryError, match="keeps tensors"):
        channel_groups(network.train(), X_TBCHW)
    assert network.body[2].line == [kept]
    assert network.training


def test_where_nothing_is_left_the_reasons_are_said() -> None:
    network = chain(layer.GroupNorm(2, 6), lif())
    plan = ChannelPlan.trace(network, X_TBCHW, skip_unsupported=True)
    said = plan.why_empty(network)
    assert said.startswith("Wired has no channels to prune: those of body.0 stay, as they cannot be followed. Channels")
    assert "'body.2', found a GroupNorm" in said


@pytest.mark.parametrize("case", REFUSED_ALWAYS)
def test_what_nobody_can_look_into_is_refused_always(case: str) -> None:
    build, message = REFUSED[case]
    with pytest.raises(SurgeryError, match=message):
        channel_groups(build(), X_TBCHW, skip_unsupported=True)


def test_only_the_channels_that_a_neuron_mixes_are_left_alone() -> None:
    network = chain(conv(6, 6), lif(), conv(6, 6), Competition(), conv(6, 6), lif())
    plan = ChannelPlan.trace(network, X_TBCHW, skip_unsupported=True)
    assert [group.name for group in plan.groups] == ["body.0", "body.2", "body.6"]
    assert "outputs that are" in plan.skipped["body.4"]
    with pytest.raises(SurgeryError, match=r"found no group that is called 'body.4'"):
        plan.positions("body.4")


def test_readers_of_an_image_beside_channels_are_left_alone() -> None:
    plan = ChannelPlan.trace(with_image(), X_TBCHW, skip_unsupported=True)
    assert plan.groups == ()
    assert "'head.2' must read the channels of layers, found 16 of 40" in plan.skipped["conv"]


def test_halves_of_channels_are_not_taken_for_granted() -> None:
    def even(x: Tensor) -> Tensor:
        if x.shape[-3] % 2 == 1:
            raise ValueError("two heads")
        return x

    network = Wired(lambda net, x: net.head(even(net.sn(net.conv(x)))), conv=conv(4, 8), sn=lif(), head=head(8))
    with pytest.raises(SurgeryError, match="does not run without some of its channels, found ValueError: two heads"):
        channel_groups(network, X_TBCHW)


def test_a_silent_network_is_proven_too() -> None:
    network = chain(conv(6, 6), Competition())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(0.0 if name.endswith("bias") else 1.0)
        assert run_network(network, torch.zeros_like(X_TBCHW)).abs().max() == 0.0
    with pytest.raises(SurgeryError, match="found outputs that are"):
        channel_groups(network, torch.zeros_like(X_TBCHW))


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"body.00": [0]}, "'body.00'. Did you mean 'body.0'"),
        ({"head": [0]}, "'head'. Known groups: body.0"),
        ({"body.0": []}, "'body.0' must keep .* found none"),
        ({"body.0": [0, 6]}, "all of its 6 channels, each once, found index 6. Give distinct indices from 0 to 5"),
        ({"body.0": [-1]}, "found index -1"),
        ({"body.0": [1, 2, 1]}, "found index 1 twice"),
    ],
)
def test_keeps_that_do_not_fit_are_explained(keep: dict[str, list[int]], message: str) -> None:
    with pytest.raises(SurgeryError, match=message):
        shrink(chain(), keep, X_TBCHW)


def test_a_network_of_another_structure_is_refused() -> None:
    plan = ChannelPlan.trace(chain(), X_TBCHW)
    small = plan.shrink(chain(), {"body.0": [0, 1]})
    with pytest.raises(SurgeryError, match=r"'body.0' must have 6 channels \(out\) .* found 2"):
        plan.shrink(small, {"body.0": [0]})
    with pytest.raises(SurgeryError, match=r"'body.0' .* found None"):
        plan.mask(head(6), {"body.0": [0]})


def test_an_example_without_time_is_refused() -> None:
    with pytest.raises(SurgeryError, match=r"\[T, B, C, H, W\], found \(2, 4, 8, 8\)"):
        channel_groups(chain(), X_TBCHW[0])


def test_a_single_layer_has_no_groups() -> None:
    network = Wired(lambda net, x: net.fc(x.flatten(-3)), fc=layer.Linear(4 * 64, 3))
    assert channel_groups(network, X_TBCHW) == []
    assert run_network(shrink(network, {}, X_TBCHW), X_TBCHW).shape == (3, 2, 3)


def test_a_layer_with_only_some_channels_of_a_group_is_refused() -> None:
    a, b, reader = Port("a", "out"), Port("b", "out"), Port("reader", "in")
    first, both = np.arange(2), np.arange(4)
    ties = [Tie(a, first, b, first), Tie(b, both, reader, both)]
    with pytest.raises(SurgeryError, match="'b' must have all channels of 'a' alike"):
        group_channels(Trace({a: 2, b: 4, reader: 4}, ties, set()))
