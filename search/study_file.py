"""The file of a study: one of ours that can be read, or refused in a sentence before anything is changed in it.

Optuna makes what it misses: opened through it, somebody else's database would get tables of ours.
"""

import sqlite3
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from optuna.trial import FrozenTrial

from lightning_snn.errors import RunError

STUDY = "search"
"""Name of the one study in a run's ``study.db``."""
MEND = (
    "Nothing was changed in it: put a copy back, or move it away and give the search's command again, which makes its "
    "trials anew."
)


def storage_of(file: Path) -> str:
    """Return how Optuna names an SQLite file: as a URL, in which ``?`` and ``%`` of a path mean something else."""
    return f"sqlite:///{quote(str(file))}"


@contextmanager
def one_sentence(file: Path, mend: str = MEND) -> Iterator[None]:
    """Say in a sentence what goes wrong with the file inside the block.

    Raises:
        RunError: If anything does.
    """
    try:
        yield
    except RunError:
        raise
    except Exception as error:  # a damaged file can raise anything
        reason = str(error.__cause__ or error)
        if "locked" in reason:
            raise RunError(
                f"{file} is locked by another process. Wait for it, or end it; then give the same command again, which "
                "goes on from here."
            ) from error
        if "readonly" in reason or "disk is full" in reason:
            raise RunError(
                f"{file} cannot be written ({_first_line(reason)}). Make room, or make it writable; then give the same "
                "command again, which goes on from here."
            ) from error
        raise RunError(f"{file} cannot be read as the record of a search ({_first_line(reason)}). {mend}") from error


def check_file(file: Path) -> None:
    """Refuse a file that is damaged or no record of a search; one that is missing or empty becomes one.

    Raises:
        RunError: If it is.
        sqlite3.Error: If it cannot be opened, is no database, or is locked.
    """
    if not file.exists() or (file.is_file() and file.stat().st_size == 0):
        return
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as database:
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(found.split()))
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "studies" not in tables:
            raise sqlite3.DatabaseError(f"its tables are {', '.join(sorted(tables)[:3])}")
        names = [name for (name,) in database.execute("SELECT study_name FROM studies")] if tables else [STUDY]
    if names and STUDY not in names:
        raise sqlite3.DatabaseError(f"it holds the study {names[0]!r}")


def check_about(recorded: Mapping[str, Any], about: Mapping[str, Any], file: Path) -> None:
    """Refuse the record of a search with another strategy, other data and so on; measured numbers may differ.

    Args:
        recorded: Attributes of the study in the file.
        about: Those it is to have.
        file: The file.

    Raises:
        RunError: If it is one.
    """
    for key, value in about.items():
        if not isinstance(value, float) and recorded.get(key, value) != value:
            raise RunError(
                f"{file} is the record of another search: {key} is {recorded[key]!r} there and {value!r} here. {MEND}"
            )


def check_trials(trials: Sequence[FrozenTrial], names: Collection[str], file: Path) -> None:
    """Refuse trials that are not of a search over parameters of these names.

    Raises:
        RunError: If there are some.
    """
    for trial in trials:
        if not trial.state.is_finished():
            raise RunError(f"{file} holds a trial that is not finished ({trial.number}), so none of ours. {MEND}")
        if set(trial.params) != set(names):
            raise RunError(
                f"{file} holds trials of another search: the parameters of trial {trial.number} are "
                f"{', '.join(trial.params) or 'none'}, those of this search {', '.join(names)}. {MEND}"
            )


def _first_line(reason: str) -> str:
    return reason.strip().split("\n")[0].rstrip(".")
