"""``python -m lightning_snn.train --pruning ...`` on tiny digits: killed, shown again, refused in a sentence."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from spikingjelly.activation_based import neuron

from lightning_snn import _prune_run
from lightning_snn import dense
from lightning_snn import measure
from lightning_snn._prune_report import pruned_table
from lightning_snn.artifact import load_artifact
from lightning_snn.classifier import SpikingClassifier
from lightning_snn.history import COLUMNS
from lightning_snn.train import main
from tests.lightning_snn.killed import killed_at
from tests.lightning_snn.own_network import WithDropout
from tests.lightning_snn.test_train import FakeRun
from tests.lightning_snn.test_train import wandb_runs

__all__ = ["wandb_runs"]  # a fixture

EPOCHS = 2
STEPS = 4  # an epoch
SETTINGS = {
    "data.train_samples": 100,
    "data.validation_samples": 60,
    "data.test_samples": 80,
    "data.batch_size": 32,
    "network.time_steps": 2,
    "network.options.plan": "[8,M,12,M]",
    "training.epochs": EPOCHS,
    "training.learning_rate": 0.02,
    "finetuning.epochs": EPOCHS,
    "trainer.accelerator": "cpu",
}
TINY = [f"{key}={value}" for key, value in SETTINGS.items()]
DONE = (0, 3)
"""Exit codes of a finished run: so little training may well miss a target."""
LAMP = ["--pruning", "lamp", "--pruning.target", "0.5", "--pruning.options.rounds", "2"]
SLIMMING = ["--pruning", "slimming", "--pruning.options.keep", "0.5", "--pruning.options.l1", "0.01"]


def arguments(runs: Path, *more: str) -> list[str]:
    return [*TINY, f"runs={runs}", *more]


def only_run(runs: Path) -> Path:
    (folder,) = (folder for folder in runs.iterdir() if folder.name != "_shared")
    return folder


def result_of(runs: Path) -> dict[str, Any]:
    result = json.loads((only_run(runs) / "result.json").read_text())
    assert isinstance(result, dict)
    return result


def rows_of(file: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in csv.DictReader(file.open())]


def bytes_of(file: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in load_file(file).items()}


def outcome(runs: Path) -> dict[str, Any]:
    """All that a pruned run leaves, but how long things took."""
    folder, result = only_run(runs), result_of(runs)
    del result["seconds"], result["result"]["batch_seconds"], result["baseline"]["batch_seconds"]
    return {
        "weights": bytes_of(folder / "network" / "model.safetensors"),
        "masks": bytes_of(folder / "masks.safetensors"),
        "result": result,
        "metrics": {file.name: rows_of(file) for file in folder.glob("metrics-*.csv")},
        "files": sorted(file.name for file in folder.iterdir()),
    }


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder in which weights were pruned in two rounds, without interruption."""
    runs = tmp_path_factory.mktemp("straight")
    assert main(arguments(runs, *LAMP)) in DONE
    return runs


@pytest.fixture(scope="module")
def straight_slimming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for channels, with a pruner that trains."""
    runs = tmp_path_factory.mktemp("slimming")
    assert main(arguments(runs, *SLIMMING)) in DONE
    return runs


def test_a_pruned_run_leaves_network_masks_result_metrics_and_settings(straight: Path) -> None:
    folder = only_run(straight)
    assert sorted(file.name for file in folder.iterdir() if not file.name.startswith(".")) == [
        "masks.safetensors",
        "metrics-fine-tuning-2.csv",
        "metrics-fine-tuning.csv",
        "network",
        "result.json",
        "settings.json",
    ]
    assert folder.name.startswith("digits-vgg_small-lamp-0.5-rounds_2-s0-")
    assert [row["epoch"] for row in rows_of(folder / "metrics-fine-tuning-2.csv")] == ["0", "1"]
    assert not any(file.suffix == ".ckpt" for file in straight.rglob("*"))


def test_the_result_has_all_figures_of_both_networks(straight: Path) -> None:
    result = result_of(straight)
    assert {"schema", "pruner", "options", "baseline", "result", "budget", "layers", "notes", "firing_rates"} < {
        *result
    }
    assert (result["pruner"], result["options"], result["epochs"]) == (
        "lamp",
        {"rounds": 2},
        {"training": 2, "finetuning": 4},  # two rounds of two epochs
    )
    before, after, budget = result["baseline"], result["result"], result["budget"]
    assert after["synops_share"] == pytest.approx(after["synops"] / before["synops"])
    assert after["connectivity_factor"] * after["rate_factor"] == pytest.approx(after["synops_share"])
    assert 0.0 < after["connectivity_factor"] < 1.0
    assert budget["target_fraction"] == 0.5
    assert budget["target_synops"] == pytest.approx(0.5 * before["synops"])
    assert budget["met"] == (after["synops"] <= budget["target_synops"])
    hidden = [layer for name, layer in result["layers"].items() if name != "features.0"]  # the first layer is apart
    assert sum(layer["dense"] for layer in hidden) == pytest.approx(before["synops"])
    assert sum(layer["static"] for layer in hidden) == pytest.approx(after["connectivity_factor"] * before["synops"])
    assert sum(layer["result"] for layer in hidden) == pytest.approx(after["synops"])
    assert all(layer["static"] <= layer["dense"] for layer in result["layers"].values())
    assert set(result["seconds"]) == {"dense", "pruning", "fine-tuning", "fine-tuning-2", "measuring", "total"}
    assert result["seconds"]["total"] == pytest.approx(sum(result["seconds"].values()) / 2)


def test_tables_of_unequal_classes_and_of_too_little_to_divide_by(straight: Path) -> None:
    result = result_of(straight)
    assert "largest class" not in pruned_table(result)
    unequal = {"test_balanced_accuracy": 0.5, "test_largest_class": 12 / 13, "test_beats_largest_class": False}
    silent = dict.fromkeys(("synops_share", "connectivity_factor", "rate_factor"))
    changed = result | {"baseline": result["baseline"] | {"synops": 0.25} | unequal}
    said = pruned_table(changed | {"result": result["result"] | silent | unequal})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines()]
    assert ["balanced test accuracy", "50.00%", "50.00%", ""] in rows
    assert ["- factor: connections", "", "", "-"] in rows
    assert next(row for row in rows if row[0] == "SynOps per sample (test)")[3] == "-"
    assert said.endswith("class (92.31% of the samples), within two standard errors: dense and pruned.")


def test_masks_and_network_agree_with_the_figures(straight: Path) -> None:
    folder, figures = only_run(straight), result_of(straight)["result"]
    weights, masks = load_file(folder / "network" / "model.safetensors"), load_file(folder / "masks.safetensors")
    assert set(masks) == {"features.0", "features.4", "classifier"}
    live = sum(int(mask.sum()) for mask in masks.values())
    entries = sum(mask.numel() for mask in masks.values())
    assert all(not weights[f"{name}.weight"][~mask].any() for name, mask in masks.items())
    assert figures["connectivity"] == pytest.approx(live / entries)
    assert figures["sparsity"] == pytest.approx(1.0 - live / entries)


def test_fewer_channels_are_fewer_parameters(straight_slimming: Path) -> None:
    folder, result = only_run(straight_slimming), result_of(straight_slimming)
    network = load_artifact(folder / "network")
    assert sum(parameter.numel() for parameter in network.parameters()) == result["result"]["parameters"]
    assert result["result"]["parameters"] < result["baseline"]["parameters"]
    assert (result["result"]["sparsity"], result["budget"]) == (0.0, None)
    assert result["result"]["connectivity"] < 0.6
    figures = result["result"]
    assert figures["connectivity_factor"] * figures["rate_factor"] == pytest.approx(figures["synops_share"])
    assert (folder / "metrics-training.csv").exists()


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [
        (SpikingClassifier, "training_step", STEPS + 1),  # second epoch of the dense training
        (dense, "save_artifact", 0),
        (_prune_run, "prune", 0),
        (SpikingClassifier, "training_step", 3 * STEPS + 1),  # of fine-tuning
        (_prune_run, "prune", 1),
        (SpikingClassifier, "training_step", 4 * STEPS + 1),  # first epoch of the second round
        (SpikingClassifier, "training_step", 5 * STEPS + 1),
        (_prune_run, "measure_network", 0),
        (_prune_run, "save_artifact", 0),
        (_prune_run, "write_json", 0),
    ],
)
def test_killed_anywhere_ends_like_a_straight_one(
    owner: Any, name: str, calls: int, straight: Path, tmp_path: Path
) -> None:
    killed_at(owner, name, calls, lambda: main(arguments(tmp_path, *LAMP)))
    assert not [*tmp_path.glob("*/result.json")]
    assert main(arguments(tmp_path, *LAMP)) in DONE
    assert outcome(tmp_path) == outcome(straight)


@pytest.mark.parametrize("calls", [2 * STEPS + 1, 3 * STEPS + 1, 5 * STEPS + 1])
def test_killed_while_training_with_the_pruner_ends_like_a_straight_one(
    calls: int, straight_slimming: Path, tmp_path: Path
) -> None:
    killed_at(SpikingClassifier, "training_step", calls, lambda: main(arguments(tmp_path, *SLIMMING)))
    assert main(arguments(tmp_path, *SLIMMING)) in DONE
    assert outcome(tmp_path) == outcome(straight_slimming)


def test_what_must_be_restored_does_matter(straight: Path, tmp_path: Path) -> None:
    """Else equality would prove nothing: another seed ends elsewhere."""
    assert main(arguments(tmp_path, *LAMP, "seed=1")) in DONE
    assert outcome(tmp_path)["weights"] != outcome(straight)["weights"]


def test_a_finished_run_shows_its_result_again(straight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in straight.rglob("*"))
    capsys.readouterr()
    assert main(arguments(straight, *LAMP)) in DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| digits, vgg_small, T=2, lamp (target 50 %, rounds=2), seed 0 |")
    factor = result_of(straight)["result"]["connectivity_factor"]
    assert next(line for line in lines if line.startswith("| - factor: connections")).endswith(f"x {factor:.1%} |")
    assert "Target of 50 % SynOps" in "\n".join(lines)
    assert before == sorted((file, file.stat().st_mtime_ns) for file in straight.rglob("*"))


def test_the_dense_network_is_trained_once_for_all_pruners(straight: Path, tmp_path: Path) -> None:
    random = ["--pruning", "random", "--pruning.target", "0.5", "name=control", f"runs={straight}"]
    saved = [*straight.glob("_shared/*/network/model.safetensors")]
    times = [file.stat().st_mtime_ns for file in saved]
    assert main([*TINY, *random]) in DONE
    try:
        assert len(times) == 1
        assert [file.stat().st_mtime_ns for file in straight.glob("_shared/*/network/model.safetensors")] == times
        control = json.loads((straight / "control" / "result.json").read_text())
        assert (
            control["baseline"]["test_accuracy"]
            == json.loads(next(file for file in straight.glob("*-lamp-*/result.json")).read_text())["baseline"][
                "test_accuracy"
            ]
        )
    finally:
        (straight / "control").rename(tmp_path / "control")


def test_a_network_that_was_given_is_pruned(straight: Path, tmp_path: Path) -> None:
    (given,) = straight.glob("_shared/*/network")
    assert main(arguments(tmp_path, *LAMP, f"baseline.artifact={given}")) in DONE
    assert outcome(tmp_path)["weights"] == outcome(straight)["weights"]


@pytest.mark.parametrize("fixture", ["straight", "straight_slimming"])
def test_measure_finds_the_same_figures(fixture: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    runs = request.getfixturevalue(fixture)
    file = tmp_path / "figures.json"
    assert measure.main([str(only_run(runs)), "--json", str(file), "trainer.accelerator=cpu"]) == 0
    figures, result = json.loads(file.read_text()), result_of(runs)["result"]
    assert figures["accuracy"] == result["test_accuracy"]
    assert figures["synops"] == result["synops"]
    assert figures["connectivity"] == pytest.approx(result["connectivity"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("--pruning lmap", "Did you mean 'lamp'?"),
        ("--pruning lamp --pruning.options.sparsty 0.5", "Did you mean 'sparsity'?"),
        ("--pruning lamp --pruning.target 1.5", "pruning.target must lie strictly between 0 and 1, found 1.5"),
        ("--pruning lamp --pruning.target 0", "pruning.target must lie strictly between 0 and 1, found 0"),
        (
            "--pruning lamp --pruning.target 0.5 --pruning.options.sparsity 0.9",
            "Either pruning.target or pruning.options.sparsity says how much 'lamp' keeps",
        ),
        ("--pruning lamp --pruning.options.sparsity 1.5", "must lie strictly between 0 and 1, found 1.5"),
        ("--pruning lamp --pruning.options.rounds 0", "rounds must be at least 1, found 0"),
        ("--pruning magnitude --pruning.options.layers erg", "Did you mean 'erk'?"),
        ("--pruning random --pruning.options.of filters", "must be 'weights' or 'channels'"),
        ("--pruning lamp --trainer.devices 2", "Run python -m lightning_snn.train"),
        ("--pruning spike_nm --pruning.options.m 7", "Choose another --pruning.options.m, or --pruning.options.blocks"),
        ("--pruning sr_ste --pruning.options.m 7 --pruning.options.blocks flat", "Choose another --pruning.options.m."),
        ("--pruning lamp --pruning.options.sparsity abc", "Option 'sparsity' of pruner 'lamp' is a number or null"),
        ("--pruning none --pruning.target 0.5", "pruning.target is for a network that is pruned, found no pruner"),
        ("--pruning none --pruning.options.sparsity 0.5", "pruning.options is for a network that is pruned"),
        ("--pruning none --baseline.artifact x", "baseline.artifact is for a network that is pruned"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    setting: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, *setting.split())) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert expected in error
    assert list(tmp_path.iterdir()) == []


def test_processes_that_others_started_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each training of a pruned run starts its own."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun sets it
    assert main(arguments(tmp_path, *LAMP, "--trainer.devices", "2")) == 2
    assert "starts its further processes itself, found some that torchrun or srun started" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_weights_and_biases_gets_every_epoch_of_all_rounds_once(
    wandb_runs: list[tuple[dict[str, Any], FakeRun]],
    straight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = arguments(tmp_path, *LAMP, "--logger", "wandb")

    def interrupted(*_: Any) -> Iterator[None]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_prune_run, "measure_network", interrupted)
        assert main(command) == 130
    assert main(command) in DONE
    (asked, first), (again, second) = wandb_runs
    assert asked["id"] == again["id"]
    assert asked["name"] == only_run(tmp_path).name == only_run(straight).name
    assert [step for step, _ in first.rows] == [0, 1, 2, 3]  # two rounds of two epochs
    assert [step for step, _ in second.rows] == [1, 2, 3]
    assert set(first.rows[0][1]) == set(COLUMNS)
    assert second.summary["result/parameters"] == outcome(straight)["result"]["result"]["parameters"]
    assert outcome(tmp_path)["weights"] == outcome(straight)["weights"]


def test_a_silent_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its first layer of neurons never spikes, and the first layer with weights is apart."""
    command = arguments(tmp_path, *LAMP, "network._target_=tests.lightning_snn.test_prune_run.Silent")
    assert main([each for each in command if "network.options" not in each]) == 2
    assert capsys.readouterr().err.startswith("error: The dense network hardly spikes on training data: it causes")
    assert not [*tmp_path.glob("*/settings.json")]


class Silent(WithDropout):
    """Its neurons have a threshold that nothing reaches."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.body[2] = neuron.LIFNode(v_threshold=1e6, step_mode="m")


def test_another_family_than_the_settings_name_is_refused(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--baseline.artifact", str(only_run(straight) / "network"), "--network", "vgg_compact"]
    assert main(arguments(tmp_path, *given, *LAMP)) == 2
    assert "found 'vgg_small' in" in capsys.readouterr().err


def test_a_pruner_that_trains_needs_a_dense_network_of_the_same_layers(
    straight_slimming: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--baseline.artifact", str(only_run(straight_slimming) / "network")]
    assert main(arguments(tmp_path, *given, *SLIMMING)) == 2
    assert "Give the network before it was pruned" in capsys.readouterr().err


def test_a_sparse_dense_network_is_reported_as_sparse(straight: Path, tmp_path: Path) -> None:
    given = ["--baseline.artifact", str(only_run(straight) / "network")]
    sparse = result_of(straight)["result"]["sparsity"]
    options = ["--pruning", "lamp", "--pruning.options.sparsity", "0.9"]
    assert main(arguments(tmp_path, *given, *options)) in DONE
    result = result_of(tmp_path)
    assert result["baseline"]["sparsity"] == pytest.approx(sparse)
    assert result["baseline"]["connectivity"] == pytest.approx(1.0 - sparse)
    assert result["result"]["connectivity"] == pytest.approx(0.1, abs=1e-3)


def test_a_missed_target_is_exit_code_3_and_said(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(straight, tmp_path / "runs")
    file = only_run(tmp_path / "runs") / "result.json"
    result = json.loads(file.read_text())
    result["budget"]["met"] = False
    file.write_text(json.dumps(result))
    assert main(arguments(tmp_path / "runs", *LAMP)) == 3
    said = capsys.readouterr().out
    assert "NOT met" in said
    assert "Ask for less with --pruning.target" in said
