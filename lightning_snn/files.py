"""Files that are whole or not there: JSON written atomically, and a lock on a folder."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from filelock import Timeout

from lightning_snn.errors import BusyError
from lightning_snn.errors import RunError


def write_text(file: Path, text: str) -> None:
    """Write a file atomically: a reader, or a kill, sees the old one or the new one.

    Raises:
        RunError: If its folder cannot be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    except OSError as error:
        raise RunError(
            f"{file} cannot be written ({error.strerror}). Make its folder writable, or name another one."
        ) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def write_json(file: Path, values: Any) -> None:
    """Write plain values atomically; NaN and infinities become null."""
    write_text(file, json.dumps(_finite(values), indent=2) + "\n")


def read_json(file: Path) -> Any:
    """Return the values of a file written by :func:`write_json`.

    Raises:
        RunError: If it cannot be read.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{file} cannot be read ({error}). Delete it; the command that made it makes it again."
        ) from error


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder for this process alone; the lock ends with the process, however that ends.

    Args:
        folder: Made where it is missing.
        wait: Whether to wait for another process (which makes something that both need) or to refuse.

    Raises:
        RunError: If the folder cannot be made or written to.
        BusyError: If another process holds it and ``wait`` is off.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written to ({error.strerror}). Choose another folder with --runs."
        ) from error
    lock = FileLock(folder / ".lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BusyError(
            f"Another process is working in {folder}. Wait for it, or give this run another --name."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and value not in (float("inf"), float("-inf")) and value == value:
        return value
    return None if isinstance(value, float) else value
