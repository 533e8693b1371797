"""Scores of a small residual network, and of one without additions, worked by hand."""

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer
from torch import nn

from lightning_snn.criteria import CRITERIA
from lightning_snn.criteria import channel_scores
from lightning_snn.errors import SurgeryError
from lightning_snn.surgery import ChannelPlan
from tests.lightning_snn.tiny import Residual
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

EXAMPLE = torch.zeros(2, 1, 1, 4, 4)


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
    assert CRITERIA["bn_gamma"](network, plan, "conv1", 0).tolist() == [1.5, 2.25, 3.0, 0.0]


def test_bn_gamma_needs_a_scale_in_every_group() -> None:
    without_norm, without_scale = residual(), tiny_vgg()
    without_scale.get_submodule("features").add_module("4", layer.BatchNorm2d(4, affine=False, step_mode="m"))
    for network, group in ((without_norm, "conv3"), (without_scale, "features.3")):
        with pytest.raises(SurgeryError, match=rf"needs a batch norm with a scale, found none in '{group}'\. Use l1"):
            channel_scores("bn_gamma", network, ChannelPlan.trace(network, EXAMPLE), seed=0)


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
    scores = channel_scores(criterion, network, plan, seed=0)
    assert {name: values.shape for name, values in scores.items()} == {"features.0": (4,), "features.3": (4,)}
    assert all(values.dtype == np.float64 for values in scores.values())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training


@pytest.mark.parametrize(
    ("name", "hint"), [("bn_gama", "Did you mean 'bn_gamma'?"), ("fpgm", "Known names: bn_gamma, l1")]
)
def test_an_unknown_criterion_gets_a_hint(name: str, hint: str) -> None:
    network = tiny_vgg()
    with pytest.raises(SurgeryError) as error:
        channel_scores(name, network, ChannelPlan.trace(network, EXAMPLE), seed=0)
    assert str(error.value).startswith(f"No criterion is called {name!r}. {hint}")
