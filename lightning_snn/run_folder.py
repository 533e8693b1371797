"""The folder of one run: which settings it belongs to, whether it is finished, who works in it."""

import dataclasses
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import Final

from rich.console import Console

from conf.identity import identity
from conf.identity import leaves
from conf.identity import places
from conf.schema import ContentConfig
from conf.schema import RunConfig
from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json

SETTINGS, PLAN, QUESTION = "settings.json", "plan.json", "question.json"
KINDS: Final = {SETTINGS: "a run", PLAN: "a comparison", QUESTION: "an ablation"}
"""File -> what a folder that has it is of."""


ADVICE: Final = "Choose another --name, or leave it out to get one by itself."
CONTENTS: Final = {
    "content.data": "other data (files have changed, or others lie there)",
    "content.network": "another network (what its code, or a library, computes has changed)",
    "content.baseline": "another dense network (other files in baseline.artifact)",
}
"""What a difference between digests means."""


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

    ``settings.json`` also says where data and a given network were when the run was last worked on, for whoever
    measures its network later; the same content at another place makes no other run.
    """

    def __init__(self, path: Path, settings: dict[str, Any], places: Mapping[str, Any], mark: str = SETTINGS) -> None:
        """Look at the folder, without making it.

        Args:
            path: The folder.
            settings: What makes the run the run it is (``conf.identity.identity``).
            places: Where its data and networks lie, by setting (``conf.identity.places``): recorded, not compared.
            mark: File of :data:`KINDS` that the settings are in.

        Raises:
            RunError: If it belongs to a run with other settings or of other content, or to something else.
        """
        self.path, self._mark = path, mark
        self._places = set(places)
        self._settings = _with_places(settings, places)
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
            RunError: If another process holds it, or has made it for another run.
        """
        with locked(self.path, wait=False):
            self._check()  # another process may have made it since
            if self._recorded() != self._settings:  # not there, or something lay elsewhere
                write_json(self._settings_file, self._settings)
            yield

    @property
    def is_of_unknown_content(self) -> bool:
        """Tell whether a version made it that did not record what data and networks are."""
        recorded = self._recorded()
        return recorded is not None and "content" in self._settings and "content" not in recorded

    @property
    def _settings_file(self) -> Path:
        return self.path / self._mark

    def _recorded(self) -> Any:
        return read_json(self._settings_file) if self._settings_file.exists() else None

    def _check(self) -> None:
        """Refuse a folder that belongs to a run with other settings or of other content, or to something else."""
        refuse_other_kinds(self.path, self._mark)
        recorded = self._recorded()
        if recorded is None:
            return
        settings, compared_anyway = self._settings, set[str]()
        if self.is_of_unknown_content:
            settings = {key: value for key, value in settings.items() if key != "content"}
            compared_anyway = {"baseline.artifact"}
        sections, others = _sections(settings), _sections(recorded)
        if sections != others:
            section, side = min((each, "there" if each in others else "here") for each in sections ^ others)
            raise RunError(
                f"{self.path} holds a run of another command: settings of {section!r} are only {side}. {ADVICE}"
            )
        here, there = dict(leaves(settings)), dict(leaves(recorded))
        keys = sorted({*here, *there} - (self._places - compared_anyway))
        different = [key for key in keys if here.get(key) != there.get(key)]
        others_set = [key for key in different if key not in CONTENTS]
        if others_set:
            said = "; ".join(f"{key} is {_said(there, key)} there and {_said(here, key)} here" for key in others_set)
            raise RunError(f"{self.path} holds a run with other settings: {said}. {ADVICE}")
        if self.is_of_unknown_content and not self.is_finished():
            raise RunError(
                f"{self.path} holds a run that was begun by a version that did not record what data and networks are, "
                f"so it cannot be known whether it may go on. {ADVICE}"
            )
        if different:
            of = " and ".join(CONTENTS[key] for key in different)
            raise RunError(f"{self.path} holds a run with the same settings, but of {of}. {ADVICE}")


def find_run(runs: Path, config: RunConfig, name_of: Callable[[Any], str]) -> RunFolder:
    """Return the folder of a run, or that of a finished one which was made before content was recorded.

    Args:
        runs: Folder of all runs.
        config: With the content that was found.
        name_of: Names a run by its configuration.

    Raises:
        RunError: If the folder belongs to another run.
    """
    run = RunFolder(runs / name_of(config), identity(config), places(config))
    older = runs / name_of(dataclasses.replace(config, content=ContentConfig()))
    if not run.path.exists() and (older / "result.json").exists():
        return RunFolder(older, identity(config), places(config))
    return run


def say_what_is_unsure(run: RunFolder, network: str, console: Console) -> None:
    """Say of a finished run, before its result is shown, what cannot be known of it and what it lacks.

    Args:
        run: Its folder.
        network: Name of the folder in it that holds its network.
        console: Where to.
    """
    if run.is_of_unknown_content:
        console.print(of_unknown_content(run.path), soft_wrap=True, highlight=False)
    if not (run.path / network).exists():
        console.print(without_network(run.path, network), soft_wrap=True, highlight=False)


def of_unknown_content(run: Path) -> str:
    """Say of a run that an earlier version made what cannot be known of it."""
    return (
        f"{run} was made by a version that did not record what data and networks are: whether they are still those of "
        "its result cannot be known."
    )


def without_network(run: Path, network: str) -> str:
    """Say of a finished run that its network is gone, and how to get it again."""
    is_known = "content" in read_json(run / SETTINGS)
    return (
        f"{run / network}, the network of this finished run, is no longer there: delete "
        f"{run / 'result.json' if is_known else run}, and the run's own command makes it again."
    )


def _with_places(settings: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with the places in their sections, as far as these are there."""
    found = dict(settings)
    for key, place in places.items():
        section, name = key.split(".")
        if section in found:
            found[section] = {**found[section], name: place}
    return found


def _said(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "not set"


def _sections(settings: Mapping[str, Any]) -> set[str]:
    return {key for key, value in settings.items() if isinstance(value, Mapping)}
