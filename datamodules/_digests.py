"""What tells data from other data: a digest of their content, whatever they are called and wherever they lie.

A file is read again only where its size, its times or its place on the disk have changed. Times may lie: a copy can
keep those of another file, and two changes can fall into one tick of the clock. So the time of the last change of the
file's own entry counts too, which no program can set, and a file that was changed a moment ago is not remembered.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray

SETTLED_NS: Final = 2 * 10**9
"""Age of a file's last change from which on a digest of it is remembered: coarser than the clock of any file system."""
STORE: Final = "digests.json"


def digest_of(values: Any) -> str:
    """Return the SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def digest_of_arrays(arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 of some arrays: their types, shapes and values, of any shape."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


class FileDigests:
    """SHA-256 of files, remembered by path for as long as nothing speaks for a change."""

    def __init__(self, folder: Path | None = None) -> None:
        """Remember what an earlier process left in ``folder``; None: start with nothing."""
        self._store = None if folder is None else folder / STORE
        self._known: dict[str, list[Any]] = {} if self._store is None else _read(self._store)
        self._is_saved = True

    def __call__(self, path: Path) -> str:
        """Return the digest of a file's content; of one that cannot be read, why: reading it is what shall fail."""
        name = str(path.absolute())
        try:
            mark = _mark(path)
            known = self._known.get(name)
            if known is not None and known[0] == mark:
                return str(known[1])
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if max(mark[1:3]) < time.time_ns() - SETTLED_NS and _mark(path) == mark:
                self._known[name] = [mark, digest]
                self._is_saved = False
        except OSError as error:
            return f"{error.strerror}"
        return digest

    def save(self) -> None:
        """Leave what is known for later processes, where there is a folder that can be written to."""
        if self._store is None or self._is_saved:
            return
        with suppress(OSError):  # then they read the files again
            self._store.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(prefix=f".{STORE}-", dir=self._store.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(self._known, stream)
            os.replace(partial, self._store)
            self._is_saved = True


def _mark(path: Path) -> list[int]:
    """Return what changes with a file's content, as far as the file system tells."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(store: Path) -> dict[str, list[Any]]:
    try:
        known = json.loads(store.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {name: each for name, each in known.items() if isinstance(each, list) and len(each) == 2}
