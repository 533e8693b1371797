"""``python -m lightning_snn.train`` on tiny digits: killed and resumed, shown again, refused in one sentence."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conf.loading import later_wins
from conf.schema import TrainConfig
from conf.schema import settings_in
from lightning_snn import _train_run
from lightning_snn._train_run import result_table
from lightning_snn.artifact import load_artifact
from lightning_snn.classifier import SpikingClassifier
from lightning_snn.history import COLUMNS
from lightning_snn.train import help_text
from lightning_snn.train import main
from tests.lightning_snn.killed import killed_at

EPOCHS = 4
SETTINGS = {
    "data.train_samples": 100,
    "data.validation_samples": 60,
    "data.test_samples": 80,
    "data.batch_size": 32,
    "data.augment": True,
    "network.time_steps": 2,
    "training.epochs": EPOCHS,
    "training.warmup_epochs": 1,
    "trainer.accelerator": "cpu",
}
TINY = [f"{key}={value}" for key, value in SETTINGS.items()]
REGISTERED = ["network.options.plan=[8,M,12,M]"]
OWN = ["network._target_=tests.lightning_snn.own_network.WithDropout", "network.options.width=6"]


def arguments(runs: Path, *more: str) -> list[str]:
    return later_wins([*TINY, f"runs={runs}", *(more or REGISTERED)])


def only_run(runs: Path) -> Path:
    (folder,) = runs.iterdir()
    return folder


def outcome(runs: Path) -> dict[str, Any]:
    """All that a training leaves, but how long things took."""
    folder = only_run(runs)
    result = json.loads((folder / "result.json").read_text())
    del result["seconds"], result["result"]["batch_seconds"]
    return {
        "weights": {k: v.numpy().tobytes() for k, v in load_file(folder / "network" / "model.safetensors").items()},
        "result": result,
        "metrics": [{**row, "seconds": None} for row in rows_of(folder)],
        "files": sorted(file.name for file in folder.iterdir()),
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").open()))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder in which a registered network was trained without interruption."""
    runs = tmp_path_factory.mktemp("straight")
    assert main(arguments(runs)) == 0
    return runs


@pytest.fixture(scope="module")
def straight_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for a network of one's own, with dropout."""
    runs = tmp_path_factory.mktemp("own")
    assert main(arguments(runs, *OWN)) == 0
    return runs


def test_a_training_leaves_network_result_metrics_and_settings(straight: Path) -> None:
    folder = only_run(straight)
    assert sorted(file.name for file in folder.iterdir() if not file.name.startswith(".")) == [
        "metrics.csv",
        "network",
        "result.json",
        "settings.json",
    ]
    assert folder.name.startswith("digits-vgg_small-train-s0-")
    result = json.loads((folder / "result.json").read_text())
    assert set(result) == {
        *(
            "schema",
            "data",
            "split_policy",
            "samples",
            "skipped_recordings",
            "network",
            "time_steps",
            "seed",
            "synops_switches",
            "epochs",
        ),
        *("result", "firing_rates", "versions", "seconds"),
    }
    assert (result["data"], result["network"], result["time_steps"], result["epochs"]) == ("digits", "vgg_small", 2, 4)
    assert list(result["firing_rates"]) == ["features.2", "features.6"]
    assert all(0.0 < rate < 1.0 for rate in result["firing_rates"].values())
    assert json.loads((folder / "network" / "metrics.json").read_text()) == result["result"]


def test_the_saved_network_is_the_one_that_was_reported(straight: Path) -> None:
    result = json.loads((only_run(straight) / "result.json").read_text())
    network = load_artifact(only_run(straight) / "network")
    assert sum(parameter.numel() for parameter in network.parameters()) == result["result"]["parameters"]
    assert json.loads((only_run(straight) / "network" / "architecture.json").read_text())["example_shape"][0] == 2


def test_metrics_have_a_row_an_epoch(straight: Path) -> None:
    rows = rows_of(only_run(straight))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert all(0.0 <= float(row["validation_accuracy"]) <= 1.0 for row in rows)
    # linear rise over the 4 steps of the first epoch, then half a cosine over 12
    peak = 4.0e-3
    assert [float(row["learning_rate"]) for row in rows[:3]] == pytest.approx([peak / 4, peak, 0.75 * peak])


def test_the_last_row_is_what_the_network_does_on_validation_data(straight: Path) -> None:
    result = json.loads((only_run(straight) / "result.json").read_text())
    last = float(rows_of(only_run(straight))[-1]["validation_accuracy"])
    assert last == pytest.approx(result["result"]["validation_accuracy"], abs=1e-6)


@pytest.mark.parametrize("epoch", range(1, EPOCHS))
def test_killed_between_any_two_epochs_ends_like_a_straight_one(epoch: int, straight_own: Path, tmp_path: Path) -> None:
    killed_at(SpikingClassifier, "on_train_epoch_start", epoch, lambda: main(arguments(tmp_path, *OWN)))
    assert len(rows_of(only_run(tmp_path))) == epoch
    assert main(arguments(tmp_path, *OWN)) == 0
    assert outcome(tmp_path) == outcome(straight_own)


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        (SpikingClassifier, "training_step", 6),  # in the second epoch, after the first was kept
        (SpikingClassifier, "on_train_epoch_start", 0),
        (_train_run, "describe_network", 0),  # after the training, between measuring and saving
        (_train_run, "write_json", 0),
    ],
)
def test_killed_anywhere_ends_like_a_straight_one(
    owner: Any, name: str, calls: int, straight: Path, tmp_path: Path
) -> None:
    killed_at(owner, name, calls, lambda: main(arguments(tmp_path)))
    assert not (only_run(tmp_path) / "result.json").exists()
    assert main(arguments(tmp_path)) == 0
    assert outcome(tmp_path) == outcome(straight)


def test_what_must_be_restored_does_matter(straight: Path, straight_own: Path, tmp_path: Path) -> None:
    """Else equality would prove nothing: another seed ends elsewhere."""
    assert main(arguments(tmp_path, *REGISTERED, "seed=1")) == 0
    assert outcome(tmp_path)["weights"] != outcome(straight)["weights"]


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, "Terminated"), (signal.SIGINT, 130, "Interrupted")]
)
def test_a_signal_ends_the_training_and_the_same_command_goes_on(
    number: signal.Signals,
    code: int,
    said: str,
    straight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        step = SpikingClassifier.training_step

        def struck(self: SpikingClassifier, batch: Any, batch_idx: int) -> torch.Tensor:
            if self.current_epoch == 2:
                os.kill(os.getpid(), number)
            return step(self, batch, batch_idx)

        patch.setattr(SpikingClassifier, "training_step", struck)
        assert main(arguments(tmp_path)) == code
    assert capsys.readouterr().err == f"{said}. The same command goes on from here.\n"
    assert main(arguments(tmp_path)) == 0
    assert outcome(tmp_path) == outcome(straight)


def test_a_finished_run_shows_its_result_again(straight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in only_run(straight).rglob("*"))
    assert main(arguments(straight)) == 0
    table, notes = capsys.readouterr().out.split("\n\n")
    lines = table.splitlines()
    assert lines[0].startswith("| digits, vgg_small, T=2, seed 0")
    assert all(line.startswith("|") and line.endswith("|") for line in lines)
    assert max(len(line) for line in lines) <= 80
    assert notes.startswith(
        "Split of the data: a fifth of scikit-learn's set, by class, chosen by the seed (ours). Sam"
    )
    assert before == sorted((file, file.stat().st_mtime_ns) for file in only_run(straight).rglob("*"))


def test_unequal_classes_bring_balanced_accuracy_and_a_sentence(straight: Path) -> None:
    result = json.loads((only_run(straight) / "result.json").read_text())
    assert "largest class" not in result_table(result)
    unequal = {"test_balanced_accuracy": 0.5, "test_largest_class": 12 / 13, "test_beats_largest_class": False}
    table, notes = result_table(result | {"result": result["result"] | unequal}).split("\n\n")
    assert [line.split("|")[2].strip() for line in table.splitlines() if "balanced" in line] == ["50.00%"]
    assert notes.endswith("class (92.31% of the samples), within two standard errors: the network.")


def test_other_settings_under_the_same_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path, *REGISTERED, "name=mine", "training.epochs=1")) == 0
    capsys.readouterr()
    assert main(arguments(tmp_path, *REGISTERED, "name=mine", "training.epochs=2")) == 2
    error = capsys.readouterr().err
    assert "training.epochs is 1 there and 2 here" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("--networks vgg16", "Did you mean 'network.name'?"),
        ("--network vgg61", "Did you mean 'vgg16'?"),
        ("--budget.target 0.5", "No setting is called 'budget.target'"),
        ("--data.train_samples 100000", "train_samples asks for more"),
        ("--network._target_ no.such.Net", "import path"),
        ("--trainer.devices 2", "Run python -m lightning_snn.train"),
        ("--training.epochs 0", "epochs must be at least 1"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    setting: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(later_wins([*arguments(tmp_path), *setting.split()])) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert expected in error
    assert list(tmp_path.iterdir()) == []


class FakeRun(SimpleNamespace):
    """Stands for a W&B run that goes on at ``starting_step``."""

    def __init__(self, starting_step: int) -> None:
        super().__init__(starting_step=starting_step, rows=[], summary={}, code=None)

    def log(self, row: dict[str, Any], step: int, commit: bool) -> None:
        self.rows.append((step, row))

    def finish(self, exit_code: int) -> None:
        self.code = exit_code


@pytest.fixture
def wandb_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[dict[str, Any], FakeRun]]]:
    """What ``wandb.init`` was called with, and what it returned; the second run has epoch 0 already."""
    import wandb

    made: list[tuple[dict[str, Any], FakeRun]] = []

    def init(**options: Any) -> FakeRun:
        made.append((options, FakeRun(starting_step=len(made))))
        return made[-1][1]

    monkeypatch.setattr(wandb, "init", init)
    return made  # type: ignore[return-value]  # FakeRun stands in


def test_weights_and_biases_gets_every_epoch_once(
    wandb_runs: list[tuple[dict[str, Any], FakeRun]], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*arguments(tmp_path), "--logger", "wandb"]
    with monkeypatch.context() as patch:
        patch.setattr(_train_run, "describe_network", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(command) == 130
    assert main(command) == 0
    (asked, first), (again, second) = wandb_runs
    assert asked["id"] == again["id"]
    assert asked["name"] == only_run(tmp_path).name == only_run(straight).name  # who else is told makes no other run
    assert (asked["tags"], asked["group"]) == (["train"], "digits-vgg_small-train")
    assert [step for step, _ in first.rows] == [0, 1, 2, 3]
    assert [step for step, _ in second.rows] == [1, 2, 3]
    assert set(first.rows[0][1]) == set(COLUMNS)
    assert (first.code, second.code) == (1, 0)
    assert second.summary["result/parameters"] == outcome(straight)["result"]["result"]["parameters"]


def test_help_names_groups_and_settings() -> None:
    lines = help_text().splitlines()
    assert any(re.fullmatch(r"  trainer\.compile=False +Whether \S.*", line) for line in lines)
    assert any(line.startswith("  vgg16 ") for line in lines)
    assert not any("budget" in line or "strategy" in line for line in lines)
    sections = {each.name for each in settings_in(TrainConfig)}
    assert all(any(section in line for line in lines) for section in sections)


def test_help_of_the_command_imports_neither_torch_nor_hydra(tmp_path: Path) -> None:
    script = (
        "import sys; from lightning_snn.train import main; code = main(['--help']); "
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'pytorch_lightning', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.startswith("Train a spiking network")
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lightning_snn.train", "--network", "vgg61"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: No network is called 'vgg61'. Did you mean 'vgg16'?\n"
