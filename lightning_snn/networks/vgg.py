"""Spiking VGG: convolution, batch norm and LIF in a row, pools between, one linear layer on top.

The layer plan of ``vgg16`` is that of SPEAR's and SCA's CIFAR networks: five max pools, one
fully connected layer, convolutions with bias, batch norm before the neuron; 14,728,266 parameters for ten
classes. ``vgg11`` is the plan A of Simonyan and Zisserman (2015), built alike. ``vgg_compact`` and
``vgg_small`` are ours, for two CPU cores.

Not here: plans for event frames (``dvs.py``), the neuron's equation (``_parts.py``).
"""

from typing import Any
from typing import Final

from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks._parts import POOLS
from lightning_snn.networks._parts import ImageSize
from lightning_snn.networks._parts import NewNeuron
from lightning_snn.networks._parts import Plan
from lightning_snn.networks._parts import convolutions
from lightning_snn.networks._parts import features_after
from lightning_snn.networks._parts import lif

PLANS: Final[dict[str, tuple[int | str, ...]]] = {
    "vgg_small": (16, 16, "M", 32, 32, "M", 64, "M"),
    "vgg_compact": (32, "M", 64, "M", 128, 128, "M", 128, 128, "M"),
    "vgg11": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "vgg16": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
}
"""Channels of each convolution in order; "M" is a 2x2 max pool."""

IMAGE_SIZES: Final[dict[str, int]] = {"vgg_small": 8, "vgg_compact": 32, "vgg11": 32, "vgg16": 32}
"""Rows and columns, in pixels, of the images that each plan was made for: the default of ``image_size``."""

WIDEST: Final = 2**31
"""Channels that PyTorch could not even count."""


class SpikingVGG(nn.Module):
    """Direct coding in, one logit vector a time step out: ``[T, B, C, H, W]`` -> ``[T, B, K]``.

    The readout is the current of the last layer at every step, not its spikes, as TET needs it.
    """

    def __init__(self, plan: Plan, features: int, num_classes: int, in_channels: int, new_neuron: NewNeuron) -> None:
        """Build the network in step mode ``"m"``; ``features`` is how many values the plan leaves of an image."""
        super().__init__()
        self.features = convolutions(plan, in_channels, new_neuron)
        self.flatten = layer.Flatten()
        self.classifier = layer.Linear(features, num_classes)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return the logits of every time step, ``[T, B, K]``."""
        logits_TBK: Tensor = self.classifier(self.flatten(self.features(x_TBCHW)))
        return logits_TBK


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize | None = None,
    plan: Plan | None = None,
    tau: float = 2.0,
    threshold: float = 1.0,
    decay_input: bool = False,
) -> SpikingVGG:
    """Build a member of the family.

    Args:
        name: A key of :data:`PLANS`.
        num_classes: Outputs of the classifier.
        in_channels: Channels of the input.
        image_size: Pixels a side of a square input, or [rows, columns]; by default that of :data:`IMAGE_SIZES`.
        plan: Channels and pools of one's own, in place of the named plan; "A" is a 2x2 average pool.
        tau: Membrane time constant, in time steps, above 1.
        threshold: Membrane potential at which a neuron spikes, above 0.
        decay_input: Whether the input is divided by ``tau``. Off as in SPEAR.

    Raises:
        NetworkError: If an option is out of its range, or the plan pools more than the image allows.
    """
    plan = PLANS[name] if plan is None else plan
    entries: list[Any] = list(plan) if isinstance(plan, list | tuple) else [plan]
    convolved = [entry for entry in entries if entry not in tuple(POOLS)]
    wrong = [entry for entry in convolved if type(entry) is not int or not 0 < entry < WIDEST]  # True is an int too
    if wrong or not convolved:
        raise NetworkError(
            "network.options.plan holds channel numbers, at least one, and 'M' or 'A' for a pool: "
            f"found {wrong[0] if wrong else entries!r}. For example: {list(PLANS['vgg_small'])}."
        )
    features = features_after(entries, name, IMAGE_SIZES[name] if image_size is None else image_size)
    return SpikingVGG(entries, features, num_classes, in_channels, lif(tau, threshold, decay_input))
