"""The folder of one run: which settings it belongs to, whether it is finished, who works in it."""

import shutil
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import Final

from conf.identity import leaves
from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json

SETTINGS, PLAN, QUESTION = "settings.json", "plan.json", "question.json"
KINDS: Final = {SETTINGS: "a run", PLAN: "a comparison", QUESTION: "an ablation"}
"""File -> what a folder that has it is of."""


def refuse_other_kinds(folder: Path, mark: str) -> None:
    """Refuse a folder that is of something else than what is going to be made there.

    Args:
        folder: Need not exist.
        mark: File of :data:`KINDS` that it may have.

    Raises:
        RunError: If it has another one of them.
    """
    for name, what in KINDS.items():
        if name != mark and (folder / name).exists():
            raise RunError(f"{folder} holds {what}. Choose another --name.")


class RunFolder:
    """``runs/<name>/``: settings first, ``result.json`` last, everything else in between.

    ``settings.json`` also says where the data were when the run was last worked on, for whoever measures its
    network later; data that lie elsewhere make no other run.
    """

    def __init__(self, path: Path, settings: dict[str, Any], data_root: str, mark: str = SETTINGS) -> None:
        """Look at the folder, without making it.

        Args:
            path: The folder.
            settings: What makes the run the run it is (``conf.identity.identity``).
            data_root: ``data.root``, which is recorded beside them and not compared.
            mark: File of :data:`KINDS` that the settings are in.

        Raises:
            RunError: If it belongs to a run with other settings, or to something else.
        """
        self.path, self._mark = path, mark
        self._settings = {**settings, "data": {**settings["data"], "root": data_root}}
        self._check()

    @property
    def result_file(self) -> Path:
        """Return ``result.json``, written last."""
        return self.path / "result.json"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints, needed until there is a result."""
        return self.path / "checkpoints"

    def drop_checkpoints(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def is_finished(self) -> bool:
        """Tell whether the run has its result."""
        return self.result_file.exists()

    def result(self) -> dict[str, Any]:
        """Return the result of a finished run."""
        values = read_json(self.result_file)
        assert isinstance(values, dict)
        return values

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the folder for this process; make it, with its settings, where it is missing.

        Raises:
            RunError: If another process holds it, or has made it for other settings.
        """
        with locked(self.path, wait=False):
            self._check()  # another process may have made it since
            if self._recorded() != self._settings:  # not there, or the data were elsewhere
                write_json(self._settings_file, self._settings)
            yield

    @property
    def _settings_file(self) -> Path:
        return self.path / self._mark

    def _recorded(self) -> Any:
        return read_json(self._settings_file) if self._settings_file.exists() else None

    def _check(self) -> None:
        """Refuse a folder that belongs to a run with other settings, or to something else."""
        refuse_other_kinds(self.path, self._mark)
        recorded = self._recorded()
        if recorded is None:
            return
        advice = "Choose another --name, or leave it out to get one by itself."
        sections, others = _sections(self._settings), _sections(recorded)
        if sections != others:
            section, side = min((each, "there" if each in others else "here") for each in sections ^ others)
            raise RunError(
                f"{self.path} holds a run of another command: settings of {section!r} are only {side}. {advice}"
            )
        here, there = dict(leaves(self._settings)), dict(leaves(recorded))
        for key in sorted({*here, *there} - {"data.root"}):
            if here.get(key) != there.get(key):
                raise RunError(
                    f"{self.path} holds a run with other settings: {key} is {_said(there, key)} there and "
                    f"{_said(here, key)} here. {advice}"
                )


def _said(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "not set"


def _sections(settings: Mapping[str, Any]) -> set[str]:
    return {key for key, value in settings.items() if isinstance(value, Mapping)}
