"""Processes that are killed at their work: what is done stays done, the rest is done again, and there is an end."""

import os
import signal
import time
import warnings
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from search.workers import Workers
from tests.search.killed_workers import one_worker_killed


def starts(folder: Path, job: int) -> int:
    return len(list(folder.glob(f"{job}-*")))


def work(folder: Path, job: int) -> int:
    """Square a number, with a note of each start; 1 takes long the first time, 7 ends its process, 8 is wrong."""
    (folder / f"{job}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if job == 1 and starts(folder, job) == 1:
        time.sleep(60.0)
    if job == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if job == 8:
        raise ValueError("no square of 8")
    return job * job


def no_process_is_left() -> None:
    """They are asked to end, and not waited for."""
    until = time.monotonic() + 10.0
    while active_children():
        assert time.monotonic() < until
        time.sleep(0.02)


def told(job: int, how: str) -> int:
    assert how == "SIGKILL, for want of memory perhaps"
    return -1


def refused(job: int, how: str) -> int:
    raise ValueError(f"{job} was ended by {how}")


@pytest.mark.filterwarnings("error")
def test_a_killed_process_costs_only_what_it_was_at(tmp_path: Path) -> None:
    """Its neighbour is ended with it: Python gives up a whole pool."""
    with (
        one_worker_killed(when=lambda: starts(tmp_path, 1) and starts(tmp_path, 3)),
        Workers(2, partial(work, tmp_path), refused) as workers,
    ):
        found = list(workers.each([0, 1, 2, 3]))
        assert sorted(found) == [(0, 0), (1, 1), (2, 4), (3, 9)]
        assert dict(workers.each([4, 5])) == {4: 16, 5: 25}
    assert starts(tmp_path, 1) == 2
    assert [starts(tmp_path, job) for job in (0, 2, 4, 5)] == [1, 1, 1, 1]
    no_process_is_left()


@pytest.mark.parametrize("count", [1, 2])
def test_a_job_that_ends_every_process_is_given_up_and_the_others_are_done(count: int, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as said, Workers(count, partial(work, tmp_path), told) as workers:
        warnings.simplefilter("always")
        assert sorted(workers.each([7, 2, 3])) == [(2, 4), (3, 9), (7, -1)]
    assert starts(tmp_path, 7) >= 3
    no_process_is_left()
    assert all("Worker processes keep ending (SIGKILL" in str(each.message) for each in said)
    assert count == 1 or said


def test_giving_up_may_end_all(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="7 was ended by SIGKILL"),
        Workers(1, partial(work, tmp_path), refused) as all_,
    ):
        list(all_.each([7, 2]))
    no_process_is_left()


def test_an_error_of_a_job_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no square of 8"), Workers(1, partial(work, tmp_path), refused) as workers:
        list(workers.each([8]))
    assert starts(tmp_path, 8) == 1


def test_it_is_seen_what_is_being_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.workers.LOOK_EVERY", 0.02)
    seen: list[list[int]] = []
    with (
        one_worker_killed(when=lambda: starts(tmp_path, 1) and seen),
        Workers(1, partial(work, tmp_path), refused) as workers,
    ):
        assert list(workers.each([1], seen.append)) == [(1, 1)]
    assert [1] in seen
    assert all(at_work in ([], [1]) for at_work in seen)
