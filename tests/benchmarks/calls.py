"""Calls of ``paper_run`` in processes of their own, which can be killed or run out of time at a given moment.

The processes are forked from a server that has imported what takes seconds.
"""

import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["search.pipeline", "torchvision.datasets", "sklearn.datasets"])


class At(NamedTuple):
    """A moment: the call of a function, counted from 0, and what happens then."""

    module: str
    function: str
    calls: int
    how: str = "stop"
    """``stop``: the time is up; ``kill``: SIGKILL."""


def call(arguments: Sequence[str], output: Path, at: At | None = None) -> int:
    """Return the exit code of one call, negative where a signal ended it; what it prints goes to ``output``."""
    process = CONTEXT.Process(target=_call, args=(list(arguments), output, at))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _call(arguments: list[str], output: Path, at: At | None) -> None:
    sys.path.insert(0, BENCHMARKS)
    from paper_run import main

    if at is not None:
        _prepare(at)
    with output.open("w") as file, contextlib.redirect_stdout(file):
        code = main(arguments)
    os._exit(code)


def _prepare(at: At) -> None:
    from _paper_work import OutOfTime

    *path, name = at.function.split(".")
    owner: Any = functools.reduce(getattr, path, importlib.import_module(at.module))
    original, count = getattr(owner, name), 0

    @functools.wraps(original)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == at.calls + 1:
            if at.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OutOfTime
        return original(*args, **kwargs)

    setattr(owner, name, deadly)
