"""Differentiable channel gates with a Lagrange multiplier on SynOps: the gradient of the loss says which layer gives.

    w_g = full_g (low + (1 - low) sigmoid(theta_g))      width of group g, as a real number
    gate[k] = 1 if k + 1/2 < w_g else 0                  k-th channel of the group, in the order channels are kept
    e = C(gates) / C* - 1                                C static SynOps, C* those that are expected to meet the budget
    lambda = -(dl . de) / (de . de)                      dl + lambda de leaves e as it is: the Lagrange multiplier
    theta <- theta - rate (dl + lambda de) / |dl + lambda de| - e de / (de . de)

dl is the running mean of the gradient of the cross-entropy with respect to theta, de that of e; neither part of a step
is longer than the rate. The gradient of a gate is that of ``sigmoid((w_g - k - 1/2) / s_g)``, straight through. Weights
stay as they are; batch norms use the batch's own statistics, much as those of the networks that are measured. Each
proposal is where the gates are after a few more batches. Source: ours, in the manner of differentiable pruning (Kang
and Han, "Operation-aware soft channel pruning", ICML 2020); the step is that of gradient projection (Rosen, 1961).
An ascent of lambda beside Adam's descent of theta swung between 0.2 and 2 times the budget (measured).

Axes: G channels of all groups, each group's in the order they are kept; E layers that count in the budget; L groups.
"""

import itertools
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from torch import Tensor
from torch.nn import functional as F

from lightning_snn._gates import ChannelGates
from lightning_snn.forward import run_network
from lightning_snn.seeds import seed_for
from lightning_snn.surgery import ChannelPlan
from search.errors import SearchError
from search.evaluator import keep_order
from search.space import SearchContext
from search.strategies._rule import need_context

START = 2.5
"""First theta: sigmoid(2.5) = 0.92, so that the first widths are a little below full."""
MEMORY = 0.9
"""Share of the gradients so far that is kept with each new one."""
TINY = 1e-12
SMALLEST = torch.finfo(torch.float32).tiny
"""Least squared gradient to divide by: it is 0 where the static cost depends on no group."""
SPREAD = 0.1
"""Standard deviation of the first thetas; seeds differ by it and by the order of the batches."""


class GradientSampler(BaseSampler):
    """Propose the widths along one descent. Trials do not matter to it, so that the path is a function of the seed."""

    def __init__(
        self,
        seed: int,
        *,
        context: SearchContext | None = None,
        steps: int = 2,
        rate: float = 0.1,
        softness: float = 0.1,
    ) -> None:
        """Prepare the gates.

        Args:
            seed: Root seed.
            context: The network, its costs, and training samples.
            steps: Batches between two proposals.
            rate: Length of a step, for each theta on average.
            softness: s_g, as a share of the group's channels.

        Raises:
            SearchError: If an option is out of range, or there is no network or no training sample.
        """
        if steps < 1 or min(rate, softness) <= 0.0:
            raise SearchError(
                "strategy.options of gradient must be above 0, found "
                f"steps={steps}, rate={rate:g}, softness={softness:g}."
            )
        self._context, self._steps = need_context(context, "gradient"), steps
        self._random = RandomSampler(seed=seed_for(seed, "sampler") % 2**32)
        self._path = _descend(self._context, seed, rate, softness)
        self._seen: list[list[float]] = []

    def is_exhausted(self, study: Study) -> bool:
        """Tell whether there were as many proposals as evaluations: repeated widths cost gradients all the same."""
        trials = study.get_trials(deepcopy=False)
        return sum(trial.state.is_finished() for trial in trials) >= self._context.evaluations

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all groups: the gates say them all."""
        return dict(self._context.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the keep ratios after some more batches."""
        while len(self._seen) <= trial.number:
            self._seen.append(next(itertools.islice(self._path, self._steps - 1, None)))
        return dict(zip(self._context.names, self._seen[trial.number], strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a parameter that is no group of the context."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _descend(context: SearchContext, seed: int, rate: float, softness: float) -> Iterator[list[float]]:
    """Yield the keep ratios after every batch, for ever."""
    batches = list(context.batches())
    if context.plan is None or not batches:
        raise SearchError(
            "Strategy 'gradient' runs the network on training samples, found "
            f"{'no network' if context.plan is None else 'none'}. "
            "Use python -m search, with space.recalibration_batches of 1 or more."
        )
    return _path(context, context.plan, batches, seed, rate, softness)


def _path(
    context: SearchContext,
    plan: ChannelPlan,
    batches: list[tuple[Tensor, Tensor]],
    seed: int,
    rate: float,
    softness: float,
) -> Iterator[list[float]]:
    network = context.fresh_network().train().requires_grad_(False)
    gates = ChannelGates(network, plan)
    device = gates.gates_G.device
    order = keep_order(context.scores)
    channel_G = torch.cat(
        [torch.tensor(order[name]) + int(start) for name, start in zip(context.names, gates.starts, strict=False)]
    ).to(device)
    full_L = torch.tensor(context.full, dtype=torch.float32, device=device)
    group_G = torch.repeat_interleave(torch.arange(len(context.full), device=device), full_L.long())
    rank_G = torch.cat([torch.arange(each, device=device) for each in context.full])
    cost = _gated_cost(context, device)
    random = np.random.default_rng(seed_for(seed, "gradient"))
    start_L = START + SPREAD * random.normal(size=len(context.full))
    theta_L = torch.tensor(start_L, dtype=torch.float32, device=device, requires_grad=True)
    slope_L, most = torch.zeros_like(theta_L, requires_grad=False), rate * len(context.full) ** 0.5
    gates.attach()
    while True:
        for index in random.permutation(len(batches)):
            x_TBCHW, y_B = batches[index]
            ratios_L = context.low + (1.0 - context.low) * torch.sigmoid(theta_L)
            room_G = (full_L * ratios_L)[group_G] - rank_G - 0.5
            soft_G = torch.sigmoid(room_G / (softness * full_L)[group_G])
            gates_G = (room_G > 0.0).float() + soft_G - soft_G.detach()
            gates.gates_G = torch.zeros_like(gates_G).index_put((channel_G,), gates_G)
            loss = F.cross_entropy(run_network(network, x_TBCHW).mean(dim=0), y_B)
            excess = cost(gates_G) / context.target_cost - 1.0
            slope_L = MEMORY * slope_L + torch.autograd.grad(loss, theta_L, retain_graph=True)[0]
            (normal_L,) = torch.autograd.grad(excess, theta_L)
            square = (normal_L @ normal_L).clamp_min(SMALLEST)
            along_L = slope_L - (slope_L @ normal_L) / square * normal_L
            across_L = excess.detach() / square * normal_L
            with torch.no_grad():
                theta_L -= most * along_L / along_L.norm().clamp_min(TINY)
                theta_L -= across_L * (most / across_L.norm().clamp_min(TINY)).clamp_max(1.0)
            yield (context.low + (1.0 - context.low) * torch.sigmoid(theta_L.detach())).tolist()


def _gated_cost(context: SearchContext, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the static SynOps as a function of gates ``[G]``; for gates of 0 and 1 those of the widths they leave."""
    starts = np.cumsum([0, *context.full])
    layers = list(context.cost.layers.values())
    inputs_EG, outputs_EG = np.zeros((2, len(layers), starts[-1]))
    for row, each in enumerate(layers):
        for group, table in each.inputs.items():
            inputs_EG[row, starts[group] : starts[group + 1]] = np.diff(table)
        for group, share in each.outputs.items():
            outputs_EG[row, starts[group] : starts[group + 1]] = share
    caused_EG, shares_EG = (torch.tensor(each, device=device) for each in (inputs_EG, outputs_EG))
    fixed_E = torch.tensor([each.fixed_inputs for each in layers], dtype=torch.float64, device=device)
    share_E = torch.tensor([each.fixed_outputs for each in layers], dtype=torch.float64, device=device)

    def cost(gates_G: Tensor) -> Tensor:
        gates_G = gates_G.double()
        return ((fixed_E + caused_EG @ gates_G) * (share_E + shares_EG @ gates_G)).sum()

    return cost


build = GradientSampler
"""What the registry calls, with ``seed``, ``context`` and the options."""
