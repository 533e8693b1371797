"""Greedy search in the manner of NetAdapt: in each round the group goes narrower whose narrowing costs least.

A round lowers the allowed static cost by a step. For each group alone, the widest width that meets it is proposed, all
others as they are; once all of them were measured, the best is where the next round starts. Rounds end when the best of
one meets the budget.

Source: Yang et al., "NetAdapt" (ECCV 2018): steps of 2.5 % that shrink by 0.96, a short fine-tuning of each proposal.
Ours: the static cost in place of measured latency, no fine-tuning in between, and as many rounds as evaluations allow;
where they allow so few that no group can take a step alone, the others help.
Proposals lie above the budget until the last rounds, so ``conf/strategy/greedy.yaml`` leaves projection off, and its
reward is the accuracy alone: all proposals of a round meet the same cost.
"""

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from lightning_snn.seeds import seed_for
from search.budget import project
from search.space import SearchContext
from search.strategies._rule import need_context

DECAY = 0.96
"""Each step is so much of the one before (NetAdapt)."""
SPARE_ROUNDS = 2
"""Rounds that are left for after the static budget is met, should measured SynOps lie above it."""
SPARE_STEP = 0.015
"""Share of the static budget that each of them takes off."""


class GreedySampler(BaseSampler):
    """Propose one narrower group at a time; the finished trials decide where a round starts."""

    def __init__(self, context: SearchContext, seed: int) -> None:
        """Start from the dense network."""
        self._context = context
        self._random = RandomSampler(seed=seed_for(seed, "sampler") % 2**32)
        self._best, self._meets_budget = list(context.full), False
        self._open: list[list[int]] = []  # proposals of this round that were not made yet
        self._made: dict[int, list[int]] = {}  # trial -> widths, of this round
        rounds = max(1, context.evaluations // len(context.groups) - SPARE_ROUNDS)
        steps = [DECAY**n for n in range(rounds)]
        excess = context.dense_cost - context.target_cost
        self._allowed = [context.dense_cost - excess * sum(steps[: n + 1]) / sum(steps) for n in range(rounds)]
        self._allowed += [context.target_cost * (1.0 - SPARE_STEP * (n + 1)) for n in range(SPARE_ROUNDS)]

    def is_exhausted(self, study: Study) -> bool:
        """Tell whether the last round is over, or its best meets the budget."""
        finished = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
        if self._open or not set(self._made) <= finished:
            return False
        self._open = self._next_round(study)
        return not self._open

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all groups: a proposal says them all."""
        return dict(self._context.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the keep ratios of the next proposal; once there is none, those of the best."""
        self._open = self._open or self._next_round(study)
        widths = self._open.pop(0) if self._open else self._best
        self._made[trial.number] = widths
        return {
            name: max(self._context.low, width / full)
            for name, width, full in zip(self._context.names, widths, self._context.full, strict=True)
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a parameter that is no group of the context."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _next_round(self, study: Study) -> list[list[int]]:
        """Take the best proposal of the last round, and return those of the next."""
        measured = [t for t in study.get_trials(deepcopy=False) if t.number in self._made and t.value is not None]
        if measured:
            best = max(measured, key=lambda trial: (trial.value, -trial.number))
            self._best, self._meets_budget = self._made[best.number], best.constraints.get("synops", 1.0) <= 0.0
        self._made = {}
        found: list[list[int]] = []
        groups = range(len(self._best))
        while self._allowed and not self._meets_budget and not found:
            allowed = max(self._allowed.pop(0), self._context.least_cost)
            if self._context.cost(self._best) <= allowed:
                continue  # the last step went further than it had to
            alone = (self._narrowed(group, allowed) for group in groups)
            found = [widths for widths in alone if widths is not None]
            found = found or [self._with_others(group, allowed) for group in groups]
        return found

    def _narrowed(self, group: int, allowed: float) -> list[int] | None:
        """Return the widths with one group as wide as ``allowed`` lets it be; None where it cannot be met."""
        least = self._context.least_widths[group]
        for width in range(self._best[group], least - 1, -1):
            widths = [*self._best[:group], width, *self._best[group + 1 :]]
            if self._context.cost(widths) <= allowed:
                return widths
        return None

    def _with_others(self, group: int, allowed: float) -> list[int]:
        """Return the widths with one group at its least, and the others bent onto ``allowed``."""
        full, low = self._context.full, self._context.low
        ratios = [width / whole for width, whole in zip(self._best, full, strict=True)]
        ratios[group] = low
        return project(ratios, full, low=low, cost=self._context.cost, target=allowed)


def build(*, seed: int, context: SearchContext | None = None) -> GreedySampler:
    """Return the sampler; it needs the costs of the context."""
    return GreedySampler(need_context(context, "greedy"), seed)
