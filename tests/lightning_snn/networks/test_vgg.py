"""Layer plans, sizes and the neuron's equation, worked by hand; every member keeps the promises of a family."""

import itertools
import math
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks import build_network
from tests.lightning_snn.networks.conformance import NetworkConformance


class TestVGGSmall(NetworkConformance):
    family = "vgg_small"
    natural = (1, 8, 8)
    other = (2, 13, 13)


class TestVGGCompact(NetworkConformance):
    family = "vgg_compact"
    natural = (3, 32, 32)
    other = (1, 16, 16)


class TestVGG11(NetworkConformance):
    family = "vgg11"
    natural = (3, 32, 32)
    other = (2, 48, 48)


class TestVGG16(NetworkConformance):
    family = "vgg16"
    natural = (3, 32, 32)
    other = (2, 48, 48)


def vgg(name: str = "vgg_small", **options: Any) -> nn.Module:
    return build_network(name, num_classes=10, in_channels=3, **options)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_are_those_of_the_literature() -> None:
    assert parameters(vgg("vgg16")) == 14_728_266  # as worked out from the plan by hand
    # convolutions 3-64-128-256-256-512-512-512-512 of 3 x 3, with bias and two numbers of batch norm a channel
    channels = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(9 * a * b + 3 * b for a, b in itertools.pairwise(channels))
    assert parameters(vgg("vgg11")) == convolutions + 512 * 10 + 10 == 9_231_114


@pytest.mark.parametrize(
    ("name", "widths", "pools_after", "features"),
    [
        ("vgg_small", [16, 16, 32, 32, 64], [2, 4, 5], 64),
        ("vgg_compact", [32, 64, 128, 128, 128, 128], [1, 2, 4, 6], 512),
        ("vgg11", [64, 128, 256, 256, 512, 512, 512, 512], [1, 2, 4, 6, 8], 512),
        ("vgg16", [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, [2, 4, 7, 10, 13], 512),
    ],
)
def test_layers_are_those_of_the_plan(name: str, widths: list[int], pools_after: list[int], features: int) -> None:
    network = vgg(name)
    expected = []
    for position in range(1, len(widths) + 1):
        expected += ["Conv2d", "BatchNorm2d", "LIFNode"] + ["MaxPool2d"] * (position in pools_after)
    assert [type(module).__name__ for module in network.get_submodule("features").children()] == expected
    assert [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)] == widths
    assert all(module.bias is not None for module in network.modules() if isinstance(module, nn.Conv2d))
    head = network.get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features) == (features, 10)


def test_a_plan_of_ones_own_is_taken() -> None:
    network = vgg(plan=[4, "M", 6], image_size=5)
    assert [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)] == [4, 6]
    assert network.get_submodule("classifier").in_features == 6 * 2 * 2  # five pixels halve to two
    averaging = vgg(plan=[4, "A", 6, "M"], image_size=5).get_submodule("features")
    assert [type(module).__name__ for module in averaging.children()][3::4] == ["AvgPool2d", "MaxPool2d"]


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        ([], r"found \[\]"),
        (["M", "M"], r"found \['M', 'M'\]"),
        ([16, 0], "found 0"),
        ([16, -3], "found -3"),
        ([16, "P"], "found 'P'"),
        ([16, 2.5], r"found 2\.5"),
        ("M16", "found 'M16'"),
        ([16, True], "found True"),
        ([16, [8]], r"found \[8\]"),
        ({}, "found {}"),
        ([16, 2**31], "found 2147483648"),
    ],
)
def test_a_plan_that_is_none_is_refused(plan: Any, found: str) -> None:
    with pytest.raises(
        NetworkError, match=rf"network\.options\.plan holds channel numbers.*{found}\. For example: \[16"
    ):
        vgg(plan=plan)


@pytest.mark.parametrize(("name", "size", "pools"), [("vgg_small", 7, 3), ("vgg16", 28, 5), ("vgg_compact", 8, 4)])
def test_more_pools_than_the_image_allows_are_refused(name: str, size: int, pools: int) -> None:
    message = f"halves the image {pools} times and needs {2**pools} pixels a side, found {size}. Choose"
    with pytest.raises(NetworkError, match=message):
        vgg(name, image_size=size)
    vgg("vgg_small", image_size=2**3)


def lif(**options: Any) -> neuron.LIFNode:
    """The neuron that a network is built from."""
    return next(module for module in vgg(**options).modules() if isinstance(module, neuron.LIFNode))


def spikes(drive: list[float], **options: Any) -> list[int]:
    spikes_T: list[int] = lif(**options)(torch.tensor(drive, dtype=torch.float64)).int().tolist()
    return spikes_T


def test_the_neuron_by_hand() -> None:
    # v: 0.6, 0.9, 1.05 (spike, back to 0), 0.6, 0.9, 1.05 (spike)
    assert spikes([0.6] * 6) == [0, 0, 1, 0, 0, 1]
    # the input is not divided by tau, and a spike falls on the threshold: 1.0
    assert spikes([1.0, 0.5, 0.75, 5.0, 0.9]) == [1, 0, 1, 1, 0]
    # hard reset: what exceeds the threshold is lost, and inhibition is kept: -1, then -0.5 + 1.4 = 0.9
    assert spikes([9.0, 0.9, -1.45, 1.4, 0.5]) == [1, 0, 0, 0, 0]


def test_its_options_by_hand() -> None:
    # leak 3/4: 0.4, 0.7, 0.925, 1.09375
    assert spikes([0.4] * 4, tau=4.0) == [0, 0, 0, 1]
    # half of every input: v + (x - v) / 2 = 0.75, 1.125 for 1.5
    assert spikes([1.5] * 3, decay_input=True) == [0, 1, 0]
    # 0.4, 0.6 (spike)
    assert spikes([0.4, 0.4, 0.4], threshold=0.5) == [0, 1, 0]


def test_its_surrogate_is_the_arctan_of_width_two() -> None:
    # derivative of arctan(pi v) / pi + 1/2 at v - threshold
    for drive in (1.0, 0.5, 1.7):
        x = torch.tensor([drive], dtype=torch.float64, requires_grad=True)
        torch.autograd.backward(lif()(x).sum())
        assert x.grad is not None
        assert float(x.grad) == pytest.approx(1 / (1 + (math.pi * (drive - 1.0)) ** 2), rel=1e-6)


def test_no_gradient_flows_through_the_reset() -> None:
    # after a spike v is 0 x (1 - spike): the second step does not know the first, though the surrogate would
    x = torch.tensor([1.2, 0.5], dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(lif()(x)[1])
    assert x.grad is not None
    assert x.grad[0] == 0.0
    assert x.grad[1] > 0.0


def test_the_readout_is_a_current_of_every_step() -> None:
    network = vgg()
    x_TBCHW = torch.rand(3, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []
    network.get_submodule("flatten").register_forward_hook(lambda _, __, features: seen.append(features))
    logits_TBK = network(x_TBCHW)
    head = network.get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    assert torch.allclose(logits_TBK, seen[0] @ head.weight.T + head.bias, atol=1e-6)
