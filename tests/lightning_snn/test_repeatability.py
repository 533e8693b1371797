"""A network that is no function of its input is refused, with what makes it none; networks that are, pass."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import encoding
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks import build_network
from lightning_snn.repeatability import check_repeatable
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

EXAMPLE = torch.rand(3, 1, 1, 4, 4)


class Own(nn.Module):
    """Convolution, neuron, classifier; what a subclass does to the spikes or the input makes it no function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layer.Conv2d(1, 4, 3, padding=1)
        self.lif = neuron.LIFNode()
        self.head = layer.Linear(64, 3)
        functional.set_step_mode(self, "m")

    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return x_TBCHW

    def mix(self, s_TBCHW: Tensor) -> Tensor:
        return s_TBCHW

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        s_TBCHW = self.mix(self.lif(self.conv(self.encode(x_TBCHW))))
        logits_TBK: Tensor = self.head(s_TBCHW.flatten(2))
        return logits_TBK


class Poisson(Own):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return (torch.rand_like(x_TBCHW) < x_TBCHW).to(x_TBCHW)


class Encoder(Own):
    def __init__(self) -> None:
        super().__init__()
        self.poisson = encoding.PoissonEncoder()
        functional.set_step_mode(self, "m")

    def encode(self, x_TBCHW: Tensor) -> Tensor:
        spikes: Tensor = self.poisson(x_TBCHW)
        return spikes.to(x_TBCHW)


class Dropped(Own):
    def mix(self, s_TBCHW: Tensor) -> Tensor:
        return nn.functional.dropout(s_TBCHW, 0.5)


class NumpyNoise(Own):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return x_TBCHW + torch.as_tensor(np.random.rand(*x_TBCHW.shape)).to(x_TBCHW)


class PythonNoise(Own):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return x_TBCHW + random.random()


class OwnGenerator(Own):
    """Draws from a generator that goes on from pass to pass: seeds do not reach it."""

    count = itertools.count()

    def encode(self, x_TBCHW: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(next(self.count))
        return x_TBCHW + torch.rand(x_TBCHW.shape, generator=generator, dtype=x_TBCHW.dtype)


class OwnGeneratorInTraining(OwnGenerator):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return super().encode(x_TBCHW) if self.training else x_TBCHW


class FiresOnce(Own):
    """A neuron that has fired stays silent, until somebody resets what reset_net does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.fired: Any = 0.0

    def mix(self, s_TBCHW: Tensor) -> Tensor:
        s_TBCHW = s_TBCHW * (1.0 - self.fired)
        self.fired = torch.clamp(self.fired + s_TBCHW.sum(0), max=1.0)
        return s_TBCHW


class FixedBatch(Own):
    """Makes its state once, for the first batch that it sees, and changes nothing in it."""

    state: Tensor | None = None

    def mix(self, s_TBCHW: Tensor) -> Tensor:
        if self.state is None:
            self.state = torch.ones_like(s_TBCHW)
        return s_TBCHW.reshape(self.state.shape) * self.state


class Mixing(Own):
    def mix(self, s_TBCHW: Tensor) -> Tensor:
        return s_TBCHW - s_TBCHW.mean(1, keepdim=True)


class BatchStatistics(Own):
    def mix(self, s_TBCHW: Tensor) -> Tensor:
        return nn.functional.batch_norm(s_TBCHW.flatten(0, 1), None, None, training=True).view_as(s_TBCHW)


class OtherOrder(Own):
    """The first sample of a batch is special, alone or not."""

    def mix(self, s_TBCHW: Tensor) -> Tensor:
        return torch.cat([s_TBCHW[:, :1] * 2.0, s_TBCHW[:, 1:]], dim=1)


class SeededNoise(Own):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return x_TBCHW + torch.rand(x_TBCHW[:, :1].shape, generator=generator, dtype=x_TBCHW.dtype)


class Float32(Own):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return x_TBCHW.float()


class NoiseInTraining(Own):
    def encode(self, x_TBCHW: Tensor) -> Tensor:
        return x_TBCHW + torch.rand_like(x_TBCHW) if self.training else x_TBCHW


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Poisson, r"draws random numbers in evaluation mode \(first seen in what layer 'conv' puts out\)"),
        (Encoder, r"draws random numbers in evaluation mode \(first seen in what layer 'poisson' puts out\)"),
        (Dropped, r"draws random numbers in evaluation mode \(first seen in what layer 'head' puts out\)"),
        (NumpyNoise, "draws random numbers in evaluation mode"),
        (PythonNoise, "draws random numbers in evaluation mode"),
        (OwnGenerator, "keeps something from one pass to the next that functional.reset_net does not reset"),
        (FiresOnce, "keeps something from one pass to the next .*first seen in what layer 'head' puts out"),
        (FixedBatch, "runs on a batch of one, and then on one of two no more: RuntimeError: shape"),
        (Mixing, "gives a sample other logits where another one is in the batch"),
        (BatchStatistics, "gives a sample other logits where another one is in the batch"),
        (OtherOrder, "or where it stands in it"),
        (OwnGeneratorInTraining, "trains otherwise each time"),
    ],
)
def test_what_makes_a_network_no_function_of_its_input_is_named(kind: type[Own], found: str) -> None:
    network = kind()
    with pytest.raises(NetworkError, match=f"{kind.__name__} .*{found}"):
        check_repeatable(network, EXAMPLE)


@pytest.mark.parametrize("kind", [Own, SeededNoise, Float32, NoiseInTraining])
def test_functions_of_the_input_pass(kind: type[Own]) -> None:
    check_repeatable(kind(), EXAMPLE)


def test_networks_with_dropout_residuals_and_either_step_mode_pass_and_are_left_alone() -> None:
    for network in (residual(), tiny_vgg()):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        check_repeatable(network.train(), EXAMPLE)
        functional.set_step_mode(network, "s")
        check_repeatable(network, EXAMPLE)
        assert network.training
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["vgg_small", "resnet_small"])
def test_built_in_networks_pass(name: str) -> None:
    check_repeatable(build_network(name, num_classes=3, in_channels=1), torch.rand(2, 1, 1, 8, 8))


def test_random_numbers_of_others_are_left_alone() -> None:
    network = Own()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_repeatable(network, EXAMPLE)
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_default_dtype() == torch.float32
