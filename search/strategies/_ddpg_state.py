"""What the agent sees: one state a group, and how its actions in [0, 1] become parameters.

State of group t: the context's static features (without a context: t / L), optionally which group it is (one-hot),
the context's features of the actions taken so far, the previous action (1 at t = 0), and optionally all actions so
far, with 0 for those still to come.

Axes: L groups, F features.
"""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from optuna.distributions import FloatDistribution

from search.errors import SearchError
from search.strategies._ddpg_replay import Episode
from search.strategies._ddpg_replay import Floats


class StateContext(Protocol):
    """What a network tells the agent; :class:`search.space.SearchContext` is one."""

    @property
    def names(self) -> Sequence[str]:
        """Parameter names, in network order."""

    @property
    def evaluations(self) -> int:
        """Evaluations of the whole search."""

    @property
    def state_features_LF(self) -> Floats:
        """Static features of each group, each column scaled to [0, 1]."""

    def dynamic_features(self, t: int, actions: Sequence[float]) -> Sequence[float]:
        """Features of group ``t`` that depend on the parameters of the groups before it."""


class StateBuilder:
    """States of one search space."""

    def __init__(
        self, space: Mapping[str, FloatDistribution], context: StateContext | None, *, one_hot: bool, history: bool
    ) -> None:
        """Hold the static features.

        Args:
            space: Distribution of every parameter, in network order.
            context: Its names must be those of the space.
            one_hot: Whether the state says which group it is.
            history: Whether the state holds all actions so far.

        Raises:
            SearchError: If the context describes other parameters than the space has.
        """
        groups = len(space)
        self._distributions = list(space.values())
        self._context, self._history = context, history
        if context is None:
            static_LF = np.arange(groups, dtype=np.float64)[:, None] / groups
        elif list(context.names) == list(space):
            static_LF = np.asarray(context.state_features_LF, dtype=np.float64)
        else:
            odd = sorted(set(context.names) ^ set(space))
            raise SearchError(
                f"DDPGSampler walks through all {len(context.names)} parameters of its context, found {groups} "
                f"to choose in the study (differing: {', '.join(odd)}). "
                "Suggest each with a float range of more than one value, or leave it out of the context."
            )
        if static_LF.shape[0] != groups:
            raise SearchError(
                f"A context needs one row of state_features_LF for each of its {groups} names, "
                f"found shape {static_LF.shape}. Build the features from the same groups."
            )
        self._static_LF = np.hstack([static_LF, np.eye(groups)]) if one_hot else static_LF

    @property
    def features(self) -> int:
        """Return the size F of a state."""
        return len(self.state([]))

    def state(self, taken: Sequence[float]) -> Floats:
        """Return the state ``[F]`` after the first ``len(taken)`` parameters are chosen."""
        t = len(taken)
        dynamic = self._context.dynamic_features(t, taken) if self._context is not None else ()
        actions = [to_unit(value, each) for value, each in zip(taken, self._distributions, strict=False)]
        previous = actions[-1] if actions else 1.0
        past = actions + [0.0] * (len(self._distributions) - t) if self._history else []
        return np.concatenate([self._static_LF[t], dynamic, [previous], past])

    def episode(self, values: Sequence[float], reward: float) -> Episode:
        """Return the walk that took these parameters, in network order."""
        return Episode(
            states_LF=np.stack([self.state(values[:t]) for t in range(len(values))]),
            actions_L=np.array([to_unit(v, d) for v, d in zip(values, self._distributions, strict=True)]),
            reward=reward,
        )


def to_unit(value: float, distribution: FloatDistribution) -> float:
    """Return where a value lies in its range, 0 at the low end and 1 at the high; outside is moved to the end."""
    low, high = distribution.low, distribution.high
    value = min(max(value, low), high)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def from_unit(unit: float, distribution: FloatDistribution) -> float:
    """Return the value at a place in [0, 1] of its range, on the nearest step where there are steps."""
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    else:
        value = low + unit * (high - low)
    if distribution.step is not None:
        value = low + round((value - low) / distribution.step) * distribution.step
    return min(max(value, low), high)
