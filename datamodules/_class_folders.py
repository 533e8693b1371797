"""Recordings that lie in one folder a class, and how they are shared out where nobody has split them.

Axes: N recordings.
"""

from collections.abc import Callable
from collections.abc import Container
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules._announcement import Announcement
from datamodules._digests import FileDigests
from datamodules._source import Source
from datamodules._split import stratified_choice
from datamodules._streams import Stream
from datamodules._streams import generator_for
from datamodules.errors import DataError
from datamodules.recordings import SUFFIXES
from datamodules.recordings import Recording


class Listed(NamedTuple):
    """A file and its class."""

    path: Path
    label: int


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder by name, without hidden files and what macOS adds to archives.

    Raises:
        DataError: If the folder is missing or cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise DataError(
            f"Recordings cannot be listed: found {error.strerror} at {folder}. Check the path and its permissions."
        ) from error


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, by name. Files beside them, a README say, are nobody's concern."""
    return [path for path in visible(folder) if path.is_dir()]


def list_classes(folder: Path, classes: Sequence[str], suffixes: Container[str] = SUFFIXES) -> list[Listed]:
    """List the recordings in the folders ``classes`` of ``folder``, class after class, each by name.

    Args:
        folder: Holds one folder a class, and no other folders.
        classes: Names of the folders; their order numbers the classes.
        suffixes: Of recordings.

    Raises:
        DataError: If a class has no folder, or a folder no class; or if a class folder has no recordings, or
            something else in it.
    """
    found = {path.name for path in subfolders(folder)}
    for name in sorted(found.symmetric_difference(classes)):
        what = f"the folder {folder / name}" if name in found else f"no folder {folder / name}"
        raise DataError(f"Every class must have its folder: found {what}, and the classes {', '.join(classes)}.")
    return [
        Listed(path, label) for label, name in enumerate(classes) for path in list_recordings(folder / name, suffixes)
    ]


def list_recordings(folder: Path, suffixes: Container[str]) -> list[Path]:
    """List the recordings in a folder, by name.

    Raises:
        DataError: If it has none, or something else in it.
    """
    paths = visible(folder)
    if not paths:
        raise DataError(f"A folder of recordings is empty: found {folder}. Put some there, or remove it.")
    for path in paths:
        if path.is_dir() or path.suffix.lower() not in suffixes:
            known = ", ".join(suffix for suffix in SUFFIXES if suffix in suffixes)
            raise DataError(
                f"A folder of recordings must hold nothing else than {known}: found {path}. Move it out, or hide it "
                "behind a name that starts with a dot."
            )
    return paths


def as_sources(
    folder: Path, listed: Sequence[Listed], read: Callable[[Path], Recording], digests: FileDigests
) -> list[Source]:
    """Return files as the sources of a data module, named by their paths below ``folder``.

    Args:
        folder: That they are named by.
        listed: The files.
        read: Reads one of them, when it is needed.
        digests: Tell their content.
    """
    announce = Announcement(f"looking whether {folder} has changed", f"looked whether {folder} has changed")
    announce(0, len(listed))
    sources = []
    for path, label in listed:
        sources.append(Source(path.relative_to(folder).as_posix(), label, digests(path), partial(read, path)))
        announce(len(sources), len(listed))
    return sources


def hold_out(listed: Sequence[Listed], share: int, seed: int) -> tuple[list[Listed], list[Listed]]:
    """Share recordings out at random: a ``share``-th of every class for testing, the others for training.

    Returns:
        Training and test recordings, each in the order of ``listed``.

    Raises:
        DataError: If a class has fewer than ``share`` recordings.
    """
    labels_N = np.array([label for _, label in listed])
    for label, size in enumerate(np.bincount(labels_N)):
        if size < share:
            where = next(path for path, of in listed if of == label).parent
            raise DataError(
                f"A class must have {share} recordings or more, so that one in {share} can be held out for testing: "
                f"found {size} in {where}. Record more, or split them yourself."
            )
    test_M = stratified_choice(labels_N, round(len(listed) / share), generator_for(seed, Stream.TEST_SPLIT))
    in_test = set(test_M.tolist())
    train = [recording for row, recording in enumerate(listed) if row not in in_test]
    return train, [listed[row] for row in test_M]
