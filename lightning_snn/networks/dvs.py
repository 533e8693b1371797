"""Spiking networks for event frames: a few polarities in, convolutions and pools in a row, one linear layer on top.

``vggsnn`` is VGGSNN of TET (Deng et al., ICLR 2022) for CIFAR10-DVS at 48x48: eight convolutions with bias,
four average pools, no dropout (layers from copies of its code). UPR (Shi et al., ICLR 2024) has it without bias,
and with ten voting outputs a class. ``conv5_fc1`` is SCA's DVS network (Li et al., ICML 2024),
64C3-AP2-128C3-AP2-128C3-AP2-256C3-AP2-256C3-AP2-FC, and by its name SPEAR's 5Conv+1FC, whose layers could not be
read; bias and batch norm as in the CIFAR networks of both (``vgg.py``). ``dvs_compact`` is ours, for one CPU core
and N-MNIST's 34x34.

An average pool of spikes is not binary: the convolution after it counts MACs, not accumulates.
"""

from typing import Final

from lightning_snn.networks._parts import ImageSize
from lightning_snn.networks._parts import features_after
from lightning_snn.networks._parts import lif
from lightning_snn.networks.vgg import SpikingVGG

PLANS: Final[dict[str, tuple[int | str, ...]]] = {
    "dvs_compact": (16, "M", 32, "M", 64, "M", 128, "M"),
    "conv5_fc1": (64, "A", 128, "A", 128, "A", 256, "A", 256, "A"),
    "vggsnn": (64, 128, "A", 256, 256, "A", 512, 512, "A", 512, 512, "A"),
}
"""Channels of each convolution in order; "M" is a 2x2 max pool, "A" a 2x2 average pool."""

IMAGE_SIZES: Final[dict[str, int]] = {"dvs_compact": 34, "conv5_fc1": 48, "vggsnn": 48}
"""Rows and columns, in pixels, of the frames that each plan was made for: the default of ``image_size``."""


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize | None = None,
    tau: float = 2.0,
    threshold: float = 1.0,
    decay_input: bool = False,
) -> SpikingVGG:
    """Build a member of the family.

    Args:
        name: A key of :data:`PLANS`.
        num_classes: Outputs of the classifier.
        in_channels: Channels of the frames, one a polarity.
        image_size: Pixels a side of square frames, or [rows, columns]; by default that of :data:`IMAGE_SIZES`.
        tau: Membrane time constant, in time steps, above 1.
        threshold: Membrane potential at which a neuron spikes, above 0.
        decay_input: Whether the input is divided by ``tau``.

    Raises:
        NetworkError: If an option is out of its range, or the frames are too small for the pools.
    """
    features = features_after(PLANS[name], name, IMAGE_SIZES[name] if image_size is None else image_size)
    return SpikingVGG(PLANS[name], features, num_classes, in_channels, lif(tau, threshold, decay_input))
