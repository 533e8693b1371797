"""What is said of a line that is used elsewhere."""

from search.ablations import estimator_transfer


def test_transfer_is_judged_elsewhere() -> None:
    found = {
        name: [estimator_transfer.Errors(0.01, error, 0.04)] * 2
        for name, error in (("here", 0.01), ("near", 0.015), ("far", 0.05))
    }
    finding = estimator_transfer.conclude(found, {name: [0.9, 1.0] for name in found})
    assert "holds for near (1.50 ± 0.00 %; without it 4.00 ± 0.00 %); does not hold for far" in finding.conclusion
    assert "here" not in finding.conclusion.removeprefix("The line from here")
    assert finding.rows[0][-1] == "0.950 ± 0.050"
