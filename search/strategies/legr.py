"""LeGR: evolution of an affine map of each group's channel scores, so that one global ranking compares layers fairly.

    score'[c] = alpha[g] score[c]^2 + kappa[g] sd[g]        for channel c of group g

    sd[g]   standard deviation of the group's squared scores

All channels are ranked by ``score'`` and cut where static SynOps meet the budget, so that every proposal lies on it.
Source: Chin et al., "Towards efficient model compression via learned global ranking" (CVPR 2020, code
cmu-enyac/LeGR): regularised evolution, alpha log-normal with steps that shrink, kappa normal, the last of the first
population the identity, 10 % of the layers mutated. Ours: squared scores are divided by their mean over the group;
population and tournament are in proportion to their 64 and 16 of 400 evaluations.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from lightning_snn.seeds import seed_for
from search.space import SearchContext
from search.strategies._ranking import cut_to_budget
from search.strategies._rule import need_context

Floats = NDArray[np.float64]
POPULATION, TOURNAMENT = 64 / 400, 16 / 400
"""Shares of the evaluations."""
MUTATED = 0.1
"""Share of the groups that a child differs in, one at least."""


class LeGRSampler(BaseSampler):
    """Propose the cut of an evolved ranking."""

    def __init__(self, context: SearchContext, seed: int) -> None:
        """Start without a population."""
        self._context, self._seed = context, seed
        self._random = RandomSampler(seed=seed_for(seed, "sampler") % 2**32)
        self._genomes: dict[int, Floats] = {}  # trial -> log alpha and kappa of each group, [2, groups]
        squares = [context.scores[name] ** 2 for name in context.names]
        self._squares = [square / (square.mean() or 1.0) for square in squares]  # of a silent group all are 0
        self._deviations = [square.std() for square in self._squares]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all groups: a ranking speaks for all of them at once."""
        return dict(self._context.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the keep ratios of a fresh or a mutated ranking."""
        random = np.random.default_rng(seed_for(self._seed, "legr", trial.number))
        genome = self._child(study, random, trial.number)
        self._genomes[trial.number] = genome
        return self.ratios(genome)

    def ratios(self, genome: Floats) -> dict[str, float]:
        """Return the keep ratios that a genome stands for: the cut of its ranking.

        Args:
            genome: log alpha and kappa of each group, ``[2, groups]``.
        """
        scores = [
            np.exp(log_alpha) * square + kappa * deviation
            for log_alpha, kappa, square, deviation in zip(*genome, self._squares, self._deviations, strict=True)
        ]
        return {name: max(self._context.low, ratio) for name, ratio in cut_to_budget(self._context, scores).items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a parameter that is no group of the context."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _child(self, study: Study, random: np.random.Generator, number: int) -> Floats:
        evaluations, groups = self._context.evaluations, len(self._context.groups)
        size, tournament = max(4, round(POPULATION * evaluations)), max(2, round(TOURNAMENT * evaluations))
        complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        finished = [trial for trial in complete if trial.number in self._genomes]
        if len(finished) < size - 1:
            return random.normal(size=(2, groups))
        if len(finished) == size - 1:
            return np.zeros((2, groups))
        rivals = random.choice(len(finished[-size:]), min(tournament, size), replace=False)
        parent = max((finished[-size:][index] for index in rivals), key=lambda t: (t.value, t.number))
        genome = self._genomes[parent.number].copy()
        where = random.choice(groups, max(1, round(MUTATED * groups)), replace=False)
        genome[:, where] += [[self._step(number)], [1.0]] * random.normal(size=(2, len(where)))
        return genome

    def _step(self, number: int) -> float:
        """Return the standard deviation of a mutation of log alpha: it falls to a fifth, and stays there."""
        return max(0.2, 1.0 - number / (1.25 * self._context.evaluations))


def build(*, seed: int, context: SearchContext | None = None) -> LeGRSampler:
    """Return the sampler; it needs the scores and costs of the context."""
    return LeGRSampler(need_context(context, "legr"), seed)
