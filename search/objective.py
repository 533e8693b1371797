"""One trial: bend the proposal onto the budget, prune, recalibrate, measure, predict, score."""

import time
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from conf.schema import RewardConfig
from search.budget import Budget
from search.budget import project
from search.budget import widths_of
from search.estimator import Estimator
from search.estimator import pre_for_upper
from search.evaluator import Candidate
from search.evaluator import Evaluator
from search.reward import target_aware_reward
from search.space import SearchContext
from search.study import Outcome

PASSES = 3
"""A proposal is projected and measured at most this often; the static cost is corrected in between."""
LEAST_USE = 0.98
AIM = 0.99
"""Projection is done when the upper bound lies between ``LEAST_USE`` and 1 of the target; it aims between them."""


@dataclass
class Objective:
    """Raw keep ratios -> :class:`~search.study.Outcome`. A pure function of them, given the estimator."""

    context: SearchContext
    evaluator: Evaluator
    estimator: Estimator
    budget: Budget
    reward: RewardConfig
    projection: bool

    def __call__(self, params: Mapping[str, float]) -> Outcome:
        """Measure one proposal."""
        started = time.perf_counter()
        ratios = [params[name] for name in self.context.names]
        if self.projection:
            candidate, passes = self._onto_budget(ratios)
        else:
            candidate, passes = self.evaluator.evaluate(widths_of(ratios, self.context.full)), 1
        predicted = self.estimator.predict(candidate.synops)
        upper = float(predicted.upper)
        value = target_aware_reward(
            candidate.accuracy,
            upper if candidate.synops > 0.0 else 0.0,  # an intercept must not make a silent network worth something
            self.budget.target,
            form="plain" if self.projection else self.reward.form,
            beta=self.reward.beta,
        )
        return Outcome(
            value,
            self.budget.constraint(upper),
            {
                "keep": {
                    name: width / full
                    for name, width, full in zip(self.context.names, candidate.widths, self.context.full, strict=True)
                },
                "widths": dict(zip(self.context.names, candidate.widths, strict=True)),
                "accuracy": candidate.accuracy,
                "synops": candidate.synops,
                "predicted_synops": float(predicted.mean),
                "lower": float(predicted.lower),
                "upper": upper,
                "parameters": candidate.parameters,
                "passes": passes,
                "seconds": time.perf_counter() - started,
            },
        )

    def _onto_budget(self, ratios: list[float]) -> tuple[Candidate, int]:
        """Project by static cost, measure, correct the cost by what was measured; at most ``PASSES`` times."""
        full, low, cost = self.context.full, self.context.low, self.context.cost
        aim = pre_for_upper(self.estimator, AIM * self.budget.target, self.budget.baseline)
        target = self.context.target_cost
        measured: list[tuple[float, Candidate]] = []
        for _ in range(PASSES):
            widths = project(ratios, full, low=low, cost=cost, target=max(self.context.least_cost, target))
            candidate = self.evaluator.evaluate(widths)
            use = float(self.estimator.predict(candidate.synops).upper) / self.budget.target
            measured.append((use, candidate))
            if LEAST_USE <= use <= 1.0 or candidate.synops <= 0.0:
                break
            target *= aim / candidate.synops
        within = [each for each in measured if each[0] <= 1.0]
        _, chosen = max(within, key=_use) if within else min(measured, key=_use)
        return chosen, len(measured)


def _use(measured: tuple[float, Candidate]) -> float:
    return measured[0]


def candidate_of(trial: FrozenTrial, names: list[str]) -> Candidate:
    """Return the candidate that a recorded trial measured."""
    seen: Mapping[str, Any] = trial.user_attrs
    widths = tuple(int(seen["widths"][name]) for name in names)
    return Candidate(widths, seen["accuracy"], seen["synops"], seen["parameters"], seen["seconds"])


def best_trial(trials: list[FrozenTrial]) -> FrozenTrial | None:
    """Return the feasible trial of the highest accuracy, whatever reward guided the search to it.

    Of equals, the one of fewer SynOps; where none is feasible, the one closest to the budget.
    """
    finished = [trial for trial in trials if trial.value is not None]
    feasible = [trial for trial in finished if is_feasible(trial)]
    if feasible:
        return max(feasible, key=lambda trial: (trial.user_attrs["accuracy"], -trial.user_attrs["synops"]))
    return min(finished, key=lambda trial: trial.constraints["synops"], default=None)


def best_so_far(trials: Sequence[FrozenTrial]) -> list[float]:
    """Return the best accuracy of a feasible network after each evaluation; 0 while there is none.

    Args:
        trials: In the order in which they were made; a repeated network is no evaluation of its own.
    """
    best, seen = list[float](), set[tuple[int, ...]]()
    for trial in trials:
        widths = tuple(trial.user_attrs.get("widths", {}).values())
        if widths not in seen:
            seen.add(widths)
            reached = trial.user_attrs["accuracy"] if is_feasible(trial) else 0.0
            best.append(max(reached, best[-1] if best else 0.0))
    return best


def is_feasible(trial: FrozenTrial) -> bool:
    """Tell whether the upper bound of the prediction lies within the budget."""
    return trial.value is not None and trial.constraints.get("synops", 1.0) <= 0.0
