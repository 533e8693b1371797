"""Variants held against each other: which seeds are paired, what is corrected together, what counts as shown."""

import pytest

from search.comparison.contrasts import Contrast
from search.comparison.contrasts import against
from search.comparison.contrasts import contrasts
from search.comparison.statistics import Difference


def test_seeds_that_both_have_are_paired_and_all_corrected_together() -> None:
    figures = {
        "a": dict.fromkeys(range(4), 0.5),
        "b": dict.fromkeys(range(1, 5), 0.6),
        "c": dict.fromkeys(range(1, 4), 0.55),
        "apart": {7: 0.5},
    }
    found = contrasts(figures, {"b": "a", "c": "a", "apart": "a", "absent": "a", "a": "absent"})
    assert [(each.variant, each.reference, each.difference.seeds) for each in found] == [("b", "a", 3), ("c", "a", 3)]
    assert [each.difference.mean for each in found] == pytest.approx([0.1, 0.05])
    assert [each.p_corrected for each in found] == [0.5, 0.5]  # 2 / 8 by two tests


@pytest.mark.parametrize(
    ("mean", "low", "high", "p", "expected"),
    [
        (0.1, 0.05, 0.15, 0.05, "shown"),
        (0.1, 0.05, 0.15, 0.06, "hint"),
        (-0.1, -0.15, -0.05, 0.06, "hint"),
        (0.1, -0.05, 0.25, 0.06, "neither"),
        (0.1, 0.1, 0.1, 0.5, "neither"),  # no width: accuracies have steps
        (0.0, 0.0, 0.0, 1.0, "equal"),
    ],
)
def test_a_difference_is_one_of_four_things(mean: float, low: float, high: float, p: float, expected: str) -> None:
    found = Contrast("a", "b", Difference(mean, low, high, p, 4), p)
    said = {"shown": found.is_shown, "hint": found.is_hint, "equal": found.is_equal}
    assert [name for name, holds in said.items() if holds] == ([] if expected == "neither" else [expected])


def test_a_reference_is_not_held_against_itself() -> None:
    assert against("a", {"a": 1, "b": 2, "c": 3}) == {"b": "a", "c": "a"}
