"""When a prediction holds."""

import pytest

from search.ablations import rule


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ([0.01, 0.011, 0.009], "holds"),
        ([0.05, 0.051, 0.049], "does not hold"),
        ([0.001, 0.03, 0.01], "undecided"),
        ([0.001], "undecided"),
        ([0.02, 0.02], "holds"),
    ],
)
def test_a_prediction_holds_by_its_interval(found: list[float], word: str) -> None:
    assert rule.judged(found) == word


def test_a_judgement_names_what_no_prediction_would_do() -> None:
    found = {"near": [0.01, 0.01], "far": [0.05, 0.05], "also": [0.0, 0.0]}
    text = rule.judgement("It", found, {name: [0.03, 0.03] for name in found})
    assert text == (
        "It, with an error of 2 % of the dense network's SynOps as the limit, holds for near (1.00 ± 0.00 %; without "
        "it 3.00 ± 0.00 %), also (0.00 ± 0.00 %; without it 3.00 ± 0.00 %); does not hold for far (5.00 ± 0.00 %; "
        "without it 3.00 ± 0.00 %)."
    )
