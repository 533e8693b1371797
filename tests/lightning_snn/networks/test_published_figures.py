"""Parameters and operations of every network, from lists of layers written by hand, against published figures.

D' is the conventional count of multiply-accumulates (output pixels x weights), D the border-exact one.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from lightning_snn.networks import build_network
from lightning_snn.synops import measure_synops


@dataclass(frozen=True)
class Conv:
    """A square convolution with padding kernel // 2, and the batch norm behind it."""

    inputs: int
    outputs: int
    size: int
    """Rows and columns of its input."""
    kernel: int = 3
    stride: int = 1
    bias: bool = False

    @property
    def parameters(self) -> int:
        return self.weights + self.outputs * (2 + self.bias)

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.kernel**2

    @property
    def conventional(self) -> int:
        return self.weights * len(range(0, self.size, self.stride)) ** 2

    @property
    def exact(self) -> int:
        """Weights that meet a pixel and not the padding, counted one by one along an axis."""
        taps = itertools.product(range(0, self.size, self.stride), range(self.kernel))
        meetings = sum(0 <= output + tap - self.kernel // 2 < self.size for output, tap in taps)
        return self.inputs * self.outputs * meetings**2


def row(widths: Sequence[int], sizes: Sequence[int], inputs: int, *, bias: bool) -> list[Conv]:
    channels = [inputs, *widths]
    return [Conv(a, b, size, bias=bias) for a, b, size in zip(channels, widths, sizes, strict=False)]


def stage(inputs: int, width: int, size: int, blocks: int) -> list[Conv]:
    """A stage that halves ``size`` pixels; its shortcut is a 1 x 1 convolution."""
    first = [Conv(inputs, width, size, stride=2), Conv(inputs, width, size, kernel=1, stride=2)]
    return first + [Conv(width, width, size // 2)] * (2 * blocks - 1)


VGG16 = row(
    [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
    [32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2],
    3,
    bias=True,
)
RESNET18 = [
    *[Conv(3, 64, 32)],
    *[Conv(64, 64, 32)] * 4,
    *stage(64, 128, 32, 2),
    *stage(128, 256, 16, 2),
    *stage(256, 512, 8, 2),
]
RESNET19 = [
    *[Conv(3, 64, 32)],
    *[Conv(64, 128, 32), Conv(64, 128, 32, kernel=1)],
    *[Conv(128, 128, 32)] * 5,
    *stage(128, 256, 32, 3),
    *stage(256, 512, 16, 2),
]
RESNET20 = [*[Conv(3, 16, 32)], *[Conv(16, 16, 32)] * 6, *stage(16, 32, 32, 3), *stage(32, 64, 16, 3)]
RESNET_SMALL = [*[Conv(1, 16, 8)], *[Conv(16, 16, 8)] * 2, *stage(16, 32, 8, 1), *stage(32, 64, 4, 1)]
VGGSNN = row([64, 128, 256, 256, 512, 512, 512, 512], [48, 48, 24, 24, 12, 12, 6, 6], 2, bias=True)
CONV5 = row([64, 128, 128, 256, 256], [48, 24, 12, 6, 3], 2, bias=True)
COMPACT = row([16, 32, 64, 128], [34, 17, 8, 4], 2, bias=True)
CONV6 = row([256] * 6, [32, 32, 32, 16, 16, 16], 3, bias=False)


def network_for(name: str, inputs: int, **options: Any) -> nn.Module:
    return build_network(name, num_classes=10, in_channels=inputs, **options)


@pytest.mark.parametrize(
    ("name", "convolutions", "linear", "total"),
    [
        ("vgg16", VGG16, 512 * 10 + 10, 14_728_266),
        ("resnet18", RESNET18, 512 * 10 + 10, 11_173_962),
        ("resnet19", RESNET19, 512 * 256 + 256 + 256 * 10 + 10, 12_630_858),
        ("resnet20", RESNET20, 64 * 10 + 10, 272_474),
        ("resnet_small", RESNET_SMALL, 64 * 10 + 10, 77_754),
        ("vggsnn", VGGSNN, 4608 * 10 + 10, 9_271_498),
        ("conv5_fc1", CONV5, 256 * 10 + 10, 1_112_138),
        ("dvs_compact", COMPACT, 512 * 10 + 10, 102_906),
        ("conv6_fc2", CONV6, 16384 * 2048 + 2048 * 100, 36_718_336),
    ],
)
def test_parameters_are_those_of_the_layers(name: str, convolutions: list[Conv], linear: int, total: int) -> None:
    with torch.device("meta"):  # counted, never filled
        network = network_for(name, convolutions[0].inputs)
    assert sum(parameter.numel() for parameter in network.parameters()) == total
    assert sum(convolution.parameters for convolution in convolutions) + linear == total


@pytest.mark.parametrize("shortcut", ["vanilla", "sew", "membrane"])
def test_the_residual_form_changes_no_parameter(shortcut: str) -> None:
    with torch.device("meta"):
        network = network_for("resnet19", 3, shortcut=shortcut)
    # 12.63 M: STBP-tdBN, TET and ANN rows of the CIFAR table in Spikformer (ICLR 2023)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2) == 12.63


def test_operations_are_those_of_the_literature() -> None:
    assert round(4 * sum(c.conventional for c in VGG16) / 1e6, 1) == 1252.8
    assert round(4 * sum(c.exact for c in VGG16) / 1e6, 1) == 989.2
    # with the shortcuts' convolutions; the classifier's 0.02 M do not show
    assert round(4 * sum(c.conventional for c in RESNET18) / 1e6, 1) == 2221.7
    # He's ResNet-20 has shortcuts without weights: 40.55 M multiply-accumulates
    assert round(sum(c.conventional for c in RESNET20 if c.kernel == 3) / 1e6, 2) == 40.55


@pytest.mark.parametrize(
    ("name", "convolutions", "linear", "size"),
    [
        ("vgg16", VGG16, 5120, 32),
        ("resnet18", RESNET18, 5120, 32),
        ("resnet20", RESNET20, 640, 32),
        ("resnet_small", RESNET_SMALL, 640, 8),
        ("conv5_fc1", CONV5, 2560, 48),
        ("dvs_compact", COMPACT, 5120, 34),
    ],
)
@pytest.mark.parametrize("steps", [2])
def test_dense_operations_are_counted_without_the_padding(
    name: str, convolutions: list[Conv], linear: int, size: int, steps: int
) -> None:
    inputs = convolutions[0].inputs
    report = measure_synops(network_for(name, inputs), [torch.rand(steps, 1, inputs, size, size)])
    assert report.dense == steps * (sum(convolution.exact for convolution in convolutions) + linear)
    found = sorted(layer.dense for layer in report.layers.values())
    assert found == sorted([*(steps * convolution.exact for convolution in convolutions), steps * linear])
