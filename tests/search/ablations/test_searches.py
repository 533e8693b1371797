"""Variants of a search held against each other, from outcomes made by hand."""

from search.ablations.searches import BEST
from search.ablations.searches import FEASIBLE
from search.ablations.searches import SearchAblation
from tests.search.ablations.made import made
from tests.search.comparison.outcomes import outcome

TWO = SearchAblation(
    variants={"a": (), "b": (), "c": ()},
    references={"b": "a", "c": "b"},
    measures=(BEST, FEASIBLE),
    note="Note.",
)


def test_each_variant_is_held_against_its_own_reference_by_each_measure() -> None:
    outcomes = [outcome("a", seed, 0.5 + 0.01 * seed, feasible=0.2) for seed in range(8)]
    outcomes += [outcome("b", seed, 0.6 + 0.011 * seed, feasible=0.9 + 0.01 * seed) for seed in range(8)]
    outcomes += [outcome("c", seed, 0.6 + 0.011 * seed, feasible=1.0, met=seed > 0) for seed in range(8)]
    finding = TWO.conclude(made(outcomes, {"a, 50%, seed 8": "it was silent."}))
    assert "By best validation accuracy, better than a: b (+10.35 [" in finding.conclusion
    assert "By best validation accuracy, the same with every seed as b: c." in finding.conclusion
    assert "By late proposals within the budget, more than a: b (+73.50 [" in finding.conclusion
    assert "The budget was missed by c (1 of 8)." in finding.conclusion
    assert finding.verdict.endswith("No result of a, 50%, seed 8: it was silent.")
    held = finding.head.index("held against")
    assert [(row[0], row[held]) for row in finding.rows] == [("a", ""), ("b", "a"), ("c", "b")]
    assert {row[finding.head.index("evaluations")] for row in finding.rows} == {"4 ± 0"}
    assert all(len(row) == len(finding.head) for row in finding.rows)
    assert [list(trace.y) for trace in finding.figure.data] == [["b<br>against a", "c<br>against b"]] * 2
