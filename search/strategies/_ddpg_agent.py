"""Deep deterministic policy gradient over episodes whose only reward comes at the end.

An episode walks through the L groups of a network. Its final reward R is written on every transition, and a
moving baseline b is taken off:

    y = R - b + discount (1 - last) Q'(s', mu'(s'))     b <- m b + (1 - m) mean(R of the batch)
    critic: (Q(s, a) - y)^2      actor: -Q(s, mu(s))      targets: theta' <- theta' + tau (theta - theta')

Everything runs on the CPU and draws from one generator of the agent's own, so the weights are a pure function of
the seed and the episodes, in order.

Not here: the networks (``_ddpg_networks.py``), the remembered episodes (``_ddpg_replay.py``).

Axes: L groups (time of the episode), B batch, F features of a state.
Source: AMC (He et al., ECCV 2018, code mit-han-lab/amc).
"""

import copy
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search.errors import SearchError
from search.strategies._ddpg_networks import Actor
from search.strategies._ddpg_networks import Critic
from search.strategies._ddpg_networks import soft_update
from search.strategies._ddpg_replay import Episode
from search.strategies._ddpg_replay import Floats
from search.strategies._ddpg_replay import Transitions
from search.strategies._ddpg_replay import flatten


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

    @torch.no_grad()
    def act(self, state_BF: Floats) -> Floats:
        """Return the actor's actions ``[B]``, in [0, 1], without noise."""
        action_B1: Tensor = self.actor(torch.as_tensor(state_BF, dtype=torch.float32))
        return np.asarray(action_B1[:, 0], dtype=np.float64)

    @torch.no_grad()
    def value(self, state_BF: Floats, action_B: Floats) -> Floats:
        """Return what the critic expects ``[B]`` of these actions."""
        state, action = (torch.as_tensor(each, dtype=torch.float32) for each in (state_BF, action_B[:, None]))
        value_B1: Tensor = self.critic(state, action)
        return np.asarray(value_B1[:, 0], dtype=np.float64)

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
