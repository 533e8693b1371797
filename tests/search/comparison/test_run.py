"""Comparisons from the command line to their files: straight, killed and resumed, one task at a time, and refused."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conf.loading import later_wins
from search import ablate
from search import cli
from search import compare
from search import report
from search.comparison.plan import plan_runs
from search.comparison.run import About
from search.comparison.run import write_plan
from tests.search.killed_workers import one_worker_killed
from tests.search.test_pipeline import TINY
from tests.search.wandb_file import WandbFile

CHOICE = ["--strategies", "random,cmaes,uniform", "--seeds", "0,1", "--strategy.evaluations", "5"]
FILES = {"compare.html", "compare.json", "compare.md", "compare.tex", "plan.json"}


def command(runs: Path, *more: str) -> list[str]:
    return later_wins([*TINY, *CHOICE, "--runs", str(runs), "--name", "side-by-side", *more])


def start(arguments: list[str]) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-m", "search.compare", *arguments]
    return subprocess.Popen(program, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)


def outcomes(runs: Path) -> list[Any]:
    """What the searches came to, but how long they took."""
    found = json.loads((runs / "side-by-side" / "compare.json").read_text())["outcomes"]
    return [{key: value for key, value in each.items() if "seconds" not in key} for each in found]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("straight")
    assert compare.main(command(runs, "--workers", "2")) in (0, 3)  # such short trainings may miss the budget
    return runs


@pytest.mark.slow
def test_every_strategy_and_seed_is_there_once(straight: Path) -> None:
    folder = straight / "side-by-side"
    assert {file.name for file in folder.iterdir()} >= FILES
    named = [(each["variant"], each["seed"]) for each in outcomes(straight)]
    assert named == [(strategy, seed) for strategy in ("random", "cmaes", "uniform") for seed in (0, 1)]
    for each in outcomes(straight):
        run = json.loads((straight / each["run"] / "result.json").read_text())
        assert (run["strategy"], run["seed"]) == (each["variant"], each["seed"]) == (each["strategy"], each["seed"])
        assert (each["data"], each["network"], each["time_steps"], each["allowed"]) == ("digits", "vgg_small", 2, 5)
        assert run["result"]["test_accuracy"] == each["test_accuracy"]
        assert len(each["curve"]) == run["evaluations"]
        link = f'<a href="../{each["run"]}/report.html">'
        assert link in (folder / "compare.html").read_text()
    assert len(list((straight / "_shared").iterdir())) == 2  # one dense network a seed, whatever the strategy


@pytest.mark.slow
def test_killed_and_resumed_with_a_search_killed_equals_straight(straight: Path, tmp_path: Path) -> None:
    process = start(command(tmp_path, "--workers", "2"))
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("*/result.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30  # its searches end with it
    while subprocess.run(["pgrep", "-f", f"runs={tmp_path}"], capture_output=True, check=False).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    done = len(list(tmp_path.glob("*/result.json")))
    with one_worker_killed(when=lambda: len(list(tmp_path.glob("*/result.json"))) > done):
        assert compare.main(command(tmp_path, "--workers", "2")) in (0, 3)
    assert outcomes(tmp_path) == outcomes(straight)


@pytest.mark.slow
def test_asked_to_end_it_ends_its_searches_in_the_middle_of_a_training(tmp_path: Path) -> None:
    process = start(command(tmp_path, "--workers", "2", "--training.epochs", "1000"))
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("_shared/*/training/*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    assert process.wait(30) == 143


@pytest.mark.slow
def test_one_task_at_a_time_equals_all_at_once(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight / "_shared", tmp_path / "_shared")
    met = [each["met"] for each in sorted(outcomes(straight), key=lambda each: each["seed"])]  # in the order of tasks
    for task in range(6):
        assert compare.main(command(tmp_path, "--task", str(task))) == (0 if met[task] else 3)
    assert not (tmp_path / "side-by-side" / "compare.html").exists()
    assert compare.main(command(tmp_path)) in (0, 3)
    assert outcomes(tmp_path) == outcomes(straight)


@pytest.mark.slow
def test_a_report_makes_all_files_again_from_the_runs(straight: Path, tmp_path: Path) -> None:
    runs = tmp_path / "moved"
    shutil.copytree(straight, runs)
    folder = runs / "side-by-side"
    before = {name: (folder / name).read_text() for name in FILES - {"compare.html"}}
    pages = {page: page.read_text().replace(str(straight), str(runs)) for page in runs.glob("*/report.html")}
    for name in FILES - {"plan.json"}:
        (folder / name).unlink()
    for page in pages:
        page.unlink()
    assert report.main([str(folder)]) == 0
    assert {name: (folder / name).read_text() for name in before} == before
    assert {page: page.read_text() for page in pages} == pages


@pytest.mark.slow
def test_weights_and_biases_has_every_strategy_and_seed_once_after_a_kill(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, read back: as it was left by searches of which one was killed, and as a report makes it again."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    shutil.copytree(straight / "_shared", tmp_path / "_shared")
    tracked = command(tmp_path, "--logger", "wandb")
    process = start(tracked)
    while not list(tmp_path.glob("*/result.json")):
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert compare.main(tracked) in (0, 3)
    check_wandb(tmp_path)
    for each in outcomes(tmp_path):
        shutil.rmtree(tmp_path / each["run"] / "wandb")
    assert report.main([str(tmp_path / "side-by-side"), "--wandb"]) == 0
    check_wandb(tmp_path)


def check_wandb(runs: Path) -> None:
    """Hold what W&B has of each search against what the comparison says."""
    for each in outcomes(runs):
        file = WandbFile(runs / each["run"])
        (run,) = {record.SerializeToString(): record for record in file.of_kind("run")}.values()
        assert (run.display_name, run.run_group) == (each["run"], "side-by-side")
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert (config["strategy"]["name"], config["seed"]) == (each["variant"], each["seed"])
        trials = [row for row in file.rows() if "trial/value" in row]
        assert [row["_step"] for row in trials] == list(range(each["trials"]))
        curve = [row.get("best_feasible_accuracy", 0.0) for row in trials]
        assert curve[-1] == each["best"] == max(curve)
        assert trials[-1]["evaluations"] == each["evaluations"]
        assert file.summary()["result/test_accuracy"] == each["test_accuracy"]
        assert len(file.table("trials")[1]) == each["trials"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--strategy", "ddpg"], "found strategy. Write --strategies"),
        (["--seed", "3"], "found seed. Write --seeds"),
        (["--targets", "0.3"], "targets and budget.target were given both"),
        (["--strategies", "ddgp,random"], "No strategy is called 'ddgp'. Did you mean 'ddpg'?"),
        (["--strategies", "random,random"], "strategies are named once each, found more than once: random"),
        (["--seeds", ""], "seeds are one or more, separated by commas, found none"),
        (["--seeds", "0,x"], "must be a whole number, found 'x'"),
        (["--budget.target", "1.5"], "budget.target is a share of the baseline's SynOps in (0, 1], found 1.5"),
        (["--reference", "radnom"], "reference is one of the strategies, found 'radnom'. Did you mean 'random'?"),
        (["--workers", "0"], "workers must be at least 1, found 0"),
        (["--task", "6"], "task is one of 6 searches, 0 to 5, found 6"),
    ],
)
def test_a_mistake_is_one_sentence(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(command(tmp_path, *more)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda runs: compare.main(command(runs, "--strategies", "random,uniform")),
            "holds another comparison: 2 of its 6 searches (cmaes, 60 %, seed 0, say) would be none of this one.",
        ),
        (lambda runs: cli.main([*TINY, "--runs", str(runs), "--name", "side-by-side"]), "holds a comparison. Choose"),
        (
            lambda runs: ablate.main(["scale", "--runs", str(runs), "--name", "side-by-side"]),
            "holds a comparison. Choose another --name.",
        ),
    ],
    ids=["another comparison", "a search", "an ablation"],
)
def test_a_folder_of_something_else_is_left_as_it_is(
    make: Callable[[Path], int], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = {name: (f"strategy={name}",) for name in ("random", "cmaes", "uniform")}
    shared = [*TINY, "strategy.evaluations=5", f"runs={tmp_path}"]
    planned = plan_runs(shared, variants, targets=[0.6], seeds=[0, 1])
    write_plan(tmp_path / "side-by-side", planned, About("title", "command", "random"))
    before = (tmp_path / "side-by-side" / "plan.json").read_text()
    assert make(tmp_path) == 2
    assert said in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "side-by-side").iterdir()] == ["plan.json"]
    assert (tmp_path / "side-by-side" / "plan.json").read_text() == before


def test_budgets_out_of_range_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--targets", "0.5,1.5", "--runs", str(tmp_path)]) == 2
    assert "targets are shares of the dense network's SynOps in (0, 1], found 1.5" in capsys.readouterr().err


@pytest.mark.slow
def test_a_report_takes_another_reference_and_folder(straight: Path, tmp_path: Path) -> None:
    arguments = [str(straight / "side-by-side"), "--reference", "cmaes", "--out", str(tmp_path / "other")]
    assert report.main(arguments) == 0
    found = json.loads((tmp_path / "other" / "compare.json").read_text())
    assert found["reference"] == "cmaes"
    assert found["command"] == shlex.join(["python", "-m", "search.report", *arguments])
    assert json.loads((straight / "side-by-side" / "compare.json").read_text())["reference"] == "random"


@pytest.mark.slow
def test_searches_that_cannot_be_compared_are_refused(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(straight, tmp_path / "runs")
    folder = tmp_path / "runs" / "side-by-side"
    runs = {(each["variant"], each["seed"]): tmp_path / "runs" / each["run"] for each in outcomes(tmp_path / "runs")}
    random, cmaes = runs["random", 0], runs["cmaes", 0]
    again = shutil.copytree(random, tmp_path / "runs" / "again")
    settings = json.loads((runs["uniform", 0] / "settings.json").read_text())
    settings["network"]["time_steps"] = 7
    (runs["uniform", 0] / "settings.json").write_text(json.dumps(settings))
    (runs["cmaes", 1] / "study.db").write_text("no database")
    (runs["random", 1] / "result.json").write_text("{}")
    (tmp_path / "file").touch()
    (tmp_path / "no-plan").mkdir()
    (tmp_path / "no-plan" / "plan.json").write_text("{}")
    for arguments, said in (
        ([random, again], f"Two searches are of random, 60 %, seed 0: {random} and {again}. Leave one out."),
        ([random, runs["uniform", 0]], f"vgg_small on digits (T = 2) in {random} and vgg_small on digits (T = 7) in"),
        ([random, cmaes, "--reference", "cmeas"], "is 'cmeas'. Did you mean 'cmaes'?"),
        ([random, "--reference", "cmaes"], "are for one comparison, found a single search"),
        ([random, "--out", tmp_path], "are for one comparison, found a single search"),
        ([random, cmaes, "--out", tmp_path / "file"], "file is no folder to write to (File exists)"),
        ([runs["cmaes", 1]], "study.db cannot be read as the record of a search"),
        ([runs["random", 1]], "result.json is not the result of a search of this version"),
        ([tmp_path / "runs" / "agian"], f"it holds no settings.json. Did you mean {again}?"),
        ([random, cmaes, "--out", cmaes], f"found that of a run, {cmaes}"),
        ([tmp_path / "no-plan"], "plan.json is not the plan of a comparison of this version (KeyError: 'members')"),
        ([], "The following arguments are required: runs."),
        ([random, "--reference"], "Argument --reference: expected one argument."),
    ):
        assert report.main([str(each) for each in arguments]) == 2, said
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert report.main([str(folder), str(random), str(random), "--out", str(tmp_path)]) == 2  # the folder has them too
    assert not (tmp_path / "compare.json").exists()
