"""One network, written in three ways: steps and batch apart, folded by containers, folded in ``forward``.

Their weights are the same ones in the same order, and so must be all figures. Two more do the same for tokens.

Axes: T time steps, B batch, C channels, H rows, W columns, N tokens, K classes.
"""

from typing import Any

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn

CHANNELS, HIDDEN, CLASSES = 4, 6, 3


def lif() -> Any:
    return neuron.LIFNode(
        tau=2.0, decay_input=False, v_threshold=0.1, detach_reset=True, surrogate_function=surrogate.ATan()
    )


class Apart(nn.Module):
    """SpikingJelly's layers see ``[T, B, ...]``."""

    def __init__(self, num_classes: int = CLASSES, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(in_channels, CHANNELS, 3, padding=1)
        self.bn1 = layer.BatchNorm2d(CHANNELS)
        self.lif1 = lif()
        self.conv2 = layer.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.bn2 = layer.BatchNorm2d(CHANNELS)
        self.lif2 = lif()
        self.pool = layer.AdaptiveAvgPool2d(2)
        self.flatten = layer.Flatten()
        self.fc = layer.Linear(4 * CHANNELS, HIDDEN)
        self.lif3 = lif()
        self.head = layer.Linear(HIDDEN, num_classes)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        x_TBCHW = self.lif1(self.bn1(self.conv1(x_TBCHW)))
        x_TBCHW = self.lif2(self.bn2(self.conv2(x_TBCHW)))
        logits_TBK: Tensor = self.head(self.lif3(self.fc(self.flatten(self.pool(x_TBCHW)))))
        return logits_TBK


class InContainers(nn.Module):
    """Plain layers see ``[T * B, ...]``, folded by SpikingJelly's containers."""

    def __init__(self, num_classes: int = CLASSES, in_channels: int = 1) -> None:
        super().__init__()
        fold = layer.SeqToANNContainer
        self.block1 = fold(nn.Conv2d(in_channels, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS))
        self.lif1 = lif()
        self.block2 = fold(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS))
        self.lif2 = lif()
        self.block3 = fold(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * CHANNELS, HIDDEN))
        self.lif3 = lif()
        self.head = fold(nn.Linear(HIDDEN, num_classes))
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        x_TBCHW = self.lif2(self.block2(self.lif1(self.block1(x_TBCHW))))
        logits_TBK: Tensor = self.head(self.lif3(self.block3(x_TBCHW)))
        return logits_TBK


class InForward(nn.Module):
    """Plain layers see ``[T * B, ...]``, folded in ``forward`` as Spikformer's authors do."""

    def __init__(self, num_classes: int = CLASSES, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, CHANNELS, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(CHANNELS)
        self.lif1 = lif()
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(CHANNELS)
        self.lif2 = lif()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(4 * CHANNELS, HIDDEN)
        self.lif3 = lif()
        self.head = nn.Linear(HIDDEN, num_classes)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        T, B = x_TBCHW.shape[:2]
        x_TBCHW = self.lif1(self.bn1(self.conv1(x_TBCHW.flatten(0, 1))).unflatten(0, (T, B)))
        x_TBCHW = self.lif2(self.bn2(self.conv2(x_TBCHW.flatten(0, 1))).unflatten(0, (T, B)))
        x_TBX = self.lif3(self.fc(self.pool(x_TBCHW.flatten(0, 1)).flatten(1)).unflatten(0, (T, B)))
        logits_TBK: Tensor = self.head(x_TBX.flatten(0, 1)).unflatten(0, (T, B))
        return logits_TBK


class TokensApart(nn.Module):
    """Linear layers over tokens ``[T, B, N, C]``; batch norms see ``[T, B, C, N]``."""

    def __init__(self, num_classes: int = CLASSES, in_channels: int = 1) -> None:
        super().__init__()
        self.patches = layer.Conv2d(in_channels, CHANNELS, 2, stride=2)
        self.lif1 = lif()
        self.fc = layer.Linear(CHANNELS, HIDDEN)
        self.bn = layer.BatchNorm1d(HIDDEN)
        self.lif2 = lif()
        self.head = layer.Linear(HIDDEN, num_classes)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        x_TBNC = self.lif1(self.patches(x_TBCHW)).flatten(3).transpose(2, 3)
        x_TBNC = self.lif2(self.bn(self.fc(x_TBNC).transpose(2, 3)).transpose(2, 3))
        logits_TBK: Tensor = self.head(x_TBNC.mean(2))
        return logits_TBK


class TokensFolded(nn.Module):
    """The same on ``[T * B, N, C]``, as in Spikformer's code."""

    def __init__(self, num_classes: int = CLASSES, in_channels: int = 1) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, CHANNELS, 2, stride=2)
        self.lif1 = lif()
        self.fc = nn.Linear(CHANNELS, HIDDEN)
        self.bn = nn.BatchNorm1d(HIDDEN)
        self.lif2 = lif()
        self.head = nn.Linear(HIDDEN, num_classes)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        T, B = x_TBCHW.shape[:2]
        x_TBCHW = self.lif1(self.patches(x_TBCHW.flatten(0, 1)).unflatten(0, (T, B)))
        x_FNC = x_TBCHW.flatten(3).transpose(2, 3).flatten(0, 1)  # F = T * B
        x_FNC = self.bn(self.fc(x_FNC).transpose(1, 2)).transpose(1, 2)
        x_TBNC = self.lif2(x_FNC.unflatten(0, (T, B)).contiguous())
        logits_TBK: Tensor = self.head(x_TBNC.mean(2))
        return logits_TBK


FAMILY = (Apart, InContainers, InForward)
TOKENS = (TokensApart, TokensFolded)


def awake(kind: type[nn.Module], seed: int = 0, **options: Any) -> nn.Module:
    """Return a network of one of these kinds whose neurons fire; parameters depend on the seed alone."""
    network = kind(**options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.rand(parameter.shape, generator=generator)
            parameter.copy_(0.5 * values if parameter.ndim == 1 else 4.0 * (values - 0.5) / parameter[0].numel() ** 0.5)
    return network


def input_TBCHW(steps: int = 3, batch: int = 2, size: int = 8) -> Tensor:
    return torch.rand(steps, batch, 1, size, size, generator=torch.Generator().manual_seed(1))
