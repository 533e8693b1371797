"""Small networks, data and a quiet trainer that several tests share.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes, N samples.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import TensorDataset

from lightning_snn.classifier import SpikingClassifier
from lightning_snn.networks import build_network

CLASSES = 3


class Echo(nn.Module):
    """Returns its input ``[T, B, K, 1, 1]`` as logits, so that metrics can be worked by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = layer.Flatten(step_mode="m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.flatten(x_TBCHW)
        return logits_TBK


class Residual(nn.Module):
    """A class of one's own: two convolutions tied by an addition, one without batch norm, dropout at the end."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(1, width, 3, padding=1)
        self.bn1 = layer.BatchNorm2d(width)
        self.lif1 = neuron.LIFNode(decay_input=False, v_threshold=0.5, detach_reset=True)
        self.conv2 = layer.Conv2d(width, width, 3, padding=1)
        self.bn2 = layer.BatchNorm2d(width)
        self.lif2 = neuron.LIFNode(decay_input=False, v_threshold=0.5, detach_reset=True)
        self.conv3 = layer.Conv2d(width, 2, 3, padding=1)
        self.lif3 = neuron.LIFNode(decay_input=False, v_threshold=0.5, detach_reset=True)
        self.pool = layer.AdaptiveAvgPool2d(2)
        self.flatten = layer.Flatten()
        self.dropout = layer.Dropout(0.5)
        self.head = layer.Linear(8, CLASSES)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        first_TBCHW = self.lif1(self.bn1(self.conv1(x_TBCHW)))
        second_TBCHW = first_TBCHW + self.lif2(self.bn2(self.conv2(first_TBCHW)))
        third_TBCHW = self.lif3(self.conv3(second_TBCHW))
        logits_TBK: Tensor = self.head(self.dropout(self.flatten(self.pool(third_TBCHW))))
        return logits_TBK


def tiny_vgg(seed: int = 0, **options: Any) -> nn.Module:
    """Two convolutions for images of 4 x 4 pixels, all layers firing; the same weights for the same seed."""
    options = {"image_size": 4, "plan": [4, 4, "M"], **options}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network("vgg_small", num_classes=CLASSES, in_channels=1, **options)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.constant_(norm.weight, 2.0)  # an untrained network would be silent
        nn.init.constant_(norm.bias, 0.3)
    return network


def residual(seed: int = 0) -> Residual:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Residual()


def classifier(network: nn.Module | None = None, **options: Any) -> SpikingClassifier:
    return SpikingClassifier(network or tiny_vgg(), **{"num_classes": CLASSES, "time_steps": 3, "seed": 0, **options})


def images(count: int, size: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images that make neurons fire, ``[N, 1, H, W]``, brighter in the class's own row; labels ``[N]``."""
    generator = torch.Generator().manual_seed(seed)
    y_N = torch.arange(count) % CLASSES
    x_NCHW = torch.rand(count, 1, size, size, generator=generator)
    x_NCHW[torch.arange(count), 0, y_N] += 1.0
    return x_NCHW, y_N


def loader(x: Tensor, y_N: Tensor, batch_size: int) -> DataLoader[Any]:
    own = torch.Generator()  # else every epoch would draw a number from torch's default generator
    return DataLoader(TensorDataset(x, y_N), batch_size, generator=own)


def quiet_trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            **options,
        }
    )
