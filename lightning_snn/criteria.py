"""Which channels of a group go first: a score for each channel, the lowest are removed first.

The channels of a group are tied over all its producing layers (residual additions); their scores are summed.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn.errors import SurgeryError
from lightning_snn.errors import nearest
from lightning_snn.seeds import seed_for
from lightning_snn.surgery import ChannelPlan

Floats = NDArray[np.float64]


class Criterion(Protocol):
    """Scores the ``width`` channels of one group."""

    def __call__(self, network: nn.Module, plan: ChannelPlan, group: str, seed: int) -> Floats:
        """Return one score a channel, ``[width]``."""
        ...


def l1(network: nn.Module, plan: ChannelPlan, group: str, seed: int) -> Floats:
    """Sum of ``|w|`` of the channel's filters (AMC's criterion)."""
    return _summed_weights(network, plan, group, "out")


def bn_gamma(network: nn.Module, plan: ChannelPlan, group: str, seed: int) -> Floats:
    """Sum of ``|gamma|`` of the channel's batch norms (Network Slimming's criterion).

    Raises:
        SurgeryError: If the group has no batch norm.
    """
    norms = [network.get_submodule(use.layer) for use in plan.positions(group) if use.side == "norm"]
    if all(norm.weight is None for norm in norms):
        raise SurgeryError(f"Criterion bn_gamma needs a batch norm with a scale, found none in {group!r}. Use l1.")
    return _summed_weights(network, plan, group, "norm")


def random(network: nn.Module, plan: ChannelPlan, group: str, seed: int) -> Floats:
    """Draw a random order: a control."""
    position = [each.name for each in plan.groups].index(group)
    return np.random.default_rng(seed_for(seed, "criterion", position)).random(_width(plan, group))


CRITERIA: Final[Mapping[str, Criterion]] = MappingProxyType({"l1": l1, "bn_gamma": bn_gamma, "random": random})


def channel_scores(criterion: str, network: nn.Module, plan: ChannelPlan, seed: int) -> dict[str, Floats]:
    """Score all channels of all groups.

    Args:
        criterion: One of :data:`CRITERIA`.
        network: The dense network that ``plan`` was traced on.
        plan: Its channel groups.
        seed: Only ``random`` uses it.

    Returns:
        Group name -> scores ``[width]``, in network order; the higher, the longer the channel is kept.

    Raises:
        SurgeryError: If the criterion is unknown or does not fit the network.
    """
    if criterion not in CRITERIA:
        raise SurgeryError(f"No criterion is called {criterion!r}. {nearest(criterion, CRITERIA)}")
    return {group.name: CRITERIA[criterion](network, plan, group.name, seed) for group in plan.groups}


def _summed_weights(network: nn.Module, plan: ChannelPlan, group: str, side: str) -> Floats:
    """Return the sum of ``|weight|`` of each channel over all layers that have the group on this side."""
    total = np.zeros(_width(plan, group))
    for use in plan.positions(group):
        weight = getattr(network.get_submodule(use.layer), "weight", None)
        if use.side == side and isinstance(weight, Tensor):
            by_position = weight.detach().abs().double().cpu().reshape(len(weight), -1).sum(dim=1)
            total += by_position.numpy()[use.positions_CP].sum(axis=1)
    return total


def _width(plan: ChannelPlan, group: str) -> int:
    return next(each.width for each in plan.groups if each.name == group)
