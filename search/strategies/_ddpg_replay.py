"""What the agent remembers: whole episodes, laid out as transitions when it learns from them.

The reward of an episode comes at its end and is written on every one of its transitions, as in AMC.

Axes: E episodes, L groups (time of the episode), B transitions, F features of a state.
Source: AMC (He et al., ECCV 2018, code mit-han-lab/amc); the ranking of rewards is ours.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

Floats = NDArray[np.float64]


class Episode(NamedTuple):
    """One walk through the groups."""

    states_LF: Floats
    actions_L: Floats
    """Executed, in [0, 1]."""
    reward: float
    """Finite; higher is better."""


class Transitions(NamedTuple):
    """Steps of episodes, as the update takes them."""

    state_BF: Tensor
    action_B1: Tensor
    reward_B1: Tensor
    """Shaped reward of the step's whole episode."""
    next_state_BF: Tensor
    goes_on_B1: Tensor
    """0 at the last step of an episode, else 1."""


def flatten(episodes: Iterable[Episode], rank_power: float | None) -> Transitions:
    """Lay out all steps of the episodes one after the other, ``B = E * L``; the reward is broadcast."""
    states_ELF = torch.as_tensor(np.stack([each.states_LF for each in episodes]), dtype=torch.float32)
    actions_EL = torch.as_tensor(np.stack([each.actions_L for each in episodes]), dtype=torch.float32)
    shaped_E = torch.as_tensor(
        shape_rewards(np.array([each.reward for each in episodes]), rank_power), dtype=torch.float32
    )
    goes_on_EL = torch.ones_like(actions_EL)
    goes_on_EL[:, -1] = 0.0
    return Transitions(
        state_BF=states_ELF.flatten(0, 1),
        action_B1=actions_EL.reshape(-1, 1),
        reward_B1=shaped_E[:, None].expand_as(actions_EL).reshape(-1, 1),
        next_state_BF=states_ELF.roll(-1, dims=1).flatten(0, 1),  # the last one wraps round; goes_on is 0 there
        goes_on_B1=goes_on_EL.reshape(-1, 1),
    )


def shape_rewards(reward_E: Floats, rank_power: float | None) -> Floats:
    """Bring rewards of any size to what fixed learning rates suit.

    With a power: ((rank - 1) / (E - 1))^power, ties sharing their mean rank; the same for every increasing
    transformation of the reward, and the higher the power, the more the best episodes stand out. Without:
    the rewards, divided by the largest magnitude if that exceeds 1, so that accuracies are left as they are.
    """
    if rank_power is None:
        return reward_E / max(1.0, float(np.abs(reward_E).max()))
    rank_E: Floats = (rankdata(reward_E) - 1.0) / max(1, len(reward_E) - 1)
    return rank_E**rank_power
