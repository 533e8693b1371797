"""What the tables say, cell by cell."""

import math

from search.comparison.statistics import Difference
from search.comparison.summary import compare
from search.comparison.tables import MEANINGS
from search.comparison.tables import cells
from search.comparison.tables import in_points
from search.comparison.tables import latex
from search.comparison.tables import legend
from search.comparison.tables import markdown
from tests.search.comparison.outcomes import outcome
from tests.search.comparison.test_summary import OUTCOMES
from tests.search.comparison.test_summary import made


def test_cells_by_hand() -> None:
    head, rows = cells(made(OUTCOMES))
    assert "budget, %" not in head
    ddpg = dict(zip(head, rows[1], strict=True))
    assert ddpg["strategy"] == "ddpg"
    assert ddpg["best validation, %"] == "64.00 ± 6.43"
    assert ddpg["difference [95 %], points"] == "+4.00 [-0.97, +8.97]"  # 0.04 +- 4.3027 x 0.02 / sqrt(3)
    assert ddpg["p (Holm)"] == "0.250"
    assert ddpg["met"] == "2/3"
    assert ddpg["SynOps, %"] == "50.0 ± 1.0"
    assert ddpg["to 99 % of the best"] == "3 ± 0 (3/3)"
    assert dict(zip(head, rows[0], strict=True))["to 99 % of the best"] == "0/3"


def test_rounding_errors_have_no_minus() -> None:
    assert in_points(Difference(mean=-1e-17, low=-0.0001, high=0.02, p=1.0, seeds=3)) == "+0.00 [-0.01, +2.00]"


def test_without_spread_there_is_no_interval() -> None:
    assert in_points(Difference(mean=0.0104, low=0.0104, high=0.0104, p=0.5, seeds=2)) == "+1.04 [no spread]"
    assert in_points(Difference(mean=0.0104, low=math.nan, high=math.nan, p=1.0, seeds=1)) == "+1.04"


def test_one_seed_has_no_p() -> None:
    head, rows = cells(made([outcome("random", 0, 0.4), outcome("ddpg", 0, 0.5)]))
    assert rows[1][head.index("p (Holm)")] == ""


def test_several_budgets_have_a_column() -> None:
    head, rows = cells(made([*OUTCOMES, outcome("random", 0, 0.4, target=0.3)]))
    assert [row[head.index("budget, %")] for row in rows] == ["50", "50", "30"]


def test_without_a_reference_there_are_no_tests() -> None:
    comparison = made(OUTCOMES, reference="uniform")
    head, _ = cells(comparison)
    assert "p (Holm)" not in head
    assert "sign-flip" not in legend(comparison)


def test_a_table_says_what_was_searched_and_what_its_columns_mean() -> None:
    more = [outcome("ddpg", 7, 0.5, target=0.3, allowed=8, network="vgg_compact")]
    said = legend(made([*OUTCOMES, *more]))
    assert said.startswith(
        "random, ddpg: vgg_small, vgg_compact on digits, T = 4, pruned to 50, 30 % of the dense network's SynOps; "
        "seeds 0, 1, 2, 7; at most 4, 8 evaluations a search. Reference: random."
    )
    explained = {*MEANINGS, "strategy", "budget, %", "SynOps, %"}  # the sentence on test accuracy says what SynOps are
    assert set(cells(made(OUTCOMES))[0]) <= explained


def test_markdown_and_latex_hold_the_same_rows() -> None:
    comparison = made([*OUTCOMES, outcome("a_b", 0, 0.5)])
    text, tex = markdown(comparison), latex(comparison)
    assert text.splitlines()[1].count("---") == len(cells(comparison)[0])
    assert "| a_b |" in text
    assert r"a\_b & " in tex
    assert r"64.00 $\pm$ 6.43" in tex
    assert tex.count(r"\\") == 1 + 3
    assert r"best validation, \%" in tex


def test_every_table_names_the_searches_that_it_lacks() -> None:
    comparison = compare("title", "", OUTCOMES, reference="random", failed={"ddpg, 50 %, seed 9": "it was silent."})
    said = "Without a result, so that means are over the other seeds: ddpg, 50 %, seed 9."
    assert said in markdown(comparison)
    assert said in latex(comparison)
    assert "Without a result" not in legend(made(OUTCOMES))


def test_unequal_classes_have_a_column_and_a_sentence() -> None:
    shares = {"test_accuracy": 0.9231, "largest_class": 0.9231}
    one = outcome("random", 0, 0.9, **shares, balanced_test_accuracy=0.5, beats_largest_class=False)
    two = outcome("ddpg", 0, 0.9, **shares, balanced_test_accuracy=0.75, beats_largest_class=True)
    head, rows = cells(made([one, two]))
    assert [row[head.index("balanced test, %")] for row in rows] == ["50.00", "75.00"]
    said = "Always answering the largest class is right for 92.31 % of the test samples; 1 of 2 results is no better"
    assert said in legend(made([one, two]))
    assert "balanced test" in latex(made([one, two]))
    assert "balanced test, %" not in cells(made(OUTCOMES))[0]
    assert "largest class" not in legend(made(OUTCOMES))


def test_a_share_of_too_little_is_an_empty_cell() -> None:
    """Of a dense network that hardly spikes on test data."""
    head, rows = cells(made([outcome("random", 0, 0.4, synops=math.nan, violation=math.nan)]))
    assert [rows[0][head.index(name)] for name in ("SynOps, %", "violation, %")] == ["", ""]
