import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution

from search.errors import SearchError
from search.strategies._ddpg_state import StateBuilder
from search.strategies._ddpg_state import from_unit
from search.strategies._ddpg_state import to_unit

SPACE = {"features.2": FloatDistribution(0.2, 1.0), "features.10": FloatDistribution(0.0, 0.5)}


class Context:
    names: Sequence[str] = ("features.2", "features.10")
    evaluations = 100
    state_features_LF: NDArray[np.float64] = np.array([[0.25, 0.5], [0.75, 1.0]])

    def dynamic_features(self, t: int, actions: Sequence[float]) -> Sequence[float]:
        return [10.0 * t + sum(actions)]


@pytest.mark.parametrize(
    ("distribution", "value", "unit"),
    [
        (FloatDistribution(0.2, 1.0), 0.4, 0.25),
        (FloatDistribution(-3.0, 1.0), 0.0, 0.75),
        (FloatDistribution(0.01, 1.0, log=True), 0.1, 0.5),
        (FloatDistribution(0.0, 10.0, step=2.5), 7.5, 0.75),
    ],
)
def test_place_in_a_range(distribution: FloatDistribution, value: float, unit: float) -> None:
    assert to_unit(value, distribution) == pytest.approx(unit)
    assert from_unit(unit, distribution) == pytest.approx(value)
    assert from_unit(0.0, distribution) == pytest.approx(distribution.low)
    assert from_unit(1.0, distribution) == pytest.approx(distribution.high)


def test_executed_value_outside_the_range_counts_as_its_end() -> None:
    assert to_unit(0.05, FloatDistribution(0.2, 1.0)) == 0.0
    assert to_unit(1.5, FloatDistribution(0.2, 1.0)) == 1.0
    assert to_unit(-1.0, FloatDistribution(0.01, 1.0, log=True)) == 0.0


@pytest.mark.parametrize(("unit", "value"), [(0.12, -10.2), (0.13, -5.1), (0.9, 10.2), (0.85, 5.1)])
def test_steps_take_the_nearest(unit: float, value: float) -> None:
    assert from_unit(unit, FloatDistribution(-10.2, 10.2, step=5.1)) == pytest.approx(value)


@pytest.mark.parametrize("unit", [0.0, 1e-12, 1.0 - 1e-16, 1.0])
def test_rounding_never_leaves_the_range(unit: float) -> None:
    for each in (FloatDistribution(1e-7, 0.3, log=True), FloatDistribution(-10.2, 10.2, step=0.1)):
        assert each.low <= from_unit(unit, each) <= each.high


def test_state_without_context_is_position_group_and_previous_action() -> None:
    states = StateBuilder(SPACE, None, one_hot=True, history=False)
    assert states.state([]).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert states.state([0.4]).tolist() == [0.5, 0.0, 1.0, pytest.approx(0.25)]
    assert states.features == 4


def test_state_without_one_hot_is_position_and_previous_action() -> None:
    states = StateBuilder(SPACE, None, one_hot=False, history=False)
    assert [states.state([]).tolist(), states.state([1.0]).tolist()] == [[0.0, 1.0], [0.5, 1.0]]


def test_state_with_context_adds_what_the_taken_values_leave() -> None:
    states = StateBuilder(SPACE, Context(), one_hot=False, history=False)
    assert states.state([]).tolist() == [0.25, 0.5, 0.0, 1.0]
    assert states.state([0.4]).tolist() == [0.75, 1.0, 10.4, pytest.approx(0.25)]


def test_history_is_all_actions_so_far_and_zeros_for_those_to_come() -> None:
    states = StateBuilder(SPACE, Context(), one_hot=False, history=True)
    assert states.state([]).tolist() == [0.25, 0.5, 0.0, 1.0, 0.0, 0.0]
    assert states.state([0.4]).tolist() == [0.75, 1.0, 10.4, pytest.approx(0.25), pytest.approx(0.25), 0.0]
    assert states.features == 6


def test_episode_replays_the_walk() -> None:
    states = StateBuilder(SPACE, Context(), one_hot=True, history=False)
    episode = states.episode([0.4, 0.5], 3.5)
    assert episode.states_LF.tolist() == [states.state([]).tolist(), states.state([0.4]).tolist()]
    assert episode.actions_L.tolist() == [pytest.approx(0.25), 1.0]
    assert episode.reward == 3.5


def test_context_of_other_parameters_is_refused() -> None:
    with pytest.raises(SearchError, match=r"all 2 parameters of its context, found 1 .* \(differing: features.10\)"):
        StateBuilder({"features.2": SPACE["features.2"]}, Context(), one_hot=True, history=False)


def test_context_with_other_rows_is_refused() -> None:
    context = Context()
    context.state_features_LF = np.zeros((3, 2))
    with pytest.raises(SearchError, match=r"2 names, found shape \(3, 2\)"):
        StateBuilder(SPACE, context, one_hot=True, history=False)


def test_log_of_the_middle_is_the_geometric_mean() -> None:
    assert from_unit(0.5, FloatDistribution(0.2, 0.8, log=True)) == pytest.approx(math.sqrt(0.2 * 0.8))
