"""A small residual network of SpikingJelly layers: copy it, change it, prune it.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn


def lif(tau: float) -> nn.Module:
    """Return leaky integrate-and-fire neurons."""
    neurons: nn.Module = neuron.LIFNode(tau=tau, surrogate_function=surrogate.ATan(), detach_reset=True)
    return neurons


def conv_bn(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the image's size (but for the stride), and its batch norm."""
    conv = layer.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, layer.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions beside a shortcut; what is added is current, not spikes."""

    def __init__(self, inputs: int, outputs: int, tau: float) -> None:
        """Halve the image, and go from ``inputs`` to ``outputs`` channels."""
        super().__init__()
        self.first = conv_bn(inputs, outputs, stride=2)
        self.first_lif = lif(tau)
        self.second = conv_bn(outputs, outputs)
        self.shortcut = conv_bn(inputs, outputs, size=1, stride=2)
        self.last_lif = lif(tau)

    def forward(self, x: Tensor) -> Tensor:
        """Take and return spikes."""
        y = self.second(self.first_lif(self.first(x)))
        spikes: Tensor = self.last_lif(y + self.shortcut(x))
        return spikes


class OwnNet(nn.Module):
    """A stem, two blocks, a classifier: inputs ``[T, B, C, H, W]``, logits of every step ``[T, B, K]``."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 16, tau: float = 2.0) -> None:
        """``num_classes`` and ``in_channels`` come from the data, ``network.options`` gives the rest."""
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, width), lif(tau))
        self.blocks = nn.Sequential(Block(width, 2 * width, tau), Block(2 * width, 4 * width, tau))
        self.head = nn.Sequential(layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(4 * width, num_classes))
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        """Neither axes nor steps are counted here, so that both step modes run."""
        logits: Tensor = self.head(self.blocks(self.stem(x)))
        return logits
