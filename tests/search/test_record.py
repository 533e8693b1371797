"""What a run's folder says of it: read back as it was left, and refused where it is another's or damaged."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from conf.schema import NetworkConfig
from conf.schema import SearchConfig
from lightning_snn.errors import RunError
from search.record import read_record
from search.record import read_result
from search.record import read_trials
from search.report import main as report
from search.result import describe_study
from tests.search.records import BUDGET
from tests.search.records import FULL
from tests.search.records import SAMPLES
from tests.search.records import record
from tests.search.records import result
from tests.search.records import trial
from tests.search.records import write_run

CONFIG = SearchConfig(seed=3)
SPACE = trial(0).distributions


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished search with two trials."""
    return write_run(tmp_path / "run", CONFIG, result())


def test_what_was_left_is_read_back(run: Path) -> None:
    found = read_record(run)
    assert found.result == result()
    assert found.samples == SAMPLES
    assert (found.estimator.slope, found.estimator.intercept) == (
        record().estimator.slope,
        record().estimator.intercept,
    )
    assert (found.budget, found.full) == (BUDGET, FULL)
    assert found.trials[0].user_attrs["upper"] == 480.0
    assert found.config == dataclasses.replace(CONFIG, name="run", runs=str(run.parent))


def test_other_tools_are_told_what_the_study_is_about(run: Path) -> None:
    assert optuna.load_study(study_name=None, storage=f"sqlite:///{run / 'study.db'}").user_attrs == {
        "strategy": "ddpg",
        "data": "digits",
        "network": "vgg_small",
        "seed": 3,
        "target_synops": 500.0,
        "dense_synops": 1000.0,
        "dense_network": "a digest",
    }
    own = SearchConfig(network=NetworkConfig(_target_="my_package.nets.MyNet"))
    assert describe_study(own, BUDGET, "")["network"] == "MyNet"


@pytest.mark.parametrize("changed", [{"schema": 99}, {"schema": None}], ids=lambda changed: str(changed))
def test_a_result_of_another_version_is_refused(run: Path, changed: dict[str, Any]) -> None:
    (run / "result.json").write_text(json.dumps(result() | changed))
    with pytest.raises(RunError, match=r"result\.json is not the result of a search of this version\. Delete it"):
        read_result(run)
    with pytest.raises(RunError, match="is not the result of a search of this version"):
        read_record(run)


@pytest.mark.parametrize(
    ("part", "changed", "said"),
    [
        ("budget", 0.5, "needs a number at budget.target_fraction, found None"),
        ("seconds", [], "needs a number at seconds.baseline, found None"),
        ("result", {"test_accuracy": "abc"}, "needs a number at result.test_accuracy, found 'abc'"),
    ],
)
def test_a_result_without_its_numbers_is_refused(run: Path, part: str, changed: Any, said: str) -> None:
    found = result()
    found[part] = found[part] | changed if isinstance(changed, dict) else changed
    (run / "result.json").write_text(json.dumps(found))
    with pytest.raises(RunError, match=f"result.json {said}. It is damaged, or of another version. Delete it"):
        read_record(run)


def test_a_search_that_is_not_finished_is_refused(run: Path) -> None:
    (run / "result.json").unlink()
    with pytest.raises(RunError, match="holds a search that is not finished"):
        read_record(run)


def test_a_run_without_samples_is_refused(run: Path) -> None:
    (run / "samples.json").unlink()
    with pytest.raises(RunError, match="was made by another version, which left less behind"):
        read_record(run)


@pytest.mark.parametrize("text", ["{}", "[]", '["no sample"]', '[{"index": 0}]', '{"a": 1}'])
def test_damaged_samples_are_named(run: Path, text: str) -> None:
    (run / "samples.json").write_text(text)
    with pytest.raises(RunError, match=r"samples\.json holds no samples.* Delete .*run; the search") as error:
        read_record(run)
    assert "\n" not in str(error.value)


def test_a_result_that_is_no_number_is_refused(run: Path) -> None:
    changed = result()
    changed["result"]["test_accuracy"] = float("nan")
    (run / "result.json").write_text(json.dumps(changed))
    with pytest.raises(RunError, match=r"needs a number at result\.test_accuracy, found nan"):
        read_record(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), r"holds no study\.db"),
        (lambda file: file.write_text("no database"), r"study\.db cannot be read as the record of a search"),
        (lambda file: file.write_bytes(file.read_bytes()[:50_000]), r"cannot be read as the record .*malformed"),
        (lambda file: file.write_bytes(b""), r"cannot be read as the record .*it is empty"),
        (lambda file: _of_another(file), r"cannot be read as the record .*it holds the study 'mine'"),
        (lambda file: _add_foreign(file), r"trials that no search of ours made: trial 1 has no accuracy"),
    ],
    ids=["missing", "text", "truncated", "empty", "another study", "a trial of somebody else's"],
)
def test_trials_that_are_not_there_damaged_or_foreign_are_refused(
    run: Path, change: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run / "study.db"
    change(file)
    before = file.read_bytes() if file.exists() else None
    with pytest.raises(RunError, match=said):
        read_trials(run)
    assert report([str(run)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert before == (file.read_bytes() if file.exists() else None)


def _of_another(file: Path) -> None:
    file.unlink()
    optuna.create_study(study_name="mine", storage=f"sqlite:///{file}")


def _add_foreign(file: Path) -> None:
    """As another tool would, that knows nothing of our attributes."""
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{file}")
    study.add_trial(optuna.trial.create_trial(value=1.0, params=study.trials[0].params, distributions=SPACE))
