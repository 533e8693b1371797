"""DDPG as an Optuna sampler: an agent that walks through the groups and chooses their parameters one by one.

Not here: the agent (``_ddpg_agent.py``), its states (``_ddpg_state.py``), its exploration (``_ddpg_noise.py``).
"""

import math
import threading
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from types import MappingProxyType
from typing import Any
from typing import Final
from typing import NamedTuple

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from lightning_snn.seeds import seed_for
from search.errors import SearchError
from search.strategies._ddpg_agent import Agent
from search.strategies._ddpg_agent import AgentConfig
from search.strategies._ddpg_noise import NoiseSchedule
from search.strategies._ddpg_noise import decay_to_floor
from search.strategies._ddpg_noise import truncated_normal
from search.strategies._ddpg_state import StateBuilder
from search.strategies._ddpg_state import StateContext
from search.strategies._ddpg_state import from_unit

__all__ = ["AMC_OPTIONS", "DDPGSampler", "StateContext", "build"]

AMC_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "warmup": 100,
        "noise_floor": 0.0,
        "noise_decay": 0.95,
        "hidden": 300,
        "actor_lr": 1e-4,
        "updates_per_step": 1,
        "replay_episodes": 100,
        "rank_power": None,
        "one_hot": False,
        "history": False,
        "walks": 1,
    }
)
"""The published settings where ours differ (AMC, code mit-han-lab/amc); meant for 400 evaluations or more."""


class _Record(NamedTuple):
    """What the agent learns from one finished trial."""

    number: int
    values: tuple[float, ...]
    """Executed parameters, in network order."""
    reward: float


@dataclass
class _Learned:
    """An agent and all that it has learned from, in order."""

    space: dict[str, FloatDistribution]
    agent: Agent
    records: list[_Record] = field(default_factory=list)


class DDPGSampler(BaseSampler):
    """Deep deterministic policy gradient over the float parameters of a single-objective study.

    A trial is an episode: the agent chooses one parameter after the other, each from a state that holds the previous
    choice; the trial's value is the reward of every step. The agent learns from what was *executed*: the
    user attribute ``keep`` (parameter name -> value) where a finished trial has it, else its parameters.

    **Pure.** A proposal is a function of the seed, the trial's number and the finished trials, in order of their
    numbers. What the sampler keeps between calls only saves time: where the finished trials do not extend what it
    has learned (another study; a parallel worker's earlier trial), it learns anew from the first one. Samplers may be
    copied and pickled, and draw nothing from global generators.

    **Several walks** (ours). With ``history``, the state of the last step holds the whole candidate, so that the
    critic's value there is its forecast of the reward. Of ``walks`` noisy walks, the one with the highest forecast is
    proposed: forecasts cost microseconds, evaluations seconds.

    **Unusable trials.** Failed and pruned trials, values that are NaN or infinite, and trials that lack a parameter
    of the search space never reach the agent. Constraints are not used: put them into the reward, or project.

    **Scale.** Only the order of rewards counts (``rank_power``), so that learning rates suit rewards of any size.
    With ``rank_power=None``, as in AMC, rewards up to 1 in magnitude are taken as they are, and larger ones divided
    by the largest.

    Parameters that are not floats, or have one value, are drawn uniformly, and so is everything in the warm-up.

    Source: AMC (He et al., ECCV 2018). Its settings are :data:`AMC_OPTIONS`; the defaults are ours, for
    searches of 100 evaluations.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        context: StateContext | None = None,
        evaluations: int | None = None,
        warmup: int | None = None,
        noise_start: float = 0.5,
        noise_floor: float = 0.02,
        noise_decay: float | None = None,
        hidden: int = 64,
        actor_lr: float = 1e-3,
        critic_lr: float = 1e-3,
        tau: float = 0.01,
        batch_size: int = 64,
        discount: float = 1.0,
        baseline_decay: float = 0.5,
        updates_per_step: int = 4,
        replay_episodes: int = 30,
        rank_power: float | None = 3.0,
        one_hot: bool = True,
        history: bool = True,
        walks: int = 16,
    ) -> None:
        """Check the settings.

        Args:
            seed: Root seed of weights, replay, noise and uniform draws; 0 or greater.
            context: Parameter names in network order and their features. Without one, names are sorted.
            evaluations: Length of the search, for warm-up and noise; the context's, or 100, unless given.
            warmup: Episodes with uniform actions; :func:`default_warmup` unless given.
            noise_start: Sigma of the truncated normal after the warm-up, in units of each parameter's range.
            noise_floor: Least sigma.
            noise_decay: Factor of sigma per episode; unless given, sigma meets its floor at 90 % of the evaluations.
            hidden: Units of each of the two hidden layers of actor and critic.
            actor_lr: Learning rate of the actor (Adam).
            critic_lr: Learning rate of the critic (Adam).
            tau: Step of the target networks, in (0, 1].
            batch_size: Transitions an update.
            discount: Per group, in [0, 1].
            baseline_decay: Memory of the moving baseline, in [0, 1).
            updates_per_step: Updates after an episode, for each of its groups.
            replay_episodes: Latest episodes that the agent remembers.
            rank_power: Reward is (rank among the remembered episodes, scaled to [0, 1])^power; None: the value.
            one_hot: Whether the state says which group it is; AMC's holds only the position t / L.
            history: Whether the state holds all actions so far; AMC's holds only the one before.
            walks: Noisy walks a proposal; the critic chooses among them. AMC: 1.

        Raises:
            SearchError: If a setting is out of its range.
        """
        if evaluations is None:
            evaluations = context.evaluations if context is not None else 100
        if warmup is None:
            warmup = default_warmup(evaluations)
        if noise_decay is None:
            noise_decay = decay_to_floor(noise_start, noise_floor, warmup=warmup, evaluations=evaluations)
        if warmup >= evaluations:
            warnings.warn(
                f"DDPGSampler will not learn: its warm-up of {warmup} trials covers all {evaluations} evaluations. "
                "Give the search more evaluations, or a shorter warmup.",
                stacklevel=2,
            )
        if walks < 1:
            raise SearchError(f"walks counts the walks of a proposal, found {walks}. Use 1 or more.")
        self._noise = NoiseSchedule(warmup=warmup, start=noise_start, floor=noise_floor, decay=noise_decay)
        self._config = AgentConfig(
            hidden=hidden,
            actor_lr=actor_lr,
            critic_lr=critic_lr,
            tau=tau,
            batch_size=batch_size,
            discount=discount,
            baseline_decay=baseline_decay,
            updates_per_step=updates_per_step,
            replay_episodes=replay_episodes,
            rank_power=rank_power,
        )
        self._seed, self._context, self._walks = seed, context, walks
        self._one_hot, self._history = one_hot, history
        self._learned: _Learned | None = None
        self._lock = threading.Lock()  # study.optimize(n_jobs=2) asks one sampler from two threads

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what only saves time."""
        return {**self.__dict__, "_learned": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start without having learned anything; the next proposal catches up."""
        self.__dict__.update(state, _lock=threading.Lock())

    def reseed_rng(self) -> None:
        """Do nothing: every trial number has random streams of its own, so parallel trials never share one."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the floats with more than one value that all finished trials share, in network order."""
        shared = intersection_search_space(study.get_trials(deepcopy=False))
        names = self._context.names if self._context is not None else sorted(shared)
        return {name: shared[name] for name in names if name in shared and _is_choosable(shared[name])}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Walk through the parameters with the agent, or uniformly while it warms up.

        Raises:
            ValueError: If the study has several objectives.
            SearchError: If the context describes other parameters than the study has.
        """
        self._raise_error_if_multi_objective(study)
        space = {name: each for name, each in search_space.items() if isinstance(each, FloatDistribution)}
        if not space:
            return {}
        states = StateBuilder(space, self._context, one_hot=self._one_hot, history=self._history)
        records = _records(study, list(space))
        if len(records) < self._noise.warmup:
            return {name: self.sample_independent(study, trial, name, space[name]) for name in space}
        sigma = self._noise.sigma(len(records))
        rng = np.random.default_rng(seed_for(self._seed, "noise", trial.number))
        with self._lock:
            agent = self._learn(states, space, records)
            walks: list[list[float]] = [[] for _ in range(self._walks)]
            for distribution in space.values():
                state_BF = np.stack([states.state(walk) for walk in walks])
                action_B = truncated_normal(agent.act(state_BF), sigma, rng.random(self._walks))
                for walk, action in zip(walks, action_B.tolist(), strict=True):
                    walk.append(from_unit(action, distribution))
            favourite = walks[int(np.argmax(agent.value(state_BF, action_B)))]
        return dict(zip(space, favourite, strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw uniformly, from a stream of the trial's number and the parameter's name.

        Raises:
            ValueError: If the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        stream = seed_for(self._seed, "uniform", trial.number, zlib.crc32(param_name.encode()))
        uniform = RandomSampler(seed=stream % 2**32)
        return uniform.sample_independent(study, trial, param_name, param_distribution)

    def _learn(self, states: StateBuilder, space: dict[str, FloatDistribution], records: list[_Record]) -> Agent:
        """Return an agent that has learned from exactly these records."""
        learned, self._learned = self._learned, None  # an interrupt must not leave a half-learned agent behind
        if learned is None or learned.space != space or learned.records != records[: len(learned.records)]:
            learned = _Learned(space, Agent(states.features, self._config, seed_for(self._seed, "agent")))
        for record in records[len(learned.records) :]:
            learned.records.append(record)
            learned.agent.learn(
                states.episode(record.values, record.reward),
                update=len(learned.records) >= self._noise.warmup,
            )
        self._learned = learned
        return learned.agent


build = DDPGSampler
"""What the registry calls, with ``seed``, ``context`` and the options."""


def default_warmup(evaluations: int) -> int:
    """Return how many episodes are at random in a search of so many: a quarter, and ten at least (ours)."""
    return max(10, evaluations // 4)


def _is_choosable(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, FloatDistribution) and not distribution.single()


def _records(study: Study, names: list[str]) -> list[_Record]:
    """Return the usable finished trials, in order of their numbers."""
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    records = []
    for trial in sorted(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), key=lambda each: each.number):
        keep = trial.user_attrs.get("keep")
        executed = keep if isinstance(keep, Mapping) else trial.params
        values = tuple(executed.get(name, math.nan) for name in names)
        if trial.value is not None and all(map(math.isfinite, (trial.value, *values))):
            records.append(_Record(trial.number, values, sign * trial.value))
    return records
