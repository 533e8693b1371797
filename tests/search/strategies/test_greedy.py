"""Rounds worked by hand: two groups of four and five channels, at 1 and at 10 SynOps each, 54 in all."""

from collections.abc import Callable

import optuna

from conf.loading import load
from conf.schema import SearchConfig
from search.budget import widths_of
from search.strategies.greedy import GreedySampler
from tests.search.strategies.test_strategies import by_hand


def walk(target: float, evaluations: int, accuracy: Callable[[list[int]], float]) -> list[list[int]]:
    """Widths of all proposals; those at or below the target are feasible."""
    context = by_hand(target, evaluations=evaluations)
    sampler = GreedySampler(context, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    proposed: list[list[int]] = []
    while not sampler.is_exhausted(study) and len(proposed) < 50:
        trial = study.ask()
        ratios = [trial.suggest_float(name, context.low, 1.0) for name in context.names]
        proposed.append(widths_of(ratios, context.full))
        trial.set_constraint("synops", context.cost(proposed[-1]) / target - 1.0)
        study.tell(trial, accuracy(proposed[-1]))
    return proposed


def test_each_round_narrows_every_group_alone_and_goes_on_from_the_best() -> None:
    """Six evaluations: one round to the target and two spare ones. Two of the first group's channels are 2 SynOps."""
    assert walk(52.0, 6, lambda widths: widths[1]) == [[2, 5], [4, 4]]  # the first has more of group 2: it is the end
    # Ten evaluations are three rounds, which allow 54 - 2/2.8816 = 53.31, 52.64 and 52, with steps of 1, 0.96, 0.9216.
    assert walk(52.0, 10, lambda widths: widths[1]) == [[3, 5], [4, 4], [2, 5], [3, 4], [2, 5], [2, 4]][:4]


def test_a_group_that_cannot_go_narrow_enough_is_left_out() -> None:
    assert walk(44.0, 6, lambda widths: widths[0]) == [[4, 4]]  # without all small ones 51 would be left


def test_a_round_whose_cost_is_met_already_is_left_out() -> None:
    """Ten evaluations: 53.31, 52.64 and 52 are allowed. One large channel less is 44, below them all."""
    proposed = walk(44.0, 30, lambda widths: widths[0])  # the small group never goes
    assert proposed[:2] == [[3, 5], [4, 4]]
    assert len({tuple(widths) for widths in proposed}) == len(proposed)


def test_the_reward_is_the_accuracy_alone() -> None:
    assert load(SearchConfig, "search", ["strategy=greedy"]).reward.form == "plain"


def test_rounds_go_on_below_the_static_budget_while_nothing_feasible_was_measured() -> None:
    context = by_hand(44.0, evaluations=6)
    sampler = GreedySampler(context, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    allowed = []
    while not sampler.is_exhausted(study):
        trial = study.ask()
        ratios = [trial.suggest_float(name, context.low, 1.0) for name in context.names]
        allowed.append(context.cost(widths_of(ratios, context.full)))
        trial.set_constraint("synops", 0.01)
        study.tell(trial, 0.5)
    assert allowed[0] == 44.0
    assert max(allowed[1:]) <= 44.0 * (1.0 - 0.015)
    assert allowed[-1] <= 44.0 * (1.0 - 0.03)
