"""Scores of a small residual network, and of others without additions, worked by hand.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output
from lightning_snn.criteria import CRITERIA
from lightning_snn.criteria import channel_scores
from lightning_snn.errors import SurgeryError
from lightning_snn.surgery import ChannelPlan
from tests.lightning_snn.tiny import Residual
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

EXAMPLE = torch.zeros(2, 1, 1, 4, 4)
BATCHES = [(torch.ones(2, 3, 1, 4, 4), torch.tensor([0, 1, 2]))]


def labelled(x_TBCHW: Tensor) -> list[tuple[Tensor, Tensor]]:
    """One batch, of class 0 throughout."""
    return [(x_TBCHW, torch.zeros(x_TBCHW.shape[1], dtype=torch.int64))]


def fill(module: nn.Module, values: list[float]) -> None:
    """Give all weights of an output channel one value."""
    assert isinstance(module.weight, nn.Parameter)
    for channel, value in enumerate(values):
        nn.init.constant_(module.weight[channel : channel + 1], value)


def weighted_by_hand() -> Residual:
    """Tied are conv1 (9 weights a channel) and conv2 (36); conv3 has 36 and no batch norm."""
    network = residual()
    fill(network.conv1, [1.0, -1.0, 2.0, 0.0])
    fill(network.conv2, [0.5, -0.5, 0.0, 1.0])
    fill(network.conv3, [-0.25, 0.0])
    return network


def test_l1_sums_absolute_weights_over_tied_layers() -> None:
    network = weighted_by_hand()
    scores = channel_scores("l1", network, ChannelPlan.trace(network, EXAMPLE), seed=0)
    assert list(scores) == ["conv1", "conv3"]
    assert scores["conv1"].tolist() == [9 + 18, 9 + 18, 18 + 0, 0 + 36]  # the first two are equal: a tie
    assert scores["conv3"].tolist() == [9, 0]  # its four inputs of the head do not count


def test_l1_counts_no_bias_and_no_batch_norm() -> None:
    network = weighted_by_hand()
    for module in (network.bn1, network.bn2):
        fill(module, [5.0] * 4)
    for module in (network.conv1, network.conv2, network.conv3):
        nn.init.constant_(module.bias, 5.0)
    scores = channel_scores("l1", network, ChannelPlan.trace(network, EXAMPLE), seed=0)
    assert scores["conv1"].tolist() == [27, 27, 18, 36]


def test_bn_gamma_is_the_absolute_scale() -> None:
    network = tiny_vgg()
    fill(network.get_submodule("features.1"), [0.5, -2.0, 0.0, 0.5])
    fill(network.get_submodule("features.4"), [0.0] * 4)  # all zero is not the same as none
    scores = channel_scores("bn_gamma", network, ChannelPlan.trace(network, EXAMPLE), seed=0)
    assert {name: values.tolist() for name, values in scores.items()} == {
        "features.0": [0.5, 2.0, 0.0, 0.5],
        "features.3": [0.0] * 4,
    }


def test_bn_gamma_sums_tied_batch_norms() -> None:
    network = residual()
    fill(network.bn1, [1.0, 2.0, -3.0, 0.0])
    fill(network.bn2, [-0.5, 0.25, 0.0, 0.0])
    plan = ChannelPlan.trace(network, EXAMPLE)
    with_norm = replace(plan, groups=plan.groups[:1])
    assert channel_scores("bn_gamma", network, with_norm, seed=0)["conv1"].tolist() == [1.5, 2.25, 3.0, 0.0]


def test_bn_gamma_needs_a_scale_in_every_group() -> None:
    without_norm, without_scale = residual(), tiny_vgg()
    without_scale.get_submodule("features").add_module("4", layer.BatchNorm2d(4, affine=False, step_mode="m"))
    for network, group in ((without_norm, "conv3"), (without_scale, "features.3")):
        with pytest.raises(
            SurgeryError, match=rf"needs a batch norm with a scale, found none in '{group}'\. Use --space\.crit"
        ):
            channel_scores("bn_gamma", network, ChannelPlan.trace(network, EXAMPLE), seed=0)


class Behind(nn.Module):
    """A 1x1 convolution without bias, LIF neurons (V = v / 2 + x, spike at 1, back to 0), a readout."""

    def __init__(self, weights: list[float], pool: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = layer.Conv2d(1, len(weights), 1, bias=False)
        fill(self.conv, weights)
        self.pool = pool or nn.Identity()
        self.lif = neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0)
        self.head = nn.Sequential(layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(len(weights), 3))
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.head(self.lif(self.pool(self.conv(x_TBCHW))))
        return logits_TBK


@pytest.mark.parametrize("mode", ["s", "m"])
def test_activity_is_spikes_plus_absolute_potential_of_the_neurons_behind(mode: str) -> None:
    network = Behind([0.75, -0.5, 1.5])
    functional.set_step_mode(network, mode)
    plan = ChannelPlan.trace(network, torch.ones(3, 1, 1, 2, 2))
    ones_TBCHW, zeros_TBCHW = torch.ones(3, 2, 1, 2, 2), torch.zeros(3, 4, 1, 2, 2)
    # V is 0.75, 0 (spike), 0.75; -0.5, -0.75, -0.875; 0 (spike) thrice.
    expected = np.array([2.5, 2.125, 3.0]) / 3
    for batches, share in (([ones_TBCHW], 1.0), ([ones_TBCHW, zeros_TBCHW], 2 / 6)):
        scores = channel_scores("activity", network, plan, 0, batches=(pair for x in batches for pair in labelled(x)))
        assert scores["conv"].tolist() == pytest.approx((share * expected).tolist(), abs=1e-7)


def activity_by_loop(currents_TBCHW: Tensor, threshold: float) -> NDArray[np.float64]:
    """Mean of spike plus absolute potential after the reset, ``[C]``."""
    v, total = np.zeros(currents_TBCHW.shape[1:]), np.zeros(currents_TBCHW.shape[1:])
    for current in currents_TBCHW.double().numpy():
        v = v / 2 + current
        spikes = v >= threshold
        v[spikes] = 0.0
        total += spikes + abs(v)
    mean_C: NDArray[np.float64] = total.mean(axis=(0, 2, 3)) / len(currents_TBCHW)
    return mean_C


def currents_of(network: nn.Module, x_TBCHW: Tensor) -> dict[str, Tensor]:
    """What goes into each layer of neurons."""
    found: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> Any:
        return module.register_forward_hook(lambda _, inputs, __: found.update({name: inputs[0].detach()}))

    handles = [watch(name, each) for name, each in network.named_modules() if isinstance(each, neuron.LIFNode)]
    run_any_output(network.eval(), x_TBCHW)
    for handle in handles:
        handle.remove()
    functional.reset_net(network)
    return found


def test_activity_sums_over_tied_layers() -> None:
    network = residual()
    for norm in (network.bn1, network.bn2):
        fill(norm, [3.0, 2.0, -2.0, 0.5])
        nn.init.constant_(norm.bias, 0.2)
    x_TBCHW = torch.rand(4, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    plan = ChannelPlan.trace(network, EXAMPLE)
    own = {name: activity_by_loop(x, threshold=0.5) for name, x in currents_of(network, x_TBCHW).items()}
    assert min(len(set(each.round(3))) for each in own.values()) > 1
    scores = channel_scores("activity", network, plan, 0, batches=labelled(x_TBCHW))
    assert scores["conv1"] == pytest.approx(own["lif1"] + own["lif2"], abs=1e-6)
    assert scores["conv3"] == pytest.approx(own["lif3"], abs=1e-6)


class Meeting(nn.Module):
    """Two 1x1 convolutions are added before the same neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Behind([0.5, -0.25]), layer.Conv2d(1, 2, 1, bias=False, step_mode="m")
        fill(self.two, [0.25, -0.25])

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.one.head(self.one.lif(self.one.conv(x_TBCHW) + self.two(x_TBCHW)))
        return logits_TBK


def test_neurons_behind_an_addition_count_for_each_layer() -> None:
    network = Meeting()
    plan = ChannelPlan.trace(network, torch.ones(2, 1, 1, 2, 2))
    scores = channel_scores("activity", network, plan, 0, batches=labelled(torch.ones(2, 1, 1, 2, 2)))
    # 0.75, then 1.125 (spike); -0.5, then -0.75
    assert scores["one.conv"].tolist() == [2 * (0.75 + 1) / 2, 2 * (0.5 + 0.75) / 2]


def test_activity_of_blocks_of_a_grouped_convolution_is_their_mean() -> None:
    conv, grouped = layer.Conv2d(1, 2, 1, bias=False), layer.Conv2d(2, 4, 1, groups=2, bias=False)
    fill(conv, [0.75, 1.5])
    fill(grouped, [0.5, 1.0, 0.25, -1.0])
    lifs = [neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0) for _ in range(2)]
    network = nn.Sequential(conv, lifs[0], grouped, lifs[1], layer.Flatten(), layer.Linear(4, 3))
    functional.set_step_mode(network, "m")
    ones_TBCHW = torch.ones(2, 1, 1, 1, 1)
    scores = channel_scores(
        "activity", network, ChannelPlan.trace(network, ones_TBCHW), 0, batches=labelled(ones_TBCHW)
    )
    # Channel 0 has V = 0.75, then a spike, which drives its block to V = 0, 0.5 and to 0, then a spike.
    # Channel 1 spikes twice, which drives its block to V = 0.25, 0.375 and -1, -1.5.
    means = [(1.75, (0.5 + 1.0) / 2), (2.0, (0.625 + 2.5) / 2)]
    assert scores["0"].tolist() == pytest.approx([(own + block) / 2 for own, block in means], abs=1e-7)


def test_activity_needs_neurons_behind_every_layer() -> None:
    network = nn.Sequential(
        layer.Conv2d(1, 2, 1), layer.Conv2d(2, 3, 1), neuron.IFNode(), layer.Flatten(), layer.Linear(12, 3)
    )
    functional.set_step_mode(network, "m")
    plan = ChannelPlan.trace(network, torch.ones(3, 1, 1, 2, 2))
    with pytest.raises(SurgeryError, match=r"found none with the channels of '0'\. Use --space\.crit"):
        channel_scores("activity", network.train(), plan, 0, batches=labelled(torch.ones(3, 1, 1, 2, 2)))
    assert all(module.training for module in network.modules())


class Doubled(nn.Module):
    """No neurons, so that the loss is smooth in everything: two gated channels, each a class's logit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = layer.Conv2d(1, 2, 1, bias=False), layer.BatchNorm2d(2, eps=0.0)
        self.head = nn.Sequential(layer.Flatten(), layer.Linear(2, 2, bias=False))
        fill(self.conv, [1.0, 3.0])
        nn.init.constant_(self.norm.bias, 0.5)
        with torch.no_grad():
            self.head[1].weight.copy_(torch.eye(2))
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.head(self.norm(self.conv(x_TBCHW)))
        return logits_TBK


def test_taylor_is_the_squared_gradient_of_a_gate_summed_over_batches() -> None:
    network = Doubled().train()
    plan = ChannelPlan.trace(network, torch.ones(1, 1, 1, 1, 1))
    ones_TBCHW = torch.ones(1, 2, 1, 1, 1)
    # Channels are 1 + 0.5 and 3 + 0.5, the logits the same; p = softmax. dL/dg_c = channel_c (p_c - [c is the class]).
    p = np.exp([1.5, 3.5]) / np.exp([1.5, 3.5]).sum()
    first, second = np.array([1.5 * (p[0] - 1.0), 3.5 * p[1]]), np.array([1.5 * p[0], 3.5 * (p[1] - 1.0)])
    batches = [(ones_TBCHW, torch.tensor([0, 0])), (ones_TBCHW, torch.tensor([1, 1]))]
    scores = channel_scores("taylor", network, plan, 0, batches)
    assert scores["conv"] == pytest.approx(first**2 + second**2, rel=1e-5)


def test_taylor_needs_a_batch_norm() -> None:
    network = weighted_by_hand()
    with pytest.raises(SurgeryError, match=r"behind their batch norm, found none in 'conv3'\. Use --space\.crit"):
        channel_scores("taylor", network, ChannelPlan.trace(network, EXAMPLE), 0, BATCHES)


@pytest.mark.parametrize("criterion", ["activity", "taylor"])
def test_activity_and_taylor_need_samples(criterion: str) -> None:
    network = tiny_vgg()
    with pytest.raises(SurgeryError, match=r"found no batch of them\. Set space\.recalibration_batches"):
        channel_scores(criterion, network, ChannelPlan.trace(network, EXAMPLE), seed=0)


@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - {"activity", "taylor"}))
def test_criteria_of_weights_read_no_samples(criterion: str) -> None:
    def never() -> Iterator[tuple[Tensor, Tensor]]:
        raise OSError("read")
        yield

    network = tiny_vgg()
    channel_scores(criterion, network, ChannelPlan.trace(network, EXAMPLE), seed=0, batches=never())


def test_random_is_reproducible_and_blind_to_weights() -> None:
    one, other = tiny_vgg(), tiny_vgg(seed=1)
    plan = ChannelPlan.trace(one, EXAMPLE)
    torch.manual_seed(1)
    np.random.seed(1)
    first = channel_scores("random", one, plan, seed=0)
    second = channel_scores("random", other, plan, seed=0)
    assert {name: scores.tolist() for name, scores in first.items()} == {
        name: scores.tolist() for name, scores in second.items()
    }


def test_random_differs_between_groups_and_seeds() -> None:
    network = tiny_vgg()
    plan = ChannelPlan.trace(network, EXAMPLE)
    drawn = [scores for seed in (0, 1) for scores in channel_scores("random", network, plan, seed=seed).values()]
    assert len({value for scores in drawn for value in scores.tolist()}) == 16  # (0, group 1) and (1, group 0) too


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_scores_every_channel_and_changes_nothing(criterion: str) -> None:
    network = tiny_vgg().train()
    plan = ChannelPlan.trace(network, EXAMPLE)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.get_submodule("features.1").eval()
    flags = [module.training for module in network.modules()]
    scores = channel_scores(criterion, network, plan, seed=0, batches=BATCHES)
    assert {name: values.shape for name, values in scores.items()} == {"features.0": (4,), "features.3": (4,)}
    assert all(values.dtype == np.float64 for values in scores.values())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == flags
    assert not any(module._forward_hooks for module in network.modules())
    assert all(module.v == 0.0 for module in network.modules() if isinstance(module, neuron.LIFNode))


@pytest.mark.parametrize(
    ("name", "hint"), [("bn_gama", "Did you mean 'bn_gamma'?"), ("fpgm", "Known names: activity, bn_gamma, l1")]
)
def test_an_unknown_criterion_gets_a_hint(name: str, hint: str) -> None:
    network = tiny_vgg()
    with pytest.raises(SurgeryError) as error:
        channel_scores(name, network, ChannelPlan.trace(network, EXAMPLE), seed=0)
    assert str(error.value).startswith(f"No criterion is called {name!r}. {hint}")
