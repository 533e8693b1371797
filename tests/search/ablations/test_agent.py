"""When the agent's searches have settled, from curves made by hand."""

import pytest

from search.ablations.agent import settled_after
from search.ablations.variants import AGENT
from tests.search.ablations.made import made
from tests.search.comparison.outcomes import outcome


@pytest.mark.parametrize(("curve", "settled"), [([0.0, 0.5, 0.9, 0.9], 3), ([0.5, 0.895, 0.8951, 0.9], 2), ([0.7], 1)])
def test_a_search_is_settled_within_half_a_point_of_its_end(curve: list[float], settled: int) -> None:
    assert settled_after(curve) == settled


def test_the_agent_is_settled_by_length() -> None:
    outcomes = [outcome("as it is", seed, 0.5, curve=[0.1, 0.5, 0.5, 0.5]) for seed in range(3)]
    outcomes += [outcome("200 episodes", seed, 0.5, curve=[0.1] * (4 + 2 * seed) + [0.5] * 4) for seed in range(3)]
    (said,) = AGENT.further(made(outcomes))
    within = "On average the best network is within 0.5 points of the last one"
    assert said == f"{within} after 2 ± 0 of 4; 7 ± 1 of 10 evaluations."


def test_searches_without_a_network_within_the_budget_are_never_settled() -> None:
    outcomes = [outcome("as it is", 0, 0.5, curve=[0.1, 0.5, 0.5, 0.5]), outcome("as it is", 1, 0.0, curve=[0.0] * 4)]
    (said,) = AGENT.further(made(outcomes))
    assert said.endswith("after 2 of 4 evaluations.")
