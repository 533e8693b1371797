"""Carry out planned searches in processes of their own; a finished one is not done again."""

import contextlib
import os
import re
import traceback
from collections.abc import Iterator
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from lightning_snn._command import MENDABLE
from lightning_snn._user_code import place_of
from lightning_snn._user_code import said
from lightning_snn.errors import BusyError
from lightning_snn.files import locked
from lightning_snn.progress import Phase
from search.comparison.plan import Planned
from search.configuration import run_name
from search.configuration import shared_folders
from search.processes import give_memory_back
from search.workers import Workers

STAGE: Final = re.compile(r"^(\w[\w -]*?) +[\d.]+ s +(\d+ of \d+)", re.MULTILINE)
"""A line of progress in a log: the phase, seconds, and steps."""
TAIL = 4096
"""Bytes of a log that hold its last lines."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def carry_out(planned: Sequence[Planned], workers: int, logs: Path, phase: Phase) -> dict[str, str]:
    """Do the searches that have no result yet, ``workers`` at a time, each with one thread.

    A search whose process is ended from outside goes on in another one.

    Args:
        planned: All searches; those with a result are passed over.
        workers: Processes.
        logs: Folder of one file a search: what it would print.
        phase: Counts the searches.

    Returns:
        Title -> the sentence it failed with, of those that failed.
    """
    left = [each for each in planned if not each.is_finished]
    phase.expect(len(planned))
    phase.reach(len(planned) - len(left), f"{len(left)} are left" if left else "all were there")
    failed: dict[str, str] = {}
    if not left:
        return failed
    logs.mkdir(parents=True, exist_ok=True)

    def look(at_work: list[Planned]) -> None:
        working = [each.title + stage_in(_log_of(each, logs)) for each in at_work]
        phase.reach(phase.done, f"at work: {'; '.join(working)}" if working else phase.news)

    pool = Workers(min(workers, len(left)), partial(_search, logs), _give_up)
    with _one_thread_each(), pool:
        for each, wrong in pool.each(spread_out(left), look):
            if wrong is not None:
                failed[each.title] = wrong
            phase.advance(f"{each.title}: {wrong or 'done'}")
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
def _one_thread_each() -> Iterator[None]:
    """Give processes that are started inside the block one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _give_up(planned: Planned, how: str) -> str:
    """Return what is said of a search that ends every process: the others go on."""
    return (
        f"Its process was ended again and again, at last working alone ({how}). Free memory, or take smaller batches "
        "(data.batch_size), and give the same command again, with workers=1."
    )


def _search(logs: Path, planned: Planned) -> str | None:
    """Carry out one search; return the sentence it failed with, if it did."""
    from rich.console import Console

    from search.pipeline import run_search

    config, log = planned.config, _log_of(planned, logs)
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
