"""optuna-dashboard on a search's record: our figures are there, as attributes of the trials."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from search.strategies import build_strategy
from search.study import Outcome
from search.study import RecordedStudy
from tests.search.strategies.conformance import make_context

ABOUT = {"strategy": "random", "seed": 3, "target_synops": 500.0}
ATTRIBUTES = {"accuracy": 0.5, "synops": 400.0, "predicted_synops": 450.0}


def outcome(params: dict[str, float]) -> Outcome:
    widths = {name: round(1000 * ratio) for name, ratio in params.items()}
    return Outcome(0.5, -0.1, {**ATTRIBUTES, "keep": params, "widths": widths})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard on the loopback, with a study of three trials."""
    pytest.importorskip("optuna_dashboard")
    folder = tmp_path_factory.mktemp("run")
    sampler, space = build_strategy("random", seed=0), make_context().space
    study = RecordedStudy(folder / "study.db", sampler=sampler, space=space, about=ABOUT)
    study.optimize(outcome, 3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    arguments = [f"sqlite:///{folder / 'study.db'}", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


def get(url: str) -> Any:
    for _ in range(150):
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            time.sleep(0.2)  # it is still starting
    raise AssertionError(f"{url} does not answer")


@pytest.mark.slow
def test_the_study_and_its_trials_show_our_attributes(address: str) -> None:
    (summary,) = get(f"{address}/api/studies")["study_summaries"]
    assert summary["study_name"] == "search"
    study = get(f"{address}/api/studies/{summary['study_id']}?after=0")
    shown = {each["key"]: each["value"] for each in study["user_attrs"]}
    assert shown == {key: str(value) for key, value in ABOUT.items()}
    assert len(study["trials"]) == 3
    for trial in study["trials"]:
        shown = {each["key"]: each["value"] for each in trial["user_attrs"]}
        assert float(shown["synops"]) == 400.0
        assert "features.10" in shown["widths"]
        assert {"keep", *ATTRIBUTES} <= set(shown)
        assert trial["values"] == [0.5]
