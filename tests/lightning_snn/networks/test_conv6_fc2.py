"""Layers, votes and dropout of 6Conv2FC, worked by hand; it keeps the promises of a family."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks import build_network
from lightning_snn.surgery import channel_groups
from tests.lightning_snn.networks.conformance import NetworkConformance


class TestConv6FC2(NetworkConformance):
    family = "conv6_fc2"
    natural = (3, 32, 32)
    other = tested = (3, 8, 8)

    def awaken_(self, network: nn.Module) -> None:
        with torch.no_grad():
            network.get_parameter("hidden.weight").mul_(8.0)


def conv6(classes: int = 10, **options: Any) -> nn.Module:
    return build_network("conv6_fc2", num_classes=classes, in_channels=3, **{"image_size": 4, **options})


def test_the_decay_of_the_papers_is_an_option() -> None:
    for decay in (True, False):
        neurons = [m for m in conv6(decay_input=decay).modules() if isinstance(m, neuron.LIFNode)]
        assert [each.decay_input for each in neurons] == [decay] * 7


def images(steps: int = 2) -> Tensor:
    return torch.rand(steps, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_layers_are_those_of_the_papers() -> None:
    network = conv6(image_size=32)
    layer = ["Conv2d", "BatchNorm2d", "LIFNode"]
    expected = [*layer * 3, "MaxPool2d", *layer * 3, "MaxPool2d"]
    assert [type(module).__name__ for module in network.get_submodule("features").children()] == expected
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [module.out_channels for module in convolutions] == [256] * 6
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [(module.in_features, module.out_features) for module in linear] == [(256 * 8 * 8, 2048), (2048, 100)]
    assert all(module.bias is None for module in [*convolutions, *linear])


def make_all_convolutions_fire_(network: nn.Module) -> None:
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.constant_(norm.bias, 4.0)


@pytest.mark.parametrize("mode", ["m", "s"])
def test_every_class_is_the_mean_of_ten_currents(mode: str) -> None:
    network = conv6(classes=3).eval()
    functional.set_step_mode(network, mode)
    voters = network.get_submodule("voters")
    assert isinstance(voters, nn.Linear)
    assert voters.out_features == 30
    make_all_convolutions_fire_(network)
    with torch.no_grad():
        network.get_parameter("hidden.weight").fill_(1.0)
        voters.weight.copy_((torch.arange(30.0) / 2048).view(-1, 1).expand(30, 2048))
        logits = network(images() if mode == "m" else images()[0])
    # all 2048 neurons spike, and voter v of the thirty gets v: the means of 0 to 9, 10 to 19 and 20 to 29
    assert torch.allclose(logits, torch.tensor([4.5, 14.5, 24.5]).expand_as(logits), rtol=1e-4)


def test_the_voting_layer_is_no_group() -> None:
    groups = channel_groups(conv6(classes=3), images())
    convolutions = [f"features.{position}" for position in (0, 3, 6, 10, 13, 16)]
    assert [(group.name, group.width) for group in groups] == [
        *((name, 256) for name in convolutions),
        ("hidden", 2048),
    ]
    assert groups[-1].consumers == ("voters",)


def test_dropout_drops_the_same_values_in_every_step_and_none_in_evaluation() -> None:
    network = conv6(dropout=0.5)
    seen: list[Tensor] = []
    network.get_submodule("dropout").register_forward_hook(
        lambda _, inputs, kept: seen.append((kept != 0) | (inputs[0] == 0))
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        make_all_convolutions_fire_(network)  # so every zero was dropped
        network(images())
        functional.reset_net(network)
        network.eval()(images())
    training_TBF, evaluation_TBF = seen
    assert 0.4 < training_TBF.float().mean() < 0.6
    assert torch.equal(training_TBF[0], training_TBF[1])
    assert evaluation_TBF.all()


@pytest.mark.parametrize("dropout", [1.0, -0.1, 1.5])
def test_a_dropout_that_is_no_share_is_refused(dropout: float) -> None:
    with pytest.raises(NetworkError, match=rf"dropout must lie in \[0, 1\), found {dropout:g}\. Grad R uses 0\.5"):
        conv6(dropout=dropout)


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(NetworkError, match="halves the image 2 times and needs 4 pixels a side, found 3"):
        conv6(image_size=3)
