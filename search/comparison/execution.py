"""Carry out planned searches in processes of their own; a finished one is not done again."""

import contextlib
import os
import re
import threading
import traceback
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import Future
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from conf.schema import SearchConfig
from lightning_snn._command import MENDABLE
from lightning_snn._user_code import place_of
from lightning_snn._user_code import said
from lightning_snn.errors import BusyError
from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.progress import Phase
from search.comparison.plan import Planned
from search.configuration import run_name
from search.configuration import shared_folders
from search.processes import end_at_once
from search.processes import end_with_parent
from search.processes import give_memory_back

LOOK_EVERY = 2.0
"""Seconds between looks at what is being worked on."""
STAGE: Final = re.compile(r"^(\w[\w -]*?) +[\d.]+ s +(\d+ of \d+)", re.MULTILINE)
"""A line of progress in a log: the phase, seconds, and steps."""
TAIL = 4096
"""Bytes of a log that hold its last lines."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def carry_out(planned: Sequence[Planned], workers: int, logs: Path, phase: Phase) -> dict[str, str]:
    """Do the searches that have no result yet, ``workers`` at a time, each with one thread.

    Args:
        planned: All searches; those with a result are passed over.
        workers: Processes.
        logs: Folder of one file a search: what it would print.
        phase: Counts the searches.

    Returns:
        Title -> the sentence it failed with, of those that failed.

    Raises:
        RunError: If a process was ended from outside.
    """
    left = [each for each in planned if not each.is_finished]
    phase.expect(len(planned))
    phase.reach(len(planned) - len(left), f"{len(left)} are left" if left else "all were there")
    failed: dict[str, str] = {}
    if not left:
        return failed
    logs.mkdir(parents=True, exist_ok=True)
    with _pool(min(workers, len(left))) as pool:
        waiting: dict[Future[str | None], Planned] = {}
        for each in spread_out(left):
            waiting[pool.submit(_search, each.config, _log_of(each, logs))] = each
        while waiting:
            done, _ = wait(waiting, LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                each = waiting.pop(future)
                try:
                    wrong = future.result()
                except BrokenProcessPool as error:
                    raise RunError(
                        "A process of the comparison was ended from outside, for want of memory perhaps. Give the same "
                        "command again, with fewer --workers."
                    ) from error
                if wrong is not None:
                    failed[each.title] = wrong
                phase.advance(f"{each.title}: {wrong or 'done'}")
            working = [
                each.title + stage_in(_log_of(each, logs)) for future, each in waiting.items() if future.running()
            ][:workers]
            phase.reach(phase.done, f"at work: {'; '.join(working)}" if working else phase.news)
    return failed


def stage_in(log: Path) -> str:
    """Return how far a search is by the last line of progress in its log, such as `` (search, 38 of 60)``."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            lines = STAGE.findall(stream.read().decode("utf-8", "replace"))
    except OSError:  # not there yet
        return ""
    return f" ({', '.join(lines[-1])})" if lines else ""


def spread_out(planned: Sequence[Planned]) -> list[Planned]:
    """Put the first search of each dense network before all others: those that share one wait for it to be trained."""
    first: dict[Path, Planned] = {}
    for each in planned:
        first.setdefault(shared_folders(each.config)[0], each)
    return [*first.values(), *(each for each in planned if each not in first.values())]


def _log_of(planned: Planned, logs: Path) -> Path:
    return logs / f"{planned.folder.name}.log"


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Return a pool whose processes have one thread each, and end with the block at once where an error ends it."""
    before = {name: os.environ.get(name) for name in THREADS}
    others = active_children()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield pool
    finally:
        end_at_once(pool, others)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start() -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()


def _search(config: SearchConfig, log: Path) -> str | None:
    """Carry out one search; return the sentence it failed with, if it did."""
    from rich.console import Console

    from search.pipeline import run_search

    with log.open("a", encoding="utf-8") as stream, _into(stream.fileno()):
        console = Console(file=stream, width=160, markup=False)
        try:
            while True:
                try:
                    run_search(config, console)
                    break
                except BusyError:  # of another comparison that has this search too
                    with locked(Path(config.runs) / run_name(config), wait=True):
                        pass
        except MENDABLE as error:
            return " ".join(str(error).split())
        except Exception as error:  # one search must not end the others
            traceback.print_exc()
            whose = "an error of ours" if place_of(error) is None else f"code of yours raised {said(error)}"
            return f"{whose}; see {log}"
        finally:
            give_memory_back()
    return None


@contextlib.contextmanager
def _into(stream: int) -> Iterator[None]:
    """Send standard output and error of this process into a file."""
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(stream, number)
        yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
