"""Spiking 6Conv2FC, the CIFAR-10 network of Grad R, STDS and UPR: six convolutions, two linear layers, a vote.

256C3-256C3-256C3-MP2-256C3-256C3-256C3-MP2-FC2048-FC100-voting without bias, batch norm behind convolutions
only, dropout before the first linear layer (Grad R: Chen et al., IJCAI 2021; layers from its code, and from that
of STDS and UPR). Each class is the mean of ten outputs.

Two things differ. The papers let the last layer spike and count its votes; here its currents vote, as in the
variant without a last neuron in UPR's code. The papers divide the input by tau (``decay_input=True``) and train
with Adam; then no neuron of the linear layer fires before training, and SGD may leave it so: off by default.

Axes: T time steps, B batch, C channels, H rows, W columns, F features, V voters, K classes.
"""

from typing import Final

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks._parts import ImageSize
from lightning_snn.networks._parts import NewNeuron
from lightning_snn.networks._parts import convolutions
from lightning_snn.networks._parts import features_after
from lightning_snn.networks._parts import lif

PLAN: Final = (256, 256, 256, "M", 256, 256, 256, "M")
HIDDEN: Final = 2048
VOTERS: Final = 10
"""Outputs of the last layer for each class."""


class SpikingConv6(nn.Module):
    """Direct coding in, one logit vector a time step out: ``[T, B, C, H, W]`` -> ``[T, B, K]``."""

    def __init__(
        self, features: int, num_classes: int, in_channels: int, dropout: float, new_neuron: NewNeuron
    ) -> None:
        """Build the network in step mode ``"m"``; ``features`` is how many values the plan leaves of an image."""
        super().__init__()
        self.features = convolutions(PLAN, in_channels, new_neuron, bias=False)
        self.flatten = layer.Flatten()
        self.dropout = layer.Dropout(dropout)  # the same values in all time steps
        self.hidden = layer.Linear(features, HIDDEN, bias=False)
        self.lif = new_neuron()
        self.voters = layer.Linear(HIDDEN, VOTERS * num_classes, bias=False)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return the logits of every time step, ``[T, B, K]``: the mean current of each class's voters."""
        features_TBF = self.dropout(self.flatten(self.features(x_TBCHW)))
        currents_TBV: Tensor = self.voters(self.lif(self.hidden(features_TBF)))
        return torch.unflatten(currents_TBV, -1, (-1, VOTERS)).mean(-1)


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize = 32,
    dropout: float = 0.5,
    tau: float = 2.0,
    threshold: float = 1.0,
    decay_input: bool = False,
) -> SpikingConv6:
    """Build the network.

    Args:
        name: Its name, for messages.
        num_classes: Classes, each with ten voters.
        in_channels: Channels of the input.
        image_size: Pixels a side of a square input, or [rows, columns].
        dropout: Share of the convolutions' outputs that is dropped in training: 0.5 in Grad R, 0 in UPR.
        tau: Membrane time constant, in time steps, above 1.
        threshold: Membrane potential at which a neuron spikes, above 0.
        decay_input: Whether the input is divided by ``tau``: on in Grad R, STDS and UPR.

    Raises:
        NetworkError: If an option is out of its range, or the image is too small for the pools.
    """
    if not 0.0 <= dropout < 1.0:
        raise NetworkError(f"network.options.dropout must lie in [0, 1), found {dropout:g}. Grad R uses 0.5, UPR 0.")
    features = features_after(PLAN, name, image_size)
    return SpikingConv6(features, num_classes, in_channels, dropout, lif(tau, threshold, decay_input))
