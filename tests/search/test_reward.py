"""Every form of the reward by hand, below, at and above the budget; and what is no achievement."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.schema import RewardConfig
from search.errors import SearchError
from search.reward import FORMS
from search.reward import target_aware_reward

# accuracy 0.8, target 200, beta 3; SynOps 160 (u = 0.8), 200 (u = 1), 200.4 (u = 1.002), 250 (u = 1.25)
BY_HAND = {
    "linear": (0.8, 0.8, 0.8 - 3 * 0.002, 0.8 - 3 * 0.25),
    "two-sided": (0.8 - 3 * 0.2, 0.8, 0.8 - 3 * 0.002, 0.8 - 3 * 0.25),
    "replace": (0.8, 0.8, -0.002, -0.25),
    "cliff": (1.8, 1.8, 1.8, -4.25),
    "power": (0.8, 0.8, 0.8 / 1.002**3, 0.8 * 0.512),
    "amc-log": (-0.2 * math.log(160), -0.2 * math.log(200), -0.2 * math.log(200.4), -0.2 * math.log(250)),
    "plain": (0.8, 0.8, 0.8, 0.8),
}
CASES = [
    (form, synops, reward)
    for form, rewards in BY_HAND.items()
    for synops, reward in zip((160.0, 200.0, 200.4, 250.0), rewards, strict=True)
]


@pytest.mark.parametrize(("form", "synops", "reward"), CASES)
def test_reward_is_that_worked_by_hand(form: str, synops: float, reward: float) -> None:
    assert target_aware_reward(0.8, synops, 200.0, form=form, beta=3.0) == pytest.approx(reward)


def test_every_form_has_values_worked_by_hand() -> None:
    assert set(BY_HAND) == set(FORMS)


def test_just_above_the_cliff_all_is_lost() -> None:
    assert target_aware_reward(0.8, 200.41, 200.0, form="cliff") == pytest.approx(-3.0 - 200.41 / 200.0)


@pytest.mark.parametrize(("form", "lost"), [("linear", 0.25), ("two-sided", 0.25), ("power", 0.8 - 0.8 / 1.25)])
def test_beta_scales_the_penalty(form: str, lost: float) -> None:
    assert target_aware_reward(0.8, 250.0, 200.0, form=form, beta=1.0) == pytest.approx(0.8 - lost)


def test_defaults_are_linear_with_beta_three() -> None:
    assert target_aware_reward(0.8, 250.0, 200.0) == pytest.approx(0.8 - 0.75)
    assert (RewardConfig().form, RewardConfig().beta) == ("linear", 3.0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("accuracy", "synops"),
    [
        (math.nan, 100.0),
        (math.inf, 100.0),
        (0.8, math.nan),
        (0.8, math.inf),
        (0.8, 0.0),  # silent
        (0.8, -1.0),  # a bound below 0
    ],
)
def test_what_was_not_measured_or_is_silent_is_worth_nan(form: str, accuracy: float, synops: float) -> None:
    assert math.isnan(target_aware_reward(accuracy, synops, 200.0, form=form))


@pytest.mark.parametrize("target", [0.0, -5.0, math.nan])
def test_a_target_that_is_not_above_zero_is_refused(target: float) -> None:
    with pytest.raises(SearchError, match="above 0 SynOps, found"):
        target_aware_reward(0.8, 100.0, target)


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SearchError, match="Did you mean 'linear'"):
        target_aware_reward(0.8, 100.0, 200.0, form="lineer")


@pytest.mark.parametrize(("beta", "best"), [(0.31, 100), (3.0, 100), (0.29, 200)])
def test_linear_form_is_exact_where_beta_exceeds_what_accuracy_gains(beta: float, best: int) -> None:
    """Accuracy 0.3 u: 0.3 gained per unit of u, so any larger beta puts the maximiser on the budget."""
    rewards = {percent: target_aware_reward(0.003 * percent, percent, 100.0, beta=beta) for percent in range(1, 201)}
    assert max(rewards, key=lambda percent: rewards[percent]) == best


@given(st.sampled_from(["linear", "replace", "power", "plain"]), st.floats(0, 1), st.floats(1e-6, 1.0), st.floats(0, 1))
def test_within_the_budget_only_accuracy_counts(form: str, accuracy: float, u: float, other: float) -> None:
    assert target_aware_reward(accuracy, u * 1e6, 1e6, form=form) == accuracy
    assert (target_aware_reward(other, 1e6, 1e6, form=form) > accuracy) == (other > accuracy)


@given(st.sampled_from(["linear", "two-sided", "power"]), st.floats(0.01, 1), st.floats(1, 5), st.floats(1.01, 2))
def test_above_the_budget_more_synops_are_worth_less(form: str, accuracy: float, u: float, more: float) -> None:
    less = target_aware_reward(accuracy, more * u * 1e6, 1e6, form=form)
    assert less < target_aware_reward(accuracy, u * 1e6, 1e6, form=form)
