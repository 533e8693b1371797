"""Worker processes that may be ended from outside: for want of memory, say, or by hand.

A pool of Python's is broken as soon as one of its processes is gone, and does not say which job that was at. What was
not done is done again by a new one. Where processes end twice in a row and no job is done in between, the next one
works alone: with all the memory, and so that the job is known.
"""

import signal
import threading
import time
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final
from typing import Generic
from typing import Self
from typing import TypeVar

from search.processes import end_at_once
from search.processes import end_with_parent

Job = TypeVar("Job")
Result = TypeVar("Result")

LOOK_EVERY: Final = 2.0
"""Seconds between looks at what is being worked on."""
TOGETHER: Final = 2
"""Times in a row that processes may end before the next one works alone; a job that ends that one too is given up."""


class Workers(Generic[Job, Result]):
    """Up to ``count`` processes, from the first job until the end of a ``with`` block; none is waited for then."""

    def __init__(self, count: int, work: Callable[[Job], Result], give_up: Callable[[Job, str], Result]) -> None:
        """Start nothing yet.

        Args:
            count: Processes.
            work: Does a job, in a process.
            give_up: Takes a job that ends its process again and again, and how that ended; returns its result, or
                raises. In this process.
        """
        self._count, self._work, self._give_up = count, work, give_up
        self._others = active_children()
        self._pool: ProcessPoolExecutor | None = None
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Self:
        """Start; processes come with the first jobs."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, without waiting for what they are at."""
        self._end()

    @property
    def are_there(self) -> bool:
        """Tell whether there were jobs before."""
        return self._pool is not None

    def each(
        self, jobs: Sequence[Job], look: Callable[[list[Job]], None] = lambda at_work: None
    ) -> Iterator[tuple[Job, Result]]:
        """Yield every job with its result, each when it is there.

        Args:
            jobs: All different.
            look: Called every two seconds with what is being worked on.
        """
        left, ended = list(jobs), 0
        while left:
            try:
                for job, result in self._done(left, look):
                    left.remove(job)
                    ended = 0
                    yield job, result
            except BrokenProcessPool:
                how, ended = self._how_they_ended(), ended + 1
                self._end()
                if ended == TOGETHER and self._count > 1:
                    self._count = 1
                    warnings.warn(f"Worker processes keep ending ({how}), so there is one from here on.", stacklevel=2)
                elif ended > TOGETHER:
                    job, ended = left.pop(0), 0
                    yield job, self._give_up(job, how)

    def _done(self, jobs: list[Job], look: Callable[[list[Job]], None]) -> Iterator[tuple[Job, Result]]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._count, mp_context=get_context("spawn"), initializer=_start)
        waiting = {self._pool.submit(self._work, job): job for job in jobs}
        self._processes = [each for each in active_children() if each not in self._others]
        while waiting:
            done, _ = wait(waiting, LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda each: each.exception() is not None):  # what is done is not lost
                yield waiting.pop(future), future.result()
            look([job for future, job in waiting.items() if future.running()][: self._count])

    def _how_they_ended(self) -> str:
        """Say how the process ended that the others were ended for, by SIGTERM."""
        until = time.monotonic() + 5.0
        while any(each.exitcode is None for each in self._processes) and time.monotonic() < until:
            time.sleep(0.01)
        codes = [each.exitcode for each in self._processes if each.exitcode is not None]
        code = next((each for each in codes if each not in (0, -signal.SIGTERM)), -signal.SIGTERM)
        if code == -signal.SIGKILL:
            return "SIGKILL, for want of memory perhaps"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _end(self) -> None:
        if self._pool is not None:
            end_at_once(self._pool, self._others)
            self._pool = None


def _start() -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
