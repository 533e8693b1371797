"""Means, differences, ranks and what is reached, worked by hand from a few outcomes."""

import math
from dataclasses import replace

import pytest

from search.comparison.outcomes import SearchOutcome
from search.comparison.summary import Comparison
from search.comparison.summary import Line
from search.comparison.summary import compare
from search.comparison.summary import mean_of
from search.comparison.summary import what_seeds_can_show
from tests.search.comparison.outcomes import outcome

OUTCOMES = [
    outcome("random", 0, 0.50),
    outcome("random", 1, 0.60),
    outcome("random", 2, 0.70),
    outcome("ddpg", 0, 0.54),
    outcome("ddpg", 1, 0.62),
    outcome("ddpg", 2, 0.76, met=False, synops=0.52, violation=0.04),
]


def made(outcomes: list[SearchOutcome], reference: str = "random") -> Comparison:
    return compare("title", "command", outcomes, reference=reference, failed={})


def line(comparison: Comparison, variant: str, target: float = 0.5) -> Line:
    (found,) = [each for each in comparison.lines if (each.variant, each.target) == (variant, target)]
    return found


def test_means_and_differences_by_hand() -> None:
    ddpg, random = line(made(OUTCOMES), "ddpg"), line(made(OUTCOMES), "random")
    assert random.best.mean == pytest.approx(0.6)
    assert random.best.error == pytest.approx(0.1 / math.sqrt(3))
    assert random.difference is None
    assert random.p_corrected is None
    assert ddpg.difference is not None
    assert ddpg.difference.mean == pytest.approx(0.04)
    assert ddpg.p_corrected == 2 / 8
    assert (ddpg.seeds, ddpg.met, ddpg.rank, random.rank) == (3, 2, 1.0, 2.0)
    assert ddpg.violation.mean == pytest.approx(0.04 / 3)


def test_evaluations_to_99_percent_of_the_best_of_any() -> None:
    """0.495, 0.594 of 0.5 and 0.6 are not enough: the best of a seed is what any variant found."""
    comparison = made([*OUTCOMES, outcome("late", 0, 0.54, curve=[0.1, 0.2, 0.3, 0.54])])
    assert line(comparison, "random").reached == 0
    assert math.isnan(line(comparison, "random").evaluations_to_close.mean)
    assert line(comparison, "ddpg").reached == 3
    assert line(comparison, "ddpg").evaluations_to_close.mean == 3.0
    assert (line(comparison, "late").reached, line(comparison, "late").evaluations_to_close.mean) == (1, 4.0)


def test_targets_are_told_apart_and_each_has_its_tests() -> None:
    other = [replace(each, target=0.3, best=each.best - 0.2) for each in OUTCOMES]
    comparison = made([*OUTCOMES, *other])
    assert comparison.targets == [0.5, 0.3]
    assert comparison.variants == ["random", "ddpg"]
    assert line(comparison, "ddpg", 0.3).best.mean == pytest.approx(0.44)
    assert line(comparison, "ddpg", 0.3).p_corrected == 2 / 8


def test_seeds_that_only_one_has_count_in_means_and_not_in_pairs() -> None:
    comparison = made([*OUTCOMES, outcome("ddpg", 3, 0.1)])
    found = line(comparison, "ddpg")
    assert found.seeds == 4
    assert found.difference is not None
    assert (found.difference.seeds, found.rank) == (3, 1.0)


def test_without_the_reference_nothing_is_tested() -> None:
    comparison = made(OUTCOMES, reference="uniform")
    assert comparison.reference is None
    assert all(each.difference is None for each in comparison.lines)


def test_a_mean_of_one_has_no_error() -> None:
    assert mean_of([0.5]).mean == 0.5
    assert math.isnan(mean_of([0.5]).error)
    assert math.isnan(mean_of([]).mean)


@pytest.mark.parametrize(
    ("seeds", "tests", "said"),
    [
        (3, 1, "p = 0.25: no difference can be significant at 5 %; 6 seeds would be needed"),
        (
            5,
            4,
            "p = 0.062, or 0.25 corrected for 4 tests (Holm): no difference can be significant",
        ),
        (10, 12, "p = 0.002, or 0.023 corrected for 12 tests (Holm): differences can be significant at 5 %"),
    ],
)
def test_what_so_many_seeds_can_show(seeds: int, tests: int, said: str) -> None:
    assert said in what_seeds_can_show(seeds, tests)


def test_plain_values_hold_all_there_is() -> None:
    values = made(OUTCOMES).as_json()
    assert [each["best"] for each in values["outcomes"]] == [each.best for each in OUTCOMES]
    assert values["lines"][1]["difference"]["mean"] == pytest.approx(0.04)
