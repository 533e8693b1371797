"""Gates against the cost of the widths they stand for, and a descent that ends on the budget."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from search.budget import widths_of
from search.cost import CostModel
from search.cost import LayerCost
from search.errors import SearchError
from search.strategies import build_strategy
from search.strategies.gradient import _gated_cost
from tests.search.strategies.conformance import WIDTHS
from tests.search.strategies.conformance import make_context
from tests.search.strategies.network_context import network_context


@given(st.tuples(*(st.integers(1, width) for width in WIDTHS.values())))
def test_open_gates_cost_what_their_widths_cost(widths: tuple[int, ...]) -> None:
    context = make_context()
    gates_G = torch.cat([torch.arange(full) < width for width, full in zip(widths, WIDTHS.values(), strict=True)])
    cost = _gated_cost(context, torch.device("cpu"))
    assert float(cost(gates_G)) == pytest.approx(context.cost(widths), rel=1e-12)


def test_the_gradient_of_a_gate_is_what_its_channel_costs() -> None:
    context = make_context()
    full = list(WIDTHS.values())
    gates_G = torch.ones(sum(full), dtype=torch.float64, requires_grad=True)
    _gated_cost(context, torch.device("cpu"))(gates_G).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert gates_G.grad is not None
    # The 32 channels of the last group spike 2 down to 1 times for 10 classes; each also takes a 32nd of its input
    # layer, whose 16 channels spike 24 times in all for 32 outputs.
    assert float(gates_G.grad[-1]) == pytest.approx(1.0 * 10 + 24.0)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 100))
def test_the_multiplier_brings_the_widths_to_the_budget(seed: int) -> None:
    context = network_context(evaluations=80)
    study = optuna.create_study(sampler=build_strategy("gradient", seed=seed, context=context, steps=3))
    costs = []
    for _ in range(80):
        trial = study.ask()
        ratios = [trial.suggest_float(name, 0.1, 1.0) for name in WIDTHS]
        study.tell(trial, 0.0)
        costs.append(context.cost(widths_of(ratios, context.full)) / context.target_cost)
    assert costs[0] > 1.5
    assert sum(costs[-20:]) / 20 == pytest.approx(1.0, abs=0.1)


def test_a_cost_that_no_group_changes_is_not_divided_by() -> None:
    """Channels that never spiked on validation data cost nothing; the loss alone moves the gates then."""
    free = {group: np.zeros(width + 1) for group, width in enumerate(WIDTHS.values())}
    context = replace(network_context(), cost=CostModel({"head": LayerCost(5.0, free, 1.0, {})}), target_cost=4.0)
    study = optuna.create_study(sampler=build_strategy("gradient", seed=0, context=context))
    study.optimize(lambda trial: sum(trial.suggest_float(name, 0.1, 1.0) for name in WIDTHS), n_trials=3)
    assert all(0.1 <= ratio <= 1.0 for trial in study.trials for ratio in trial.params.values())
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 3


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": 0.0}, {"softness": -1.0}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SearchError, match=r"strategy\.options of gradient must be above 0, found steps="):
        build_strategy("gradient", seed=0, context=network_context(), **wrong)


def test_it_says_what_it_lacks() -> None:
    with pytest.raises(SearchError, match="found no network"):
        build_strategy("gradient", seed=0, context=make_context())
    with pytest.raises(SearchError, match="training samples, found none"):
        build_strategy("gradient", seed=0, context=replace(network_context(), batches=tuple))
