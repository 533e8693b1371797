"""Parts that families share: the neuron, rows of convolutions, and the checks of their options.

Neuron: LIF with hard reset to 0, ``v <- (1 - 1/tau) v + x`` (``decay_input=True``: ``x / tau`` instead),
spike where ``v >= threshold``, arctan surrogate, no gradient through the reset.
"""

import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Final

from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import nn

from lightning_snn.errors import NetworkError

Plan = Sequence[int | str]
"""Channels of each convolution in order; "M" is a 2x2 max pool, "A" a 2x2 average pool."""

NewNeuron = Callable[[], neuron.LIFNode]
"""Makes one neuron layer; each call makes another one."""

ImageSize = int | Sequence[int]
"""Pixels a side of a square image, or rows and columns."""

POOLS: Final = {"M": layer.MaxPool2d, "A": layer.AvgPool2d}


def lif(tau: float, threshold: float, decay_input: bool) -> NewNeuron:
    """Return what makes the neurons of a network.

    Args:
        tau: Membrane time constant, in time steps, above 1.
        threshold: Membrane potential at which a neuron spikes.
        decay_input: Whether the input is divided by ``tau``.

    Raises:
        NetworkError: If ``tau`` is not above 1, or ``threshold`` not above 0, or one of them is not finite.
    """
    if not 1.0 < tau < math.inf:
        raise NetworkError(f"network.options.tau must be above 1, found {tau:g}. SPEAR uses 2.")
    if not 0.0 < threshold < math.inf:
        raise NetworkError(f"network.options.threshold must be a number above 0, found {threshold:g}. SPEAR uses 1.")

    def new_neuron() -> neuron.LIFNode:
        return neuron.LIFNode(
            tau=tau,
            v_threshold=threshold,
            decay_input=decay_input,
            v_reset=0.0,
            detach_reset=True,
            surrogate_function=surrogate.ATan(),
        )

    return new_neuron


def convolutions(plan: Plan, in_channels: int, new_neuron: NewNeuron, *, bias: bool = True) -> nn.Sequential:
    """Build 3x3 convolution, batch norm and neuron in a row for every width of a plan, and its pools between.

    Args:
        plan: Widths and pools.
        in_channels: Channels of the input.
        new_neuron: Makes a neuron.
        bias: Whether convolutions have one.
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for entry in plan:
        if entry in POOLS:
            layers.append(POOLS[str(entry)](2))
            continue
        layers += [
            layer.Conv2d(channels, int(entry), kernel_size=3, padding=1, bias=bias),
            layer.BatchNorm2d(int(entry)),
            new_neuron(),
        ]
        channels = int(entry)
    return nn.Sequential(*layers)


def rows_and_columns(image_size: ImageSize) -> tuple[int, int]:
    """Return rows and columns of an image, in pixels.

    Raises:
        NetworkError: If they are neither one whole number above 0 nor two.
    """
    sides = [image_size] * 2 if isinstance(image_size, int) else image_size
    pair = isinstance(sides, list | tuple) and len(sides) == 2
    if not pair or any(type(side) is not int or side < 1 for side in sides):  # to Python, True is an int
        raise NetworkError(
            f"network.options.image_size is a whole number of pixels above 0, or [rows, columns], found {image_size!r}."
        )
    rows, columns = sides
    return rows, columns


def features_after(plan: Plan, name: str, image_size: ImageSize) -> int:
    """Return how many values an image has after a plan: channels times pixels. A pool drops an odd row or column.

    Raises:
        NetworkError: If the plan pools more than the image allows; ``name`` is in the message.
    """
    rows, columns = rows_and_columns(image_size)
    pools = sum(entry in POOLS for entry in plan)
    if min(rows, columns) < 2**pools:
        found = rows if rows == columns else f"{rows} x {columns}"
        raise NetworkError(
            f"Network {name!r} halves the image {pools} times and needs {2**pools} pixels a side, "
            f"found {found}. Choose a network with fewer pools, such as 'vgg_small'."
        )
    channels = [int(entry) for entry in plan if entry not in POOLS][-1]
    return int(channels * (rows // 2**pools) * (columns // 2**pools))
