"""The search space: one keep ratio a channel group; and what a strategy may know of the network behind it."""

import copy
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from torch import Tensor
from torch import nn

from lightning_snn.surgery import ChannelGroup
from lightning_snn.surgery import ChannelPlan
from search.baseline import Baseline
from search.budget import Budget
from search.budget import check_reachable
from search.budget import widths_of
from search.cost import CostModel
from search.cost import measure_cost_model
from search.errors import SearchError
from search.estimator import Estimator
from search.estimator import pre_for_upper
from search.evaluator import keep_order
from search.features import layer_features
from search.sampling import Sample
from search.silence import refuse_silent

Floats = NDArray[np.float64]
LEAST_TARGET = 1e-3
"""Share of the dense network's static SynOps: a smaller static target would be too little to divide by. Ours."""


@dataclass(frozen=True)
class SearchContext:
    """What a strategy may know: the groups in network order, their scores, features and costs, and the budget.

    It serves :class:`search.strategies.ddpg.DDPGSampler` as its state, and rules (``l1``, say) as their input.
    """

    groups: Sequence[ChannelGroup]
    low: float
    scores: Mapping[str, Floats]
    """Group name -> score of each channel by the criterion, ``[width]``."""
    cost: CostModel
    target_cost: float
    """The budget in the cost model's own units: static SynOps that are expected to just meet it."""
    state_features_LF: Floats
    """Static features of each group, each column scaled to [0, 1] over the groups: what an agent sees of it."""
    evaluations: int
    fresh_network: Callable[[], nn.Module]
    """Returns a copy of the dense network."""
    plan: ChannelPlan | None = None
    """The channels of that network; strategies that run it need it."""
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]] = tuple
    """Returns training inputs ``[T, B, C, H, W]`` and labels ``[B]``, the same ones at every call."""
    criterion: str | None = None
    """What the scores are; None: unknown."""

    @property
    def names(self) -> list[str]:
        """Return the parameter names, one a group, in network order."""
        return [group.name for group in self.groups]

    @property
    def full(self) -> list[int]:
        """Return the channels of each group of the dense network."""
        return [group.width for group in self.groups]

    @property
    def space(self) -> dict[str, FloatDistribution]:
        """Return the distribution of every parameter, in network order."""
        return {name: FloatDistribution(self.low, 1.0) for name in self.names}

    @cached_property
    def dense_cost(self) -> float:
        """Return the static SynOps of the dense network."""
        return self.cost(self.full)

    @property
    def least_widths(self) -> list[int]:
        """Return the channels of each group of the smallest network."""
        return widths_of([self.low] * len(self.full), self.full)

    @cached_property
    def least_cost(self) -> float:
        """Return the static SynOps of the smallest network."""
        return self.cost(self.least_widths)

    def dynamic_features(self, t: int, actions: Sequence[float]) -> list[float]:
        """Return what the keep ratios of the first ``t`` groups leave: the changing part of the agent's state.

        Two numbers: the share of the dense SynOps removed so far (all later groups whole), and the least
        reachable SynOps (all later groups at ``low``) over the target.
        """
        later = len(self.groups) - t
        removed = 1.0 - self.cost(widths_of([*actions[:t], *[1.0] * later], self.full)) / self.dense_cost
        least = self.cost(widths_of([*actions[:t], *[self.low] * later], self.full)) / self.target_cost
        return [removed, least]


def build_context(
    baseline: Baseline,
    budget: Budget,
    *,
    low: float,
    evaluations: int,
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]] = tuple,
) -> SearchContext:
    """Describe the dense network to the strategies; the static target is refined once samples are known.

    Raises:
        SearchError: If there is a single validation sample, the dense network hardly spikes, or even the smallest
            network needs more than the budget.
    """
    if baseline.validation.samples < 2:
        raise SearchError(
            "A budget is held against SynOps with two standard errors added, and of one validation sample there are "
            "none. Give more of them (data.validation_samples, data.validation_fraction)."
        )
    too_little = baseline.validation.synops.too_little()
    if too_little is not None:
        raise SearchError(
            f"The dense network hardly spikes on validation data: {too_little}. That is too little to take a share of; "
            "train it longer (training.epochs; batch norms settle over dozens of batches), or lower its threshold."
        )
    silent_end = baseline.validation.synops.silent_end()
    if silent_end is not None:
        warnings.warn(
            f"The dense network hardly speaks on validation data: {silent_end}. No choice of channels can be judged by "
            "it; train it longer (training.epochs; batch norms settle over dozens of batches), or lower its threshold.",
            stacklevel=2,
        )
    order = keep_order(baseline.scores)
    cost = measure_cost_model(baseline.network, baseline.plan, baseline.validation.synops, order)
    full = [group.width for group in baseline.plan.groups]
    check_reachable(budget, full, low=low, cost=cost)
    return SearchContext(
        groups=baseline.plan.groups,
        low=low,
        scores=baseline.scores,
        cost=cost,
        target_cost=budget.target,
        state_features_LF=layer_features(baseline.network, baseline.plan, baseline.validation.synops),
        evaluations=evaluations,
        fresh_network=lambda: copy.deepcopy(baseline.network),
        plan=baseline.plan,
        batches=batches,
        criterion=baseline.criterion,
    )


def refine_target_cost(
    context: SearchContext, samples: Sequence[Sample], estimator: Estimator, budget: Budget
) -> SearchContext:
    """Return the context with the static cost at which a pruned network is expected to just meet the budget.

    Two steps back from the budget: the estimator says how many SynOps before fine-tuning are allowed, and the
    samples how measured SynOps before fine-tuning follow static ones (least squares through the origin, with the
    samples' spread of levels centred on the target). Never less than the smallest network, so that a budget that
    turns out too tight is missed by every strategy alike, and reported.

    Raises:
        SearchError: If the samples hardly spiked before fine-tuning.
    """
    allowed = pre_for_upper(estimator, budget.target, budget.baseline)
    static = np.array([context.cost(sample.widths) for sample in samples])
    pre = np.array([sample.pre for sample in samples])
    refuse_silent(pre, static)
    expected = min(allowed * float(static @ static) / float(static @ pre), context.dense_cost)
    return replace(context, target_cost=max(context.least_cost, expected, LEAST_TARGET * context.dense_cost))
