"""How cost is said to grow."""

from typing import Any

from search.ablations import scale


def test_cost_grows_as_a_power() -> None:
    rows: list[dict[str, Any]] = [
        {"series": "width", "value": value, "seed": seed, "parameters": 10}
        | {"evaluation": (1 + seed) * (0.1 * value**2 if value > 1 else 9.0), "epoch": 0.5 * value}
        for seed in (0, 1)
        for value in (1, 2, 4)
    ]
    finding = scale.conclude(rows)
    assert (
        "With width, an evaluation grows as its power 2.0 ± 0.0, an epoch of fine-tuning as its power 1.0 ± 0.0."
        in (finding.conclusion)
    )
    assert [row[:2] for row in finding.rows] == [["width", "1"], ["width", "2"], ["width", "4"]]
