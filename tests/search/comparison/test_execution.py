"""In which order searches are carried out, and what is waited for; that they are is seen in ``test_run.py``."""

import threading
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lightning_snn.files import locked
from lightning_snn.progress import Reporter
from search import pipeline
from search.comparison import execution
from search.comparison.execution import spread_out
from search.comparison.execution import stage_in
from search.comparison.plan import Planned
from search.comparison.plan import plan_runs
from search.workers import Workers


def test_different_dense_networks_come_first() -> None:
    variants = {"cmaes": ("strategy=cmaes",), "short": ("network.time_steps=2",)}
    planned = plan_runs(["strategy=random"], variants, targets=[0.7, 0.5], seeds=[4, 2])
    order = [(each.variant, each.target, each.seed) for each in spread_out(planned)]
    assert order[:4] == [("cmaes", 0.7, 4), ("short", 0.7, 4), ("cmaes", 0.7, 2), ("short", 0.7, 2)]
    assert order[4:] == [("cmaes", 0.5, 4), ("short", 0.5, 4), ("cmaes", 0.5, 2), ("short", 0.5, 2)]


def test_how_far_a_search_is_is_read_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert stage_in(log) == ""
    with log.open("w") as stream, Reporter(Console(file=stream, width=160)) as reporter:
        print("Seed set to 0.", file=stream, flush=True)
        assert stage_in(log) == ""
        for name, done in (("dense network", 16), ("search", 38)):
            with reporter.phase(name) as phase:
                phase.expect(60)
                phase.reach(done, "best 52.80%; trial 37: 1 of 2")
            stream.flush()
            assert stage_in(log) == f" ({name}, {done} of 60)"
    log.write_text(log.read_text() + "│ SynOps │ 12 of 13\n" * 9)
    assert stage_in(log) == " (search, 38 of 60)"


def test_a_search_that_another_comparison_works_on_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (planned,) = plan_runs([f"runs={tmp_path}"], {"random": ("strategy=random",)}, targets=[0.5], seeds=[0])
    tried, held = [], threading.Event()

    def other_comparison() -> None:
        with locked(planned.folder, wait=False):
            held.set()
            first.wait(10.0)

    def run_search(config: Any, console: Any) -> None:
        tried.append(config)
        try:
            with locked(planned.folder, wait=False):
                pass
        finally:
            first.set()  # only now may the other one end

    first = threading.Event()
    monkeypatch.setattr(pipeline, "run_search", run_search)
    other = threading.Thread(target=other_comparison)
    other.start()
    held.wait(10.0)
    assert execution._search(tmp_path, planned) is None
    other.join()
    assert len(tried) == 2


def test_a_search_that_ends_every_process_has_failed_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That processes are started anew, and end so, is seen in ``test_workers.py``."""

    class Lost(Workers[Planned, str | None]):
        def each(self, jobs: Sequence[Planned], look: Any = None) -> Iterator[tuple[Planned, str | None]]:
            yield jobs[0], self._give_up(jobs[0], "SIGKILL")
            yield jobs[1], None

    planned = plan_runs([f"runs={tmp_path}"], {"random": ("strategy=random",)}, targets=[0.5], seeds=[0, 1])
    monkeypatch.setattr(execution, "Workers", Lost)
    with Reporter(Console(quiet=True)) as reporter, reporter.phase("searches") as phase:
        failed = execution.carry_out(planned, 2, tmp_path / "logs", phase)
        assert phase.done == 2
    assert list(failed) == [planned[0].title]
    assert failed[planned[0].title].startswith("Its process was ended again and again, at last working alone (SIGKILL)")
