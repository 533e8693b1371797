"""Deep deterministic policy gradient over episodes whose only reward comes at the end.

An episode walks through the L groups of a network. Its final reward R is written on every transition, and a
moving baseline b is taken off:

    y = R - b + discount (1 - last) Q'(s', mu'(s'))     b <- m b + (1 - m) mean(R of the batch)
    critic: (Q(s, a) - y)^2      actor: -Q(s, mu(s))      targets: theta' <- theta' + tau (theta - theta')

Everything runs on the CPU and draws from one generator of the agent's own, so the weights are a pure function of
the seed and the episodes, in order.

Axes: E episodes, L groups (time of the episode), B batch, F features of a state.
Source: AMC (He et al., ECCV 2018, code mit-han-lab/amc); the ranking of rewards is ours.
"""

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch import nn

from search.errors import SearchError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentConfig:
    """Settings of the agent; ``ddpg.py`` has our defaults and AMC's."""

    hidden: int
    """Units of each of the two hidden layers of actor and critic."""
    actor_lr: float
    critic_lr: float
    tau: float
    """Step of the target networks, in (0, 1]."""
    batch_size: int
    """Transitions an update."""
    discount: float
    """Per group, in [0, 1]."""
    baseline_decay: float
    """Memory m of the moving baseline, in [0, 1)."""
    updates_per_step: int
    """Updates after an episode, for each of its groups."""
    replay_episodes: int
    """Latest episodes that the agent remembers."""
    rank_power: float | None
    """Learn from (rank among the remembered)^power in [0, 1]; None: from the rewards themselves."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot learn."""
        for name in ("hidden", "batch_size", "updates_per_step", "replay_episodes", "actor_lr", "critic_lr"):
            if not getattr(self, name) > 0:
                raise SearchError(f"{name} must be positive, found {getattr(self, name)}. Leave it at its default.")
        for name, allowed in (
            ("tau", 0.0 < self.tau <= 1.0),
            ("discount", 0.0 <= self.discount <= 1.0),
            ("baseline_decay", 0.0 <= self.baseline_decay < 1.0),
            ("rank_power", self.rank_power is None or self.rank_power > 0.0),
        ):
            if not allowed:
                raise SearchError(f"{name} is out of range, found {getattr(self, name)}. Leave it at its default.")


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


class Actor(nn.Module):
    """State -> action in (0, 1)."""

    def __init__(self, features: int, hidden: int, generator: torch.Generator) -> None:
        """Draw the weights."""
        super().__init__()
        self.layers = nn.Sequential(
            _linear(features, hidden, generator),
            nn.ReLU(),
            _linear(hidden, hidden, generator),
            nn.ReLU(),
            _linear(hidden, 1, generator),
            nn.Sigmoid(),
        )

    def forward(self, state_BF: Tensor) -> Tensor:
        """Return actions, ``[B, 1]``."""
        action_B1: Tensor = self.layers(state_BF)
        return action_B1


class Critic(nn.Module):
    """State and action -> expected return; the two embeddings are added in the first layer, as in AMC."""

    def __init__(self, features: int, hidden: int, generator: torch.Generator) -> None:
        """Draw the weights."""
        super().__init__()
        self.embed_state = _linear(features, hidden, generator)
        self.embed_action = _linear(1, hidden, generator)
        self.layers = nn.Sequential(
            nn.ReLU(), _linear(hidden, hidden, generator), nn.ReLU(), _linear(hidden, 1, generator)
        )

    def forward(self, state_BF: Tensor, action_B1: Tensor) -> Tensor:
        """Return values, ``[B, 1]``."""
        value_B1: Tensor = self.layers(self.embed_state(state_BF) + self.embed_action(action_B1))
        return value_B1


class MovingBaseline:
    """Exponential mean of batch rewards; the first batch sets it."""

    def __init__(self, decay: float) -> None:
        """Start without a value."""
        self._decay = decay
        self._value: Tensor | None = None

    def update(self, reward_B1: Tensor) -> Tensor:
        """Take in a batch and return the baseline, a scalar."""
        mean = reward_B1.mean()
        self._value = mean if self._value is None else self._decay * self._value + (1.0 - self._decay) * mean
        return self._value


class Agent:
    """Actor, critic, their targets and the episodes they remember."""

    def __init__(self, features: int, config: AgentConfig, seed: int) -> None:
        """Draw actor and critic from the agent's own generator; the targets start as their copies."""
        self._config = config
        self._generator = torch.Generator().manual_seed(seed)
        self.actor = Actor(features, config.hidden, self._generator)
        self.critic = Critic(features, config.hidden, self._generator)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self._actor_optimizer = torch.optim.Adam(self.actor.parameters(), config.actor_lr)
        self._critic_optimizer = torch.optim.Adam(self.critic.parameters(), config.critic_lr)
        self._baseline = MovingBaseline(config.baseline_decay)
        self._replay: deque[Episode] = deque(maxlen=config.replay_episodes)

    def act(self, state_F: Floats) -> float:
        """Return the actor's action, in [0, 1], without noise."""
        with torch.no_grad():
            return float(self.actor(torch.as_tensor(state_F, dtype=torch.float32)[None]))

    def learn(self, episode: Episode, *, update: bool) -> None:
        """Remember a finished episode and, but for the warm-up, update after it."""
        self._replay.append(episode)
        if not update:
            return
        steps = flatten(self._replay, self._config.rank_power)
        for _ in range(len(episode.actions_L) * self._config.updates_per_step):
            chosen_B = torch.randint(len(steps.reward_B1), (self._config.batch_size,), generator=self._generator)
            self._update(Transitions(*(column[chosen_B] for column in steps)))

    @torch.enable_grad()
    def _update(self, batch: Transitions) -> None:
        """Move the critic to its target, the actor up the critic, and the target networks a little after them."""
        with torch.no_grad():
            next_value_B1 = self.target_critic(batch.next_state_BF, self.target_actor(batch.next_state_BF))
            advantage_B1 = batch.reward_B1 - self._baseline.update(batch.reward_B1)
            target_B1 = advantage_B1 + self._config.discount * batch.goes_on_B1 * next_value_B1

        critic_loss = (self.critic(batch.state_BF, batch.action_B1) - target_B1).square().mean()
        self._critic_optimizer.zero_grad()
        critic_loss.backward()
        self._critic_optimizer.step()

        actor_loss = -self.critic(batch.state_BF, self.actor(batch.state_BF)).mean()
        self._actor_optimizer.zero_grad()
        actor_loss.backward()
        self._actor_optimizer.step()

        soft_update(self.target_actor, self.actor, self._config.tau)
        soft_update(self.target_critic, self.critic, self._config.tau)


def flatten(episodes: Sequence[Episode] | deque[Episode], rank_power: float | None) -> Transitions:
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


@torch.no_grad()
def soft_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Move every parameter of the target by the share ``tau`` towards the source."""
    for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
        slow.lerp_(fast, tau)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a layer with torch's own distribution of weights, U(+-1/sqrt(inputs)), drawn from ``generator``."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=torch.float32)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer
