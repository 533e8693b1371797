"""How accuracies read where classes are unequal, by hand."""

import pytest

from lightning_snn._class_balance import balance_note
from lightning_snn._class_balance import balance_rows
from lightning_snn._class_balance import describe_balance
from lightning_snn.inference import Evaluation
from tests.lightning_snn.test_synops_report import measured


def evaluation(samples_K: tuple[int, ...], right_K: tuple[int, ...]) -> Evaluation:
    report = measured([50.0], [10.0])
    return Evaluation(sum(right_K) / sum(samples_K), sum(samples_K), report, samples_K, right_K)


def test_always_the_largest_class_looks_like_9231_percent_and_is_half_right() -> None:
    """The example of the issue: 12 of 13 samples are of one class."""
    found = describe_balance(evaluation((12, 1), (12, 0)))
    assert found == {"balanced_accuracy": 0.5, "largest_class": 12 / 13, "beats_largest_class": False}


@pytest.mark.parametrize(
    ("samples_K", "right_K", "balanced", "beats"),
    [
        ((120, 10), (120, 10), 1.0, True),  # 10 samples won, none lost
        ((120, 10), (117, 4), (117 / 120 + 4 / 10) / 2, False),  # 4 won, 3 lost: 1 is less than 2 sqrt(7)
        ((120, 10), (0, 10), 0.5, False),  # always the other class
        ((120, 4, 6), (120, 4, 1), (1.0 + 1.0 + 1 / 6) / 3, True),  # 5 won: more than 2 sqrt(5)
        ((120, 4, 6), (120, 4, 0), 2 / 3, False),  # 4 won: 2 sqrt(4) is as much
        ((60, 60, 0, 0), (60, 30, 0, 0), 0.75, True),  # the mean is over classes that occur
    ],
)
def test_a_network_is_held_against_the_largest_class_sample_by_sample(
    samples_K: tuple[int, ...], right_K: tuple[int, ...], balanced: float, beats: bool
) -> None:
    found = describe_balance(evaluation(samples_K, right_K))
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    assert found["beats_largest_class"] is beats
    assert found["largest_class"] == max(samples_K) / sum(samples_K)


@pytest.mark.parametrize(
    "samples_K",
    [
        (30, 30, 30),
        (1, 1, 0, 0),  # within one sample
        (35, 37, 36, 36),  # the digits' test data: 2.8 % more than an equal share
        (),  # not counted
    ],
)
def test_nothing_is_said_where_classes_are_equal(samples_K: tuple[int, ...]) -> None:
    found = describe_balance(Evaluation(0.5, 10, measured([50.0], [10.0]), samples_K, samples_K))
    assert found == {}
    assert balance_rows([{"test_accuracy": 0.5}]) == []
    assert balance_note({"dense": {"test_accuracy": 0.5}}) == ""


def figures(right_K: tuple[int, int]) -> dict[str, object]:
    return {f"test_{key}": value for key, value in describe_balance(evaluation((12, 1), right_K)).items()}


def test_rows_and_note_name_the_networks() -> None:
    dense, pruned = figures((12, 1)), figures((12, 0))
    assert balance_rows([dense, pruned]) == [
        ["balanced test accuracy", "100.00%", "50.00%"],
        ["largest class (test)", "92.31%", "92.31%"],
    ]
    said = "No better on test data than always answering the largest class (92.31% of the samples), within two standard"
    assert balance_note({"dense": dense, "pruned": pruned}) == f"{said} errors: dense and pruned."
    better = dense | {"test_beats_largest_class": True}
    assert balance_note({"dense": better, "pruned": pruned}) == f"{said} errors: pruned."
    assert balance_note({"dense": better}) == ""


def test_a_comparison_with_a_result_of_the_version_before_has_no_rows() -> None:
    """Its ``result.json`` lacks the keys."""
    assert balance_rows([figures((12, 1)), {"test_accuracy": 0.9}]) == []
