"""What a finished search came to, read from its folder, where there is little or much to say."""

import math
from pathlib import Path

import pytest

from conf.schema import SearchConfig
from search.comparison.outcomes import read_outcome
from search.comparison.plan import Member
from tests.search.records import constant
from tests.search.records import result
from tests.search.records import write_run


def outcome_of(folder: Path, **changes: dict[str, object]) -> dict[str, object]:
    run = write_run(folder / "run", SearchConfig(seed=3), result(**changes))
    return vars(read_outcome(Member("ddpg", 0.5, 3, run)))


def test_shares_are_those_of_the_dense_network(tmp_path: Path) -> None:
    found = outcome_of(tmp_path, result={"synops": 1100.0})
    assert found["synops"] == pytest.approx(0.55)
    assert found["violation"] == pytest.approx(0.1)
    assert found["operations"] == pytest.approx(0.48)
    assert found["largest_class"] is found["balanced_test_accuracy"] is found["beats_largest_class"] is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("synops", [0.0, 0.25])
def test_a_dense_network_that_hardly_spikes_on_test_data_gives_no_share(synops: float, tmp_path: Path) -> None:
    found = outcome_of(tmp_path, baseline={"synops": synops})
    assert math.isnan(float(str(found["synops"])))
    assert math.isnan(float(str(found["violation"])))


def test_unequal_classes_are_read_where_they_are_noted(tmp_path: Path) -> None:
    found = outcome_of(tmp_path, result=constant())
    assert (found["balanced_test_accuracy"], found["largest_class"]) == (0.5, 12 / 13)
    assert found["beats_largest_class"] is False
