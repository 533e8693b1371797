import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conf.schema import LoggerConfig
from conf.schema import NetworkConfig
from conf.schema import SearchConfig
from conf.schema import StrategyConfig
from lightning_snn.errors import RunError
from search.objective import best_trial
from search.tracking import Tracker
from search.tracking import open_tracker
from tests.search.records import SAMPLES
from tests.search.records import TRIALS
from tests.search.records import record
from tests.search.wandb_file import WandbFile

CONFIG = SearchConfig(logger=LoggerConfig(name="wandb"), strategy=StrategyConfig(name="gp"), seed=5)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody has logged in to W&B, nor said how it is to work."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def tell(tracker: Tracker, trials: int) -> None:
    """Hand in what a start of the search hands in: all samples, then trials from the first on."""
    for sample in SAMPLES:
        tracker.sample(sample)
    for trial in TRIALS[:trials]:
        tracker.trial(trial, best_trial(TRIALS[: trial.number + 1]))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> WandbFile:
    """An offline run that was killed after three trials, started again, and finished."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        killed = open_tracker(CONFIG, folder)
        tell(killed, 3)
        killed.close()
        tracker = open_tracker(CONFIG, folder)
        tell(tracker, 6)
        tracker.finish(record())
        tracker.close()
    return WandbFile(folder)


def test_importing_it_imports_no_wandb() -> None:
    program = "import sys, search.tracking; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_a_logger_nothing_happens(tmp_path: Path) -> None:
    tracker = open_tracker(SearchConfig(), tmp_path)
    tell(tracker, 6)
    tracker.finish(record())
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_every_trial_is_there_once_after_a_kill(resumed: WandbFile) -> None:
    rows = resumed.rows()
    assert [row["_step"] for row in rows] == [0, 1, 2, 3, 4, 5, 6]  # six trials, and what comes at the end
    assert [row.get("trial/number") for row in rows] == [0, 1, 2, 3, 4, 5, None]


def test_trials_hold_what_was_measured(resumed: WandbFile) -> None:
    row = resumed.rows()[4]
    expected = {"value": 0.7, "accuracy": 0.7, "synops": 410, "predicted_synops": 460, "upper": 480, "parameters": 300}
    assert {key: row[f"trial/{key}"] for key in expected} == expected
    assert row["trial/constraint"] == pytest.approx(-0.04)


def test_best_accuracy_counts_feasible_trials_only(resumed: WandbFile) -> None:
    best = [row.get("best_feasible_accuracy") for row in resumed.rows()]
    assert best == [None, 0.5, 0.5, 0.5, 0.7, 0.7, None]


def test_failed_trial_is_logged_without_a_value(resumed: WandbFile) -> None:
    row = resumed.rows()[5]
    assert row["trial/number"] == 5
    assert "trial/value" not in row


def test_samples_and_trials_are_tables(resumed: WandbFile) -> None:
    columns, rows = resumed.table("samples")
    assert columns[:3] == ["index", "pre", "post"]
    assert [row[:3] for row in rows] == [[0, 300, 410], [1, 400, 530], [2, 500, 650], [3, 450, 580]]
    columns, rows = resumed.table("trials")
    assert [row[columns.index("number")] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row[columns.index("value")] for row in rows] == [0.9, 0.5, 0.5, 0.4, 0.7, None]
    assert json.loads(rows[4][columns.index("widths")]) == {"conv1": 2, "conv2": 12}


def test_result_is_the_summary(resumed: WandbFile) -> None:
    summary = resumed.summary()
    assert summary["result/test_accuracy"] == 0.9275
    assert summary["baseline/synops"] == 2000.0
    assert summary["budget/met"] is True
    assert summary["result/widths/conv2"] == 12
    assert summary["trials"] == 6
    assert not any(key.startswith(("trial/", "trials|")) for key in summary)  # the last trial, a table


def test_pictures_are_kept(resumed: WandbFile) -> None:
    images = [file.name.split("_")[0] for file in resumed.folder.glob("files/media/images/figures/*.png")]
    assert sorted(images) == ["architecture", "channels", "estimator", "layers", "progress", "trade-off"]


def test_run_is_named_grouped_and_described(resumed: WandbFile) -> None:
    (run,) = {each.SerializeToString(): each for each in resumed.of_kind("run")}.values()
    assert run.display_name.startswith("digits-vgg_small-gp-0.5-s5-")
    assert run.run_group == "digits-vgg_small-0.5"
    assert list(run.tags) == ["gp"]
    assert run.project == "lightning-snn"
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["budget"]["target"] == 0.5
    assert config["seed"] == 5


def test_finished_run_is_no_failure(resumed: WandbFile) -> None:
    (end,) = resumed.of_kind("exit")
    assert end.exit_code == 0


def test_unfinished_run_is_a_failure_and_the_terminal_stays_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = open_tracker(CONFIG, tmp_path)  # no key, no mode: offline
    tracker.close()
    assert WandbFile(tmp_path).of_kind("exit")[0].exit_code == 1
    assert capfd.readouterr() == ("", "")


def test_runs_of_others_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "wandb" / "offline-run-20260101_000000-0123456789"
    other.mkdir(parents=True)
    open_tracker(CONFIG, tmp_path).close()
    assert other.exists()


def test_disabled_wandb_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = open_tracker(CONFIG, tmp_path)
    tell(tracker, 6)
    tracker.close()
    assert list(tmp_path.iterdir()) == []


class FakeRun(SimpleNamespace):
    """Stands for a W&B run that goes on at ``starting_step``."""

    def __init__(self, starting_step: int) -> None:
        super().__init__(starting_step=starting_step, steps=[], summary={})

    def define_metric(self, *args: Any, **options: Any) -> None:
        """Nothing to define."""

    def log(self, row: dict[str, Any], step: int, commit: bool) -> None:
        self.steps.append(step)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``wandb.init`` was called with, instead of calling it."""
    import wandb

    seen: dict[str, Any] = {}

    def init(**arguments: Any) -> FakeRun:
        seen.update(arguments, run=FakeRun(starting_step=4))
        return seen["run"]  # type: ignore[no-any-return]  # filled by a hook

    monkeypatch.setattr(wandb, "init", init)
    return seen


@pytest.mark.parametrize(
    ("environment", "netrc", "mode"),
    [
        ({}, None, "offline"),
        ({}, "machine api.wandb.ai login user password key\n", "online"),
        ({}, "machine example.org login user password key\n", "offline"),
        ({}, "default login user password key\n", "offline"),
        ({}, "neither machine nor login\n", "offline"),
        ({"WANDB_BASE_URL": "https://wandb.example.org/"}, "machine wandb.example.org login u password k\n", "online"),
        ({"WANDB_API_KEY": "key"}, None, "online"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "key"}, None, "offline"),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": "key"}, None, "online"),
    ],
)
def test_offline_where_there_is_no_key(
    environment: dict[str, str],
    netrc: str | None,
    mode: str,
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if netrc is not None:
        Path(os.environ["NETRC"]).write_text(netrc)
    open_tracker(CONFIG, tmp_path)
    assert asked["mode"] == mode


def test_nobody_is_asked_for_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(RunError, match=r"WANDB_MODE is 'online', but there is no key.*wandb login"):
        open_tracker(CONFIG, tmp_path)


def test_wandb_that_does_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    with pytest.raises(RunError, match=r"^Weights & Biases did not start \(.*\)\. Set WANDB_MODE=offline") as caught:
        open_tracker(CONFIG, tmp_path)
    assert "\n" not in str(caught.value)


def test_resumed_online_run_gets_only_what_it_lacks(asked: dict[str, Any], tmp_path: Path) -> None:
    tell(open_tracker(CONFIG, tmp_path), 6)  # it has steps 0 to 3
    assert asked["resume"] == "allow"
    assert asked["run"].steps == [4, 5]


def test_same_settings_are_the_same_run_wherever_they_are_carried_out(asked: dict[str, Any], tmp_path: Path) -> None:
    identities = {}
    for name, config in {
        "one": CONFIG,
        "elsewhere": replace(CONFIG, runs="other", threads=2),
        "seed": replace(CONFIG, seed=6),
        "named": replace(CONFIG, name="mine"),
    }.items():
        open_tracker(config, tmp_path)
        identities[name] = asked["id"]
    assert identities["one"] == identities["elsewhere"]
    assert len(set(identities.values())) == 3


def test_group_joins_strategies_and_seeds_of_one_question(asked: dict[str, Any], tmp_path: Path) -> None:
    own = NetworkConfig(_target_="my_package.models.MyNet")
    budget = replace(CONFIG.budget, synops=12000.0)
    open_tracker(replace(CONFIG, network=own, budget=budget), tmp_path)
    assert asked["group"] == "digits-MyNet-12000synops"
    open_tracker(replace(CONFIG, logger=LoggerConfig(name="wandb", group="paper", entity="lab")), tmp_path)
    assert (asked["group"], asked["entity"]) == ("paper", "lab")
