"""Structures beyond plain chains: each is cut as its mask says.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import base
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_snn.criteria import channel_scores
from lightning_snn.forward import run_network
from lightning_snn.memory_format import channels_last
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
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


class OwnThreshold(base.MemoryModule):  # type: ignore[misc]  # spikingjelly is untyped
    """Integrates and fires with one threshold (a parameter) and one leak (a buffer) per channel."""

    def __init__(self, threshold_C: Tensor) -> None:
        super().__init__()
        self.register_memory("v", 0.0)
        self.threshold = nn.Parameter(threshold_C.view(-1, 1, 1))
        self.register_buffer("leak", torch.linspace(0.5, 0.9, len(threshold_C)))
        self.surrogate = surrogate.ATan()

    def single_step_forward(self, x: Tensor) -> Tensor:
        v: Tensor = self.leak.view(-1, 1, 1) * self._memories["v"] + x
        spike: Tensor = self.surrogate(v - self.threshold)
        self._memories["v"] = v * (1.0 - spike)
        return spike

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        return torch.stack([self.single_step_forward(x) for x in x_seq])


def lif(cls: Any = neuron.LIFNode) -> Any:
    return cls(surrogate_function=surrogate.ATan())


def conv(inputs: int, outputs: int, **options: Any) -> Any:
    return layer.Conv2d(inputs, outputs, 3, padding=1, **options)


def head(features: int) -> nn.Module:
    return nn.Sequential(layer.AdaptiveAvgPool2d(2), layer.Flatten(), layer.Linear(4 * features, 3))


def chain(*middle: nn.Module, features: int = 6) -> Wired:
    """First six channels, then what is given, then the head."""
    body = nn.Sequential(conv(4, 6), lif(), *middle, head(features))
    return Wired(lambda net, x: net.body(x), body=body)


def dense_block() -> Wired:
    def wiring(net: Any, x: Tensor) -> Any:
        a = net.sn1(net.conv1(x))
        b = net.sn2(net.conv2(a))
        return net.head(net.sn3(net.norm(net.conv3(torch.cat([a, b], -3)))))

    return Wired(
        wiring, conv1=conv(4, 6), sn1=lif(), conv2=conv(6, 5), sn2=lif(), conv3=conv(11, 7),
        norm=layer.BatchNorm2d(7), sn3=lif(), head=head(7),
    )  # fmt: skip


def membrane_shortcut() -> Wired:
    """Adds analog currents, and ends without a neuron."""

    def wiring(net: Any, x: Tensor) -> Any:
        stream = net.norm1(net.conv1(x))
        stream = stream + net.norm2(net.conv2(net.sn(stream)))
        return net.head(stream)

    return Wired(
        wiring, conv1=conv(4, 6), norm1=layer.BatchNorm2d(6), sn=lif(), conv2=conv(6, 6),
        norm2=layer.BatchNorm2d(6, affine=False), head=head(6),
    )  # fmt: skip


def squeeze_excitation() -> Wired:
    def wiring(net: Any, x: Tensor) -> Any:
        spikes = net.sn1(net.conv1(x))
        gate = net.excite(net.sn2(net.squeeze(spikes.mean((-1, -2))))).sigmoid()
        return net.head(spikes * gate.view(*gate.shape, 1, 1))

    return Wired(
        wiring, conv1=conv(4, 6), sn1=lif(), squeeze=layer.Linear(6, 5), sn2=lif(), excite=layer.Linear(5, 6),
        head=head(6),
    )  # fmt: skip


def dense_block_behind_time() -> Wired:
    """Its forward counts axes from the left, so that it cannot run single-step; some layers are plain ones."""

    def wiring(net: Any, x: Tensor) -> Any:
        steps, batch, _, height, width = x.shape
        a = net.sn1(net.conv1(x))
        b = net.sn2(net.box(a))
        both = torch.cat([a, b], 2).flatten(3).reshape(steps, batch, -1, height, width)
        return net.fc(net.sn3(net.norm(net.conv3(both))).mean((3, 4)))

    box = layer.MultiStepContainer(nn.Conv2d(6, 5, 3, padding=1))
    return Wired(
        wiring, conv1=conv(4, 6), sn1=lif(), box=box, sn2=lif(), conv3=conv(11, 7),
        norm=layer.BatchNorm2d(7), sn3=lif(), fc=nn.Linear(7, 3),
    )  # fmt: skip


def thresholds_behind_time() -> Wired:
    """Neurons with tensors of their own, in a forward that wants all axes."""

    def wiring(net: Any, x: Tensor) -> Any:
        steps, batch, *_ = x.shape
        return net.head(net.sn(net.norm(net.conv(x)))).reshape(steps, batch, 3)

    return Wired(wiring, conv=conv(4, 6), norm=layer.BatchNorm2d(6), sn=OwnThreshold(OWN), head=head(6))


def gate_behind_time() -> Wired:
    """Squeeze and excitation on ``[T, B, C, H, W]``, with pixels summed up and stretched by hand."""

    def wiring(net: Any, x: Tensor) -> Any:
        spikes = net.sn1(net.conv1(x))
        steps, batch, width = spikes.shape[:3]
        gate = net.excite(net.sn2(net.squeeze(spikes.flatten(3).mean(3)))).sigmoid()
        gated = spikes * gate.unsqueeze(3).unsqueeze(-1)
        return net.fc(net.pool(gated).view(steps, batch, width * 4))

    return Wired(
        wiring, conv1=conv(4, 6), sn1=lif(), squeeze=layer.Linear(6, 5), sn2=lif(), excite=nn.Linear(5, 6),
        pool=layer.AdaptiveAvgPool2d(2), fc=layer.Linear(24, 3),
    )  # fmt: skip


def tokens() -> Wired:
    """Pixels in a row, each seen by a convolution of its own length: what transformers do outside of attention."""

    def wiring(net: Any, x: Tensor) -> Any:
        spikes = net.sn1(net.conv1(x)).flatten(-2)
        hidden = net.sn2(net.norm(net.wide(spikes)))
        return net.fc((spikes + net.narrow(hidden)).mean(-1))

    return Wired(
        wiring, conv1=conv(4, 6), sn1=lif(), wide=layer.Conv1d(6, 9, 1), norm=layer.BatchNorm1d(9), sn2=lif(),
        narrow=layer.Conv1d(9, 6, 1), fc=layer.Linear(6, 3),
    )  # fmt: skip


def container() -> Wired:
    pair = layer.SeqToANNContainer(nn.Conv2d(6, 5, 3, bias=False), nn.BatchNorm2d(5))
    return chain(pair, lif(), features=5)


def voting_head() -> Wired:
    body = nn.Sequential(conv(4, 6), lif(), layer.Flatten(), layer.Linear(6 * 64, 6), lif())
    return Wired(lambda net, x: net.body(x).unflatten(-1, (3, 2)).mean(-1), body=body)


class ByStep(nn.Module):
    """A batch norm for each step, each with its own statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in X_TBCHW)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return torch.stack([norm(x_BCHW) for norm, x_BCHW in zip(self.norms, x_TBCHW, strict=False)])


class ByIndex(ByStep):
    """The same, written with indices and a concatenation."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return torch.cat([self.norms[t](x_TBCHW[t]).unsqueeze(0) for t in range(len(x_TBCHW))])


class ByMemory(base.MemoryModule):  # type: ignore[misc]  # spikingjelly is untyped
    """The same, with a count of steps that is reset."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in X_TBCHW)
        self.register_memory("t", 0)

    def single_step_forward(self, x_BCHW: Tensor) -> Tensor:
        self._memories["t"] += 1
        y_BCHW: Tensor = self.norms[self._memories["t"] - 1](x_BCHW)
        return y_BCHW

    def multi_step_forward(self, x_TBCHW: Tensor) -> Tensor:
        return torch.stack([self.single_step_forward(x_BCHW) for x_BCHW in x_TBCHW])


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "threshold-dependent": lambda channels: layer.ThresholdDependentBatchNorm2d(1.0, 0.5, channels),
    "temporal effective": lambda channels: layer.TemporalEffectiveBatchNorm2d(len(X_TBCHW), channels),
    "through time": lambda channels: layer.BatchNormThroughTime2d(len(X_TBCHW), channels),
    "by step": ByStep,
    "by index": ByIndex,
    "by memory": ByMemory,
}


def normalised(kind: str) -> Wired:
    return chain(conv(6, 5, bias=False), NORMS[kind](5), lif(), features=5)


def spoken_twice(kind: str) -> Wired:
    """Behind a function that needs T and B apart, so that one step of a multi-step pass is traced."""
    network: Any = normalised(kind)
    network.wiring = lambda net, x: net.body(x.flatten(0, 1).unflatten(0, tuple(x.shape[:2])))
    return network  # type: ignore[no-any-return]  # a Wired


OWN = torch.tensor([-2.0, 0.5, 1.0, 1.5, -1.0, 2.0])  # a channel below zero fires without drive
GROUPS: dict[str, tuple[Callable[[], Wired], list[tuple[str, int, str, str]]]] = {
    "concatenation": (
        dense_block,
        [("conv1", 6, "conv1", "conv2 conv3"), ("conv2", 5, "conv2", "conv3"), ("conv3", 7, "conv3", "head.2")],
    ),
    "membrane shortcut": (membrane_shortcut, [("conv1", 6, "conv1 conv2", "conv2 head.2")]),
    "squeeze and excitation": (
        squeeze_excitation,
        [("conv1", 6, "conv1 excite", "squeeze head.2"), ("squeeze", 5, "squeeze", "excite")],
    ),
    "concatenation behind a time axis": (
        dense_block_behind_time,
        [("conv1", 6, "conv1", "box.0 conv3"), ("box.0", 5, "box.0", "conv3"), ("conv3", 7, "conv3", "fc")],
    ),
    "squeeze and excitation behind a time axis": (
        gate_behind_time,
        [("conv1", 6, "conv1 excite", "squeeze fc"), ("squeeze", 5, "squeeze", "excite")],
    ),
    "own thresholds behind a time axis": (thresholds_behind_time, [("conv", 6, "conv", "head.2")]),
    "tokens": (tokens, [("conv1", 6, "conv1 narrow", "wide fc"), ("wide", 9, "wide", "narrow")]),
    "container": (container, [("body.0", 6, "body.0", "body.2.0"), ("body.2.0", 5, "body.2.0", "body.4.2")]),
    "voting": (voting_head, [("body.0", 6, "body.0", "body.3")]),
    "depthwise": (
        lambda: chain(conv(6, 6, groups=6), layer.BatchNorm2d(6), lif(), conv(6, 5), lif(), features=5),
        [("body.0", 6, "body.0 body.2", "body.2 body.5"), ("body.5", 5, "body.5", "body.7.2")],
    ),
    "depthwise, two filters a channel": (
        lambda: chain(conv(6, 12, groups=6), lif(), features=12),
        [("body.0", 6, "body.0 body.2", "body.2 body.4.2")],
    ),
    "two blocks": (
        lambda: chain(conv(6, 4, groups=2), lif(), features=4),
        [("body.0", 2, "body.0 body.2", "body.2 body.4.2")],
    ),
    "blocks of the image": (
        lambda: Wired(
            lambda net, x: net.body(x),
            body=nn.Sequential(conv(4, 8, groups=4), lif(), conv(8, 5), lif(), head(5)),
        ),
        [("body.2", 5, "body.2", "body.4.2")],
    ),
    "learned leak": (
        lambda: chain(conv(6, 5), lif(neuron.ParametricLIFNode), features=5),
        [("body.0", 6, "body.0", "body.2"), ("body.2", 5, "body.2", "body.4.2")],
    ),
    "own thresholds": (
        lambda: chain(conv(6, 6), layer.BatchNorm2d(6), OwnThreshold(OWN)),
        [("body.0", 6, "body.0", "body.2"), ("body.2", 6, "body.2", "body.5.2")],
    ),
}


def awake(network: Wired) -> Any:
    """Weights that are binary fractions (so that sums are exact) and make neurons fire; matching statistics."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = 1.0
                if module.affine:
                    nn.init.uniform_(module.weight, 1.0, 3.0)
                    if module.bias is not None:
                        nn.init.uniform_(module.bias, 0.0, 2.0)
            elif isinstance(module, nn.Conv2d | nn.Conv1d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 4.0 / module.weight[0].numel() ** 0.5)
                module.weight.copy_((64 * module.weight).round() / 64)
                if module.bias is not None:
                    module.bias.copy_(torch.randint(64, module.bias.shape) / 16)
        run_network(network.train(), X_TBCHW)
    return network.eval()


def outputs(network: nn.Module) -> tuple[Tensor, float]:
    """Logits, and the lowest firing rate of a neuron layer."""
    rates = []
    kinds = (neuron.BaseNode, OwnThreshold)
    hooks = [
        module.register_forward_hook(lambda _, __, spikes: rates.append(spikes.mean().item()))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    with torch.no_grad():
        logits_TBK = run_network(network, X_TBCHW)
    for hook in hooks:
        hook.remove()
    return logits_TBK, min(rates)


@pytest.mark.parametrize("case", GROUPS)
def test_removed_equals_silenced(case: str) -> None:
    build, expected = GROUPS[case]
    network = awake(build())
    plan = ChannelPlan.trace(network, X_TBCHW)
    found = [(g.name, g.width, " ".join(g.layers), " ".join(g.consumers)) for g in plan.groups]
    assert found == expected
    keep = {group.name: range(1, group.width, 2) for group in plan.groups}
    small = shrink(network, keep, X_TBCHW)
    (removed_TBK, rate), (silenced_TBK, _) = outputs(small), outputs(plan.mask(network, keep))
    torch.testing.assert_close(removed_TBK, silenced_TBK, rtol=0, atol=1e-5)
    assert rate > 0.02
    assert (removed_TBK - outputs(network)[0]).abs().max() > 0.1


@pytest.mark.parametrize("build", [normalised, spoken_twice])
@pytest.mark.parametrize("kind", NORMS)
def test_batch_norms_that_know_of_time_lose_channels(kind: str, build: Callable[[str], Wired]) -> None:
    network = awake(build(kind))
    plan = ChannelPlan.trace(network, X_TBCHW)
    assert [(group.name, group.width) for group in plan.groups] == [("body.0", 6), ("body.2", 5)]
    keep = {"body.0": [1, 2], "body.2": [0, 3, 4]}
    small = shrink(network, keep, X_TBCHW)
    (removed_TBK, rate), (silenced_TBK, _) = outputs(small), outputs(plan.mask(network, keep))
    torch.testing.assert_close(removed_TBK, silenced_TBK, rtol=0, atol=1e-5)
    assert rate > 0.02
    norms = [module for module in small.body[3].modules() if isinstance(module, _BatchNorm)]
    assert {norm.num_features for norm in norms} == {3} == {len(norm.running_mean) for norm in norms}
    assert len(norms) == (1 if kind.startswith("t") and kind != "through time" else len(X_TBCHW))


def test_batch_norms_that_know_of_time_are_scored_and_measured_anew() -> None:
    network = awake(
        chain(conv(6, 5, bias=False), NORMS["threshold-dependent"](5), lif(), conv(5, 5), lif(), features=5)
    )
    norm = network.body[3]
    plan = ChannelPlan.trace(network, X_TBCHW, prune_first=False)
    plan = ChannelPlan(plan.groups[:1], {}, plan._uses, plan._sizes)
    batch = (X_TBCHW, torch.tensor([0, 1]))
    scores = channel_scores("bn_gamma", network, plan, 0)["body.2"]
    assert scores.tolist() == pytest.approx(norm.weight.abs().tolist())
    assert channel_scores("taylor", network, plan, 0, [batch])["body.2"].max() > 0.0
    norm.running_mean.fill_(99.0)
    recalibrate_batch_norm_(network, [X_TBCHW])
    assert norm.running_mean.abs().max() < 20.0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("build", [dense_block, tokens, container, voting_head])
def test_tracing_does_not_depend_on_memory_format_or_mode(build: Callable[[], Wired], training: bool) -> None:
    network = build()
    expected = ChannelPlan.trace(network, X_TBCHW).groups
    with channels_last(network.train(training)):
        found = ChannelPlan.trace(
            network, X_TBCHW.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, (3, 2))
        )
        assert network.training is training
    assert found.groups == expected


def test_a_pool_over_all_pixels_can_be_traced_with_channels_last() -> None:
    """Autograd calls what follows it AsStrided there."""
    body = nn.Sequential(conv(4, 6), lif(), conv(6, 5), lif(), layer.AdaptiveAvgPool2d(1), layer.Flatten())
    network = Wired(lambda net, x: net.fc(net.body(x)), body=body, fc=layer.Linear(5, 3))
    with channels_last(network):
        assert [group.name for group in ChannelPlan.trace(network, X_TBCHW).groups] == ["body.0", "body.2"]


def test_a_grouped_convolution_loses_whole_blocks() -> None:
    network = awake(chain(conv(6, 4, groups=2), lif(), features=4))
    grouped = shrink(network, {"body.0": [1]}, X_TBCHW).get_submodule("body.2")
    assert isinstance(grouped, nn.Conv2d)
    assert (grouped.in_channels, grouped.out_channels, grouped.groups) == (3, 2, 1)
    assert torch.equal(grouped.weight, network.body[2].weight[2:])
    uses = {(use.layer, use.side): use for use in ChannelPlan.trace(network, X_TBCHW).positions("body.0")}
    assert uses["body.0", "out"].positions_CP.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert uses["body.2", "out"].positions_CP.tolist() == [[0, 1], [2, 3]]


def test_concatenated_channels_lie_behind_each_other() -> None:
    uses = ChannelPlan.trace(dense_block(), X_TBCHW).positions("conv2")
    assert uses[-1].layer == "conv3"
    assert uses[-1].positions_CP.tolist() == [[6], [7], [8], [9], [10]]


def test_a_neuron_loses_its_own_numbers() -> None:
    network = chain(conv(6, 6), layer.BatchNorm2d(6), OwnThreshold(OWN))
    small: Any = shrink(network, {"body.2": [0, 3]}, X_TBCHW)
    assert small.body[4].threshold.flatten().tolist() == [-2.0, 1.5]
    assert torch.equal(small.body[4].leak, torch.linspace(0.5, 0.9, 6)[[0, 3]])
