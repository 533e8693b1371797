"""Spiking ResNets for small images: blocks of two 3x3 convolutions in the three residual forms of the literature.

``resnet18``: 3x3 stem of 64 channels, no max pool, stages of 64, 128, 256 and 512 channels with two blocks each;
11,173,962 parameters for ten classes. SPEAR's CIFAR network by its name; its residual form could not be read.
``resnet19``: stages of 128, 256 and 512 channels with three, three and two blocks, and a spiking linear layer of
256 before the classifier, from tdBN (Zheng et al., AAAI 2021). Its stem has 64 channels, as in UPR's code and in
copies of TET's (Deng et al., ICLR 2022): so there are the 12.63 M parameters that are published for both (CIFAR
table of Spikformer, ICLR 2023), where the stem of 128 that others build gives 12.70 M. Batch norm is plain: the
factor of tdBN is left to its scale. ``resnet20``: 16, 32 and 64 channels, three blocks each (He et al., CVPR
2016), 0.27 M. ``resnet_small`` is ours, for one CPU core.

Where a block changes its shape, its shortcut g is a 1x1 convolution and batch norm. With N(.) = norm(conv(.)), the
residual forms are

``vanilla``    s' = LIF(N(LIF(N(s))) + g(s)): currents are added before the neuron; between blocks go spikes. tdBN,
               TET; "spiking ResNet" in the SEW paper. The default.
``sew``        s' = LIF(N(LIF(N(s)))) + g(s), with a neuron at the end of g where it has layers: spikes are added
               behind the neuron (ADD); between blocks go 0, 1, 2, ..., and convolutions that read them count MACs.
               SEW ResNet (Fang et al., NeurIPS 2021).
``membrane``   u' = N(LIF(N(LIF(u)))) + g(u): currents are added to currents, and the last block is followed by a
               neuron; between blocks go currents, and the shortcuts' convolutions count MACs. MS-ResNet (Hu et
               al., TNNLS 2024).

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar
from typing import Final

from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.errors import nearest
from lightning_snn.networks._parts import ImageSize
from lightning_snn.networks._parts import NewNeuron
from lightning_snn.networks._parts import lif
from lightning_snn.networks._parts import rows_and_columns


@dataclass(frozen=True, kw_only=True)
class Design:
    """Widths and depths of one member; every stage but the first halves the image."""

    stem: int
    """Channels of the first convolution."""
    stages: tuple[tuple[int, int], ...]
    """Channels and number of blocks of each stage."""
    hidden: int | None = None
    """Neurons between the pooled features and the classifier; none: no such layer."""
    image_size: int = 32
    """Rows and columns, in pixels, of the images it was made for."""


DESIGNS: Final[Mapping[str, Design]] = MappingProxyType(
    {
        "resnet_small": Design(stem=16, stages=((16, 1), (32, 1), (64, 1)), image_size=8),
        "resnet18": Design(stem=64, stages=((64, 2), (128, 2), (256, 2), (512, 2))),
        "resnet19": Design(stem=64, stages=((128, 3), (256, 3), (512, 2)), hidden=256),
        "resnet20": Design(stem=16, stages=((16, 3), (32, 3), (64, 3))),
    }
)


class Block(nn.Module):
    """The layers that all residual forms have; they differ in how they are wired."""

    spiking_shortcut: ClassVar[bool] = False

    def __init__(self, inputs: int, outputs: int, stride: int, new_neuron: NewNeuron) -> None:
        """Build two convolutions, each with batch norm and a neuron, and the shortcut."""
        super().__init__()
        self.conv1 = layer.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = layer.BatchNorm2d(outputs)
        self.lif1 = new_neuron()
        self.conv2 = layer.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.norm2 = layer.BatchNorm2d(outputs)
        self.lif2 = new_neuron()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(layer.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False))
            self.shortcut.append(layer.BatchNorm2d(outputs))
            if self.spiking_shortcut:
                self.shortcut.append(new_neuron())


class VanillaBlock(Block):
    """Adds currents before the second neuron; spikes in, spikes out."""

    def forward(self, spikes: Tensor) -> Tensor:
        """Return the spikes of the block."""
        inner = self.lif1(self.norm1(self.conv1(spikes)))
        outer: Tensor = self.lif2(self.norm2(self.conv2(inner)) + self.shortcut(spikes))
        return outer


class SEWBlock(Block):
    """Adds spikes behind the second neuron; sums of spikes in and out."""

    spiking_shortcut: ClassVar[bool] = True

    def forward(self, sums: Tensor) -> Tensor:
        """Return how many spikes meet at each place."""
        inner = self.lif1(self.norm1(self.conv1(sums)))
        outer: Tensor = self.lif2(self.norm2(self.conv2(inner))) + self.shortcut(sums)
        return outer


class MembraneBlock(Block):
    """Adds currents to currents, each convolution behind a neuron; currents in, currents out."""

    def forward(self, currents: Tensor) -> Tensor:
        """Return the currents that the next block's neurons integrate."""
        inner = self.norm1(self.conv1(self.lif1(currents)))
        outer: Tensor = self.norm2(self.conv2(self.lif2(inner))) + self.shortcut(currents)
        return outer


BLOCKS: Final[Mapping[str, type[Block]]] = MappingProxyType(
    {"vanilla": VanillaBlock, "sew": SEWBlock, "membrane": MembraneBlock}
)
"""Residual form -> its block."""


class SpikingResNet(nn.Module):
    """Direct coding in, one logit vector a time step out: ``[T, B, C, H, W]`` -> ``[T, B, K]``.

    The readout is the current of the last layer at every step, not its spikes, as TET needs it.
    """

    def __init__(
        self,
        design: Design,
        block: type[Block],
        num_classes: int,
        in_channels: int,
        size_HW: tuple[int, int],
        new_neuron: NewNeuron,
    ) -> None:
        """Build the network in step mode ``"m"``."""
        super().__init__()
        takes_currents = issubclass(block, MembraneBlock)
        stem = layer.Conv2d(in_channels, design.stem, kernel_size=3, padding=1, bias=False)
        self.stem = nn.Sequential(stem, layer.BatchNorm2d(design.stem))
        if not takes_currents:
            self.stem.append(new_neuron())
        self.stages = nn.Sequential()
        channels, (rows, columns) = design.stem, size_HW
        for position, (width, blocks) in enumerate(design.stages):
            stage = nn.Sequential()
            for index in range(blocks):
                stride = 2 if position > 0 and index == 0 else 1
                stage.append(block(channels, width, stride, new_neuron))
                channels, rows, columns = width, -(-rows // stride), -(-columns // stride)
            self.stages.append(stage)
        # Not adaptive: NIR knows no adaptive pool.
        self.head = nn.Sequential(layer.AvgPool2d((rows, columns)), layer.Flatten())
        if takes_currents:
            self.head.insert(0, new_neuron())
        if design.hidden is not None:
            self.head.append(layer.Linear(channels, design.hidden))
            self.head.append(new_neuron())
            channels = design.hidden
        self.classifier = layer.Linear(channels, num_classes)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return the logits of every time step, ``[T, B, K]``."""
        logits_TBK: Tensor = self.classifier(self.head(self.stages(self.stem(x_TBCHW))))
        return logits_TBK


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize | None = None,
    shortcut: str = "vanilla",
    tau: float = 2.0,
    threshold: float = 1.0,
    decay_input: bool = False,
) -> SpikingResNet:
    """Build a member of the family.

    Args:
        name: A key of :data:`DESIGNS`.
        num_classes: Outputs of the classifier.
        in_channels: Channels of the input.
        image_size: Pixels a side of a square input, or [rows, columns]; by default that of the design.
        shortcut: Residual form: ``vanilla``, ``sew`` or ``membrane``.
        tau: Membrane time constant, in time steps, above 1.
        threshold: Membrane potential at which a neuron spikes, above 0.
        decay_input: Whether the input is divided by ``tau``.

    Raises:
        NetworkError: If an option is out of its range, or the residual form unknown.
    """
    if shortcut not in BLOCKS:
        raise NetworkError(f"No network.options.shortcut is called {shortcut!r}. {nearest(shortcut, BLOCKS)}")
    design = DESIGNS[name]
    size_HW = rows_and_columns(design.image_size if image_size is None else image_size)
    return SpikingResNet(design, BLOCKS[shortcut], num_classes, in_channels, size_HW, lif(tau, threshold, decay_input))
