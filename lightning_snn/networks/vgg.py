"""Spiking VGG: convolution, batch norm and LIF in a row, max pools between, one linear layer on top.

The layer plan of ``vgg16`` is that of SPEAR's and SCA's CIFAR networks: five max pools, one
fully connected layer, convolutions with bias, batch norm before the neuron; 14,728,266 parameters for ten
classes. ``vgg11`` is the plan A of Simonyan and Zisserman (2015), built alike. ``vgg_compact`` and
``vgg_small`` are ours, for two CPU cores.

Neuron: LIF with hard reset to 0, ``v <- (1 - 1/tau) v + x`` (``decay_input=True``: ``x / tau`` instead),
spike where ``v >= threshold``, arctan surrogate of width ``alpha``.
"""

from collections.abc import Sequence
from typing import Final

from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError

Plan = Sequence[int | str]

PLANS: Final[dict[str, tuple[int | str, ...]]] = {
    "vgg_small": (16, 16, "M", 32, 32, "M", 64, "M"),
    "vgg_compact": (32, "M", 64, "M", 128, 128, "M", 128, 128, "M"),
    "vgg11": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "vgg16": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
}
"""Channels of each convolution in order; "M" is a 2x2 max pool."""

IMAGE_SIZES: Final[dict[str, int]] = {"vgg_small": 8, "vgg_compact": 32, "vgg11": 32, "vgg16": 32}
"""Rows and columns, in pixels, of the images that each plan was made for: the default of ``image_size``."""


class SpikingVGG(nn.Module):
    """Direct coding in, one logit vector a time step out: ``[T, B, C, H, W]`` -> ``[T, B, K]``.

    The readout is the current of the last layer at every step, not its spikes, as TET needs it.
    """

    def __init__(self, plan: Plan, num_classes: int, in_channels: int, image_size: int, lif: dict[str, float]) -> None:
        """Build the network in step mode ``"m"``; ``lif`` holds the arguments of every LIF node."""
        super().__init__()
        layers: list[nn.Module] = []
        channels, size = in_channels, image_size
        for entry in plan:
            if entry == "M":
                layers.append(layer.MaxPool2d(2))
                size //= 2
            else:
                layers += [
                    layer.Conv2d(channels, int(entry), kernel_size=3, padding=1),
                    layer.BatchNorm2d(int(entry)),
                    neuron.LIFNode(**lif, v_reset=0.0, detach_reset=True, surrogate_function=surrogate.ATan()),
                ]
                channels = int(entry)
        self.features = nn.Sequential(*layers)
        self.flatten = layer.Flatten()
        self.classifier = layer.Linear(channels * size * size, num_classes)
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
    image_size: int | None = None,
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
        image_size: Rows and columns of the square input, in pixels; by default that of :data:`IMAGE_SIZES`.
        plan: Channels and pools of one's own, in place of the named plan.
        tau: Membrane time constant, in time steps, above 1.
        threshold: Membrane potential at which a neuron spikes.
        decay_input: Whether the input is divided by ``tau``. Off as in SPEAR.

    Raises:
        NetworkError: If the plan is not made of positive widths and "M", or pools more than the image allows.
    """
    plan = PLANS[name] if plan is None else tuple(plan)
    wrong = [entry for entry in plan if entry != "M" and not (isinstance(entry, int) and entry > 0)]
    if wrong or set(plan) <= {"M"}:
        raise NetworkError(
            "network.options.plan holds channel numbers, at least one, and 'M' for a pool: "
            f"found {wrong[0] if wrong else list(plan)!r}. For example: {list(PLANS['vgg_small'])}."
        )
    smallest = 2 ** plan.count("M")
    image_size = IMAGE_SIZES[name] if image_size is None else image_size
    if image_size < smallest:
        raise NetworkError(
            f"Network {name!r} halves the image {plan.count('M')} times and needs {smallest} pixels a side, "
            f"found {image_size}. Choose a network with fewer pools, such as 'vgg_small'."
        )
    if tau <= 1.0:
        raise NetworkError(f"network.options.tau must be above 1, found {tau:g}. SPEAR uses 2.")
    lif = {"tau": tau, "v_threshold": threshold, "decay_input": decay_input}
    return SpikingVGG(plan, num_classes, in_channels, image_size, lif)
