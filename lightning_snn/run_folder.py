"""The folder of one run: which settings it belongs to, whether it is finished, who works in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conf.identity import leaves
from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json


class RunFolder:
    """``runs/<name>/``: settings first, ``result.json`` last, everything else in between."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Look at the folder, without making it.

        Raises:
            RunError: If it belongs to a run with other settings.
        """
        self.path, self._settings = path, settings
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
            if not (self.path / "settings.json").exists():
                write_json(self.path / "settings.json", self._settings)
            yield

    def _check(self) -> None:
        """Refuse a folder that belongs to a run with other settings."""
        if not (self.path / "settings.json").exists():
            return
        here, there = dict(leaves(self._settings)), dict(leaves(read_json(self.path / "settings.json")))
        for key in sorted({*here, *there}):
            if here.get(key) != there.get(key):
                raise RunError(
                    f"{self.path} holds a run with other settings: {key} is {there.get(key)!r} there and "
                    f"{here.get(key)!r} here. Choose another --name, or leave it out to get one by itself."
                )
