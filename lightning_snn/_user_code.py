"""Errors of code that is not ours: what was raised, and in which line of the user's.

A network of somebody's own may raise anything, and a traceback through Lightning, PyTorch and us hides the one line
that matters. ``--debug`` shows it all the same.
"""

import linecache
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from lightning_snn.errors import NetworkError

OURS = tuple(Path(__file__).resolve().parents[1] / name for name in ("conf", "datamodules", "lightning_snn", "search"))
LONGEST = 200
"""Characters of a text that a library wrote."""


def place_of(error: BaseException) -> str | None:
    """Return file and line of the user's code that an error comes from; None where it comes from ours, or a library's.

    It is the innermost frame outside of libraries that decides: a layer of PyTorch that our own code calls wrongly is
    our mistake.
    """
    if isinstance(error, SyntaxError) and error.filename and not _is_of_library(error.filename):
        return _shown(error.filename, error.lineno)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = frame.f_code.co_filename
        if not _is_of_library(file):
            return _shown(file, line) if is_of_user(file) else None
    return None


def said(error: BaseException) -> str:
    """Return what was raised, where if in the user's code, and its text: ``ValueError in mine.py, line 12: no``."""
    place, text = place_of(error), " ".join(str(error).split())
    if not text and isinstance(error, AssertionError):
        _, text = _last_statement(error)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return f"{type(error).__name__}{f' in {place}' if place else ''}{f': {text}' if text else ''}".rstrip(".")


def is_statement_of_user(error: BaseException) -> bool:
    """Tell whether an error comes from a ``raise`` or ``assert`` in the user's code, and so is worded by them."""
    file, statement = _last_statement(error)
    return place_of(error) is not None and not _is_of_library(file) and statement.startswith(("raise", "assert"))


@contextmanager
def user_code(what: str, mend: str = "") -> Iterator[None]:
    """Turn whatever the block raises into one sentence.

    Args:
        what: Whose code it is.
        mend: A further sentence.

    Raises:
        NetworkError: In place of any error but those that say that there is no memory, or that a user interrupts.
    """
    try:
        yield
    except (MemoryError, NetworkError):
        raise
    except (Exception, SystemExit) as error:  # a script that is imported may end the process
        raise NetworkError(f"{what} raised {said(error)}.{mend and f' {mend}'}") from error


def is_of_user(file: str) -> bool:
    """Tell whether a file of code is neither ours nor a library's."""
    return not _is_of_library(file) and not any(Path(file).resolve().is_relative_to(folder) for folder in OURS)


@cache
def _is_of_library(file: str) -> bool:
    if file.startswith("<"):  # code without a file
        return True
    parts = Path(file).parts
    standard = Path(sysconfig.get_path("stdlib"))
    return "site-packages" in parts or "dist-packages" in parts or Path(file).is_relative_to(standard)


def _last_statement(error: BaseException) -> tuple[str, str]:
    """Return the file and the text of the line that raised an error."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return frame.f_code.co_filename, linecache.getline(frame.f_code.co_filename, line).strip()


def _shown(file: str, line: int | None) -> str:
    path = Path(file)
    short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{short}, line {line}"
