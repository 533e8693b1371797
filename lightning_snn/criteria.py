"""Which channels of a group go first: a score for each channel, the lowest are removed first.

The channels of a group are tied over all its producing layers (residual additions); their scores are summed.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from lightning_snn._gates import ChannelGates
from lightning_snn._modes import evaluating
from lightning_snn._next_neuron import next_neurons
from lightning_snn.activity import ActivityMeter
from lightning_snn.activity import channel_activity
from lightning_snn.errors import SurgeryError
from lightning_snn.errors import nearest
from lightning_snn.forward import run_network
from lightning_snn.seeds import seed_for
from lightning_snn.surgery import ChannelPlan

Floats = NDArray[np.float64]
Batches = Iterable[tuple[Tensor, Tensor]]
"""Training inputs ``[T, B, C, H, W]`` and labels ``[B]``, on the network's device."""


class Criterion(Protocol):
    """Scores the channels of all groups."""

    def __call__(self, network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches) -> dict[str, Floats]:
        """Return group name -> one score a channel, ``[width]``; the batches are read only where they matter."""
        ...


def l1(network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches) -> dict[str, Floats]:
    """Sum of ``|w|`` of the channel's filters (AMC's criterion)."""
    return {group.name: _summed_weights(network, plan, group.name, "out") for group in plan.groups}


def bn_gamma(network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches) -> dict[str, Floats]:
    """Sum of ``|gamma|`` of the channel's batch norms (Network Slimming's criterion).

    Raises:
        SurgeryError: If a group has no batch norm.
    """
    scores = {}
    for group in plan.groups:
        norms = [network.get_submodule(use.layer) for use in plan.positions(group.name) if use.side == "norm"]
        if all(norm.weight is None for norm in norms):
            raise SurgeryError(
                f"Criterion bn_gamma needs a batch norm with a scale, found none in {group.name!r}. Use "
                "--space.criterion l1; for --strategy slimming, --strategy l1."
            )
        scores[group.name] = _summed_weights(network, plan, group.name, "norm")
    return scores


def activity(network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches) -> dict[str, Floats]:
    """Sum of the mean activity of the neurons behind the channel (SCA's criterion; see ``activity.py``).

    One term for each layer that produces the channel; where two are added before the same neurons, these count twice.

    Raises:
        SurgeryError: If there is no batch, or a layer of a group has no neurons behind it.
    """
    samples = _needed(batches, "activity")
    with evaluating(network):
        neurons = next_neurons(network, samples[0][0][:, :1])
        with torch.no_grad(), ActivityMeter(network) as meter:
            for x_TBCHW, _ in samples:
                run_network(network, x_TBCHW)
    means = meter.means()
    scores = {group.name: np.zeros(group.width) for group in plan.groups}
    for group in plan.groups:
        for use in plan.positions(group.name):
            if use.side == "out":
                activity_C = channel_activity(network, use.layer, neurons[use.layer], means)
                if activity_C is None:
                    raise SurgeryError(
                        "Criterion activity needs neurons behind each layer, found none with the channels of "
                        f"{use.layer!r}. Use --space.criterion l1; for --strategy sca, --strategy l1."
                    )
                scores[group.name] += activity_C.cpu().numpy()[use.positions_CP].mean(axis=1)
    return scores


def taylor(network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches) -> dict[str, Floats]:
    """Sum over batches of ``(dL/dg)^2``, with g = 1 a gate behind the channel's batch norms.

    To first order, what the loss would change by without the channel. Source: Molchanov et al., "Importance estimation
    for neural network pruning" (CVPR 2019), with a gate of its own in place of the batch norm's scale and shift.

    Raises:
        SurgeryError: If there is no batch, or a group has no batch norm.
    """
    samples = _needed(batches, "taylor")
    for group in plan.groups:
        if not any(use.side == "norm" for use in plan.positions(group.name)):
            raise SurgeryError(
                f"Criterion taylor gates channels behind their batch norm, found none in {group.name!r}. Use "
                "--space.criterion l1."
            )
    with evaluating(network):
        gates = ChannelGates(network, plan)
        gates.attach()
        total_G = torch.zeros_like(gates.gates_G)
        for x_TBCHW, y_B in samples:
            loss = F.cross_entropy(run_network(network, x_TBCHW).mean(dim=0), y_B)
            total_G += torch.autograd.grad(loss, gates.gates_G)[0].square()
        gates.detach()
    values = np.split(total_G.double().cpu().numpy(), gates.starts[1:-1])
    return {group.name: each for group, each in zip(plan.groups, values, strict=True)}


def random(network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches) -> dict[str, Floats]:
    """Draw a random order: a control."""
    return {
        group.name: np.random.default_rng(seed_for(seed, "criterion", position)).random(group.width)
        for position, group in enumerate(plan.groups)
    }


CRITERIA: Final[Mapping[str, Criterion]] = MappingProxyType(
    {"l1": l1, "bn_gamma": bn_gamma, "activity": activity, "taylor": taylor, "random": random}
)


def channel_scores(
    criterion: str, network: nn.Module, plan: ChannelPlan, seed: int, batches: Batches = ()
) -> dict[str, Floats]:
    """Score all channels of all groups.

    Args:
        criterion: One of :data:`CRITERIA`.
        network: The dense network that ``plan`` was traced on.
        plan: Its channel groups.
        seed: Only ``random`` uses it.
        batches: Training samples; only ``activity`` and ``taylor`` read them.

    Returns:
        Group name -> scores ``[width]``, in network order; the higher, the longer the channel is kept.

    Raises:
        SurgeryError: If the criterion is unknown or does not fit the network.
    """
    if criterion not in CRITERIA:
        raise SurgeryError(f"No criterion is called {criterion!r}. {nearest(criterion, CRITERIA)}")
    return CRITERIA[criterion](network, plan, seed, batches)


def _needed(batches: Batches, criterion: str) -> list[tuple[Tensor, Tensor]]:
    samples = list(batches)
    if not samples:
        raise SurgeryError(
            f"Criterion {criterion} runs the network on training samples, found no batch of them. "
            "Set space.recalibration_batches to 1 or more."
        )
    return samples


def _summed_weights(network: nn.Module, plan: ChannelPlan, group: str, side: str) -> Floats:
    """Return the sum of ``|weight|`` of each channel over all layers that have the group on this side."""
    total = np.zeros(next(each.width for each in plan.groups if each.name == group))
    for use in plan.positions(group):
        weight = getattr(network.get_submodule(use.layer), "weight", None)
        if use.side == side and isinstance(weight, Tensor):
            by_position = weight.detach().abs().double().cpu().reshape(len(weight), -1).sum(dim=1)
            total += by_position.numpy()[use.positions_CP].sum(axis=1)
    return total
