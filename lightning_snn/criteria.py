"""Which channels of a group go first: a score for each channel, the lowest are removed first.

The channels of a group are tied over all its producing layers (residual additions); their scores are summed.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import itertools
from collections.abc import Iterable
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._next_neuron import next_neurons
from lightning_snn.activity import ActivityMeter
from lightning_snn.errors import SurgeryError
from lightning_snn.errors import nearest
from lightning_snn.forward import run_network
from lightning_snn.seeds import seed_for
from lightning_snn.surgery import ChannelPlan

Floats = NDArray[np.float64]


class Criterion(Protocol):
    """Scores the channels of all groups."""

    def __call__(
        self, network: nn.Module, plan: ChannelPlan, seed: int, batches_TBCHW: Iterable[Tensor]
    ) -> dict[str, Floats]:
        """Return group name -> one score a channel, ``[width]``; the batches are read only where they matter."""
        ...


def l1(network: nn.Module, plan: ChannelPlan, seed: int, batches_TBCHW: Iterable[Tensor]) -> dict[str, Floats]:
    """Sum of ``|w|`` of the channel's filters (AMC's criterion)."""
    return {group.name: _summed_weights(network, plan, group.name, "out") for group in plan.groups}


def bn_gamma(network: nn.Module, plan: ChannelPlan, seed: int, batches_TBCHW: Iterable[Tensor]) -> dict[str, Floats]:
    """Sum of ``|gamma|`` of the channel's batch norms (Network Slimming's criterion).

    Raises:
        SurgeryError: If a group has no batch norm.
    """
    scores = {}
    for group in plan.groups:
        norms = [network.get_submodule(use.layer) for use in plan.positions(group.name) if use.side == "norm"]
        if all(norm.weight is None for norm in norms):
            raise SurgeryError(
                f"Criterion bn_gamma needs a batch norm with a scale, found none in {group.name!r}. Use l1."
            )
        scores[group.name] = _summed_weights(network, plan, group.name, "norm")
    return scores


def activity(network: nn.Module, plan: ChannelPlan, seed: int, batches_TBCHW: Iterable[Tensor]) -> dict[str, Floats]:
    """Sum of the mean activity of the neurons behind the channel (SCA's criterion; see ``activity.py``).

    One term for each layer that produces the channel; where two are added before the same neurons, these count twice.

    Raises:
        SurgeryError: If there is no batch, or a layer of a group has no neurons behind it.
    """
    batches = iter(batches_TBCHW)
    first_TBCHW = next(batches, None)
    if first_TBCHW is None:
        raise SurgeryError(
            "Criterion activity runs the network on training inputs, found no batch of them. "
            "Set space.recalibration_batches to 1 or more."
        )
    was_training = {module: module.training for module in network.modules()}
    try:
        neurons = next_neurons(network, first_TBCHW[:, :1])
        for name in (name for group in plan.groups for name in group.layers if neurons[name] is None):
            raise SurgeryError(
                f"Criterion activity needs neurons behind each layer, found none with the channels of {name!r}. Use l1."
            )
        with torch.no_grad(), ActivityMeter(network) as meter:
            for x_TBCHW in itertools.chain([first_TBCHW], batches):
                run_network(network, x_TBCHW)
    finally:
        functional.reset_net(network)
        for module, training in was_training.items():
            module.training = training
    means = {name: mean_C.cpu().numpy() for name, mean_C in meter.means().items()}
    scores = {group.name: np.zeros(group.width) for group in plan.groups}
    for group in plan.groups:
        for use in plan.positions(group.name):
            if use.side == "out":
                scores[group.name] += means[str(neurons[use.layer])][use.positions_CP].mean(axis=1)
    return scores


def random(network: nn.Module, plan: ChannelPlan, seed: int, batches_TBCHW: Iterable[Tensor]) -> dict[str, Floats]:
    """Draw a random order: a control."""
    return {
        group.name: np.random.default_rng(seed_for(seed, "criterion", position)).random(group.width)
        for position, group in enumerate(plan.groups)
    }


CRITERIA: Final[Mapping[str, Criterion]] = MappingProxyType(
    {"l1": l1, "bn_gamma": bn_gamma, "activity": activity, "random": random}
)


def channel_scores(
    criterion: str, network: nn.Module, plan: ChannelPlan, seed: int, batches_TBCHW: Iterable[Tensor] = ()
) -> dict[str, Floats]:
    """Score all channels of all groups.

    Args:
        criterion: One of :data:`CRITERIA`.
        network: The dense network that ``plan`` was traced on.
        plan: Its channel groups.
        seed: Only ``random`` uses it.
        batches_TBCHW: Training inputs ``[T, B, C, H, W]`` on the network's device; only ``activity`` reads them.

    Returns:
        Group name -> scores ``[width]``, in network order; the higher, the longer the channel is kept.

    Raises:
        SurgeryError: If the criterion is unknown or does not fit the network.
    """
    if criterion not in CRITERIA:
        raise SurgeryError(f"No criterion is called {criterion!r}. {nearest(criterion, CRITERIA)}")
    return CRITERIA[criterion](network, plan, seed, batches_TBCHW)


def _summed_weights(network: nn.Module, plan: ChannelPlan, group: str, side: str) -> Floats:
    """Return the sum of ``|weight|`` of each channel over all layers that have the group on this side."""
    total = np.zeros(next(each.width for each in plan.groups if each.name == group))
    for use in plan.positions(group):
        weight = getattr(network.get_submodule(use.layer), "weight", None)
        if use.side == side and isinstance(weight, Tensor):
            by_position = weight.detach().abs().double().cpu().reshape(len(weight), -1).sum(dim=1)
            total += by_position.numpy()[use.positions_CP].sum(axis=1)
    return total
