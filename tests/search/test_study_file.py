"""Records that are damaged, locked or somebody else's: a sentence, and not a byte of them changed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import create_trial

from lightning_snn.errors import RunError
from search.study import Outcome
from search.study import RecordedStudy

ABOUT = {"strategy": "random", "seed": 3, "target_synops": 500.0}


def open_study(file: Path, **about: object) -> RecordedStudy:
    space = {"conv1": FloatDistribution(0.1, 1.0)}
    return RecordedStudy(file, sampler=RandomSampler(seed=0), space=space, about=ABOUT | about)


def measure(params: dict[str, float]) -> Outcome:
    return Outcome(0.5, -0.1, {"widths": {"conv1": round(1e6 * params["conv1"])}})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A record of 30 trials."""
    file = tmp_path_factory.mktemp("record") / "study.db"
    open_study(file).optimize(measure, 30)
    return file.read_bytes()


def execute(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


def of_another_study(file: Path) -> None:
    optuna.create_study(study_name="mine", storage=f"sqlite:///{file}").add_trial(create_trial(value=1.0))


MADE: dict[str, tuple[Callable[[Path, bytes], object], str]] = {
    "text": (lambda file, data: file.write_text("no database"), "file is not a database"),
    "a folder": (lambda file, data: file.mkdir(), "unable to open database file"),
    "first page": (lambda file, data: file.write_bytes(data[:4096]), "malformed"),
    "half": (lambda file, data: file.write_bytes(data[: len(data) // 2]), "malformed"),
    "all but the end": (lambda file, data: file.write_bytes(data[:-100]), "in database main"),
    "a page of zeros": (lambda file, data: file.write_bytes(data[:8192] + bytes(4096) + data[12288:]), ""),
    "other tables": (lambda file, data: execute(file, "CREATE TABLE kept (x INT)"), "its tables are kept"),
    "other columns": (lambda file, data: execute(file, "CREATE TABLE studies (x INT)"), "no such column"),
    "another study": (lambda file, data: of_another_study(file), "it holds the study 'mine'"),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_no_record_of_a_search_is_one_sentence_and_left_alone(
    name: str, recorded: bytes, tmp_path: Path
) -> None:
    make, reason = MADE[name]
    file = tmp_path / "study.db"
    make(file, recorded)
    before = file.read_bytes() if file.is_file() else sorted(file.iterdir())
    with pytest.raises(RunError, match=rf"study\.db cannot be read as the record of a search \(.*{reason}") as error:
        open_study(file)
    assert "\n" not in str(error.value)
    assert "Nothing was changed in it: put a copy back, or move it away" in str(error.value)
    assert before == (file.read_bytes() if file.is_file() else sorted(file.iterdir()))
    assert [each.name for each in tmp_path.iterdir()] == ["study.db"]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE alembic_version SET version_num = 'v9.9.9'", "no longer compatible with the table schema"),
        ("UPDATE trial_user_attributes SET value_json = '{'", "cannot be read as the record"),
        ("UPDATE trials SET state = 'RUNNING' WHERE number = 7", "holds a trial that is not finished .7"),
        (
            "UPDATE trial_params SET param_name = 'other' WHERE trial_id = 8",
            "holds trials of another search: the parameters of trial 7 are other, those of this search conv1",
        ),
    ],
)
def test_a_database_with_other_contents_is_one_sentence(
    statement: str, reason: str, recorded: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(recorded)
    execute(file, statement)
    before = file.read_bytes()
    with pytest.raises(RunError, match=reason):
        open_study(file)
    assert file.read_bytes() == before


def test_the_record_of_another_search_is_refused_but_other_measurements_are_not(
    recorded: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(recorded)
    with pytest.raises(RunError, match="is the record of another search: seed is 3 there and 4 here"):
        open_study(file, seed=4)
    assert file.read_bytes() == recorded
    assert len(open_study(file, target_synops=500.1).trials) == 30


@pytest.mark.parametrize("is_there", [True, False])
def test_an_empty_file_is_a_record_without_trials(is_there: bool, tmp_path: Path) -> None:
    """A kill can come between the file and its tables."""
    if is_there:
        (tmp_path / "study.db").touch()
    study = open_study(tmp_path / "study.db")
    study.optimize(measure, 2)
    assert len(open_study(tmp_path / "study.db").trials) == 2


def test_a_record_that_another_process_holds_is_one_sentence_before_and_in_the_search(
    recorded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(recorded)
    connect = sqlite3.connect
    monkeypatch.setattr(optuna.storages._rdb.storage.time, "sleep", lambda seconds: None)  # it tries again and again
    for module in ("sqlite3", "sqlite3.dbapi2"):  # ours, and SQLAlchemy's
        monkeypatch.setattr(
            f"{module}.connect", lambda *given, **options: connect(*given, **options | {"timeout": 0.05})
        )
    study = open_study(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunError, match=r"study\.db is locked by another process\. Wait for it, or end it"):
            study.optimize(measure, 31)
        with pytest.raises(RunError, match=r"study\.db is locked by another process"):
            open_study(file)
    goes_on = open_study(file)
    goes_on.optimize(measure, 31)
    assert len(goes_on.trials) == 31
