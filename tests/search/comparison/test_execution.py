"""In which order searches are carried out, and what is waited for; that they are is seen in ``test_run.py``."""

import threading
from pathlib import Path
from typing import Any

import pytest

from lightning_snn.files import locked
from search import pipeline
from search.comparison import execution
from search.comparison.execution import spread_out
from search.comparison.plan import plan_runs


def test_different_dense_networks_come_first() -> None:
    variants = {"cmaes": ("strategy=cmaes",), "short": ("network.time_steps=2",)}
    planned = plan_runs(["strategy=random"], variants, targets=[0.7, 0.5], seeds=[4, 2])
    order = [(each.variant, each.target, each.seed) for each in spread_out(planned)]
    assert order[:4] == [("cmaes", 0.7, 4), ("short", 0.7, 4), ("cmaes", 0.7, 2), ("short", 0.7, 2)]
    assert order[4:] == [("cmaes", 0.5, 4), ("short", 0.5, 4), ("cmaes", 0.5, 2), ("short", 0.5, 2)]


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
        first.set()
        with locked(planned.folder, wait=False):
            pass

    first = threading.Event()
    monkeypatch.setattr(pipeline, "run_search", run_search)
    other = threading.Thread(target=other_comparison)
    other.start()
    held.wait(10.0)
    assert execution._search(planned.config, tmp_path / "log") is None
    other.join()
    assert len(tried) == 2
