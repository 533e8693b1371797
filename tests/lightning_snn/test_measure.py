"""``python -m lightning_snn.measure``: the run's figures again, some of them by hand, and refusals in a sentence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from conf.identity import identity
from conf.schema import MeasureConfig
from conf.schema import SearchConfig
from lightning_snn import _measure_run
from lightning_snn import measure
from lightning_snn import train
from lightning_snn._measure_run import tables
from lightning_snn.artifact import load_artifact
from lightning_snn.artifact import save_artifact
from lightning_snn.networks import build_network
from lightning_snn.surgery import shrink
from tests.lightning_snn.own_network import WithDropout

TINY = [
    "data.train_samples=100",
    "data.validation_samples=60",
    "data.test_samples=80",
    "network.time_steps=2",
    "network.options.plan=[8,M,12,M]",
    "training.epochs=2",
    "trainer.accelerator=cpu",
    "seed=5",
]
EXAMPLE = torch.zeros(2, 1, 1, 8, 8)
DIGITS = ("--data", "digits", "--seed", "0")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training."""
    runs = tmp_path_factory.mktemp("runs")
    assert train.main([*TINY, f"runs={runs}"]) == 0
    (folder,) = runs.iterdir()
    return folder


def measured(folder: Path, tmp_path: Path, *more: str) -> dict[str, Any]:
    file = tmp_path / "figures.json"
    assert measure.main([str(folder), "--json", str(file), "trainer.accelerator=cpu", *more]) == 0
    found = json.loads(file.read_text())
    assert isinstance(found, dict)
    return found


def small(classes: int = 10) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return build_network("vgg_small", num_classes=classes, in_channels=1, image_size=8, plan=(8, "M", 12, "M"))


def test_a_run_is_measured_as_it_was_reported(run: Path, tmp_path: Path) -> None:
    reported = json.loads((run / "result.json").read_text())
    found = measured(run, tmp_path)
    assert found["accuracy"] == reported["result"]["test_accuracy"]
    for key in ("synops", "macs", "dense_macs", "parameters"):
        assert found[key] == reported["result"][key], key
    for key in ("data", "split_policy", "network", "time_steps", "seed", "synops_switches", "firing_rates"):
        assert found[key] == reported[key], key
    assert (found["split"], found["samples"]) == ("test", {"train": 100, "validation": 60, "test": 80})


def test_the_validation_split_is_measured_where_asked_for(run: Path, tmp_path: Path) -> None:
    reported = json.loads((run / "result.json").read_text())
    found = measured(run, tmp_path, "--split", "validation")
    assert found["accuracy"] == reported["result"]["validation_accuracy"]
    assert (found["split"], found["samples"]) == ("validation", {"train": 100, "validation": 60})


def test_what_is_said_comes_before_the_settings_of_the_run(run: Path, tmp_path: Path) -> None:
    found = measured(run, tmp_path, "--data.test_samples", "30", "--network.time_steps", "1", "synops.first_layer=add")
    assert (found["samples"]["test"], found["time_steps"]) == (30, 1)
    assert found["synops"] == found["accumulates"] + found["macs"]


def test_sums_are_those_of_the_layers_and_energy_follows_them(run: Path, tmp_path: Path) -> None:
    found = measured(run, tmp_path)
    layers = found["layers"]
    assert list(layers) == ["features.0", "features.4", "classifier"]
    for key in ("accumulates", "macs", "dense_macs"):
        assert found[key] == pytest.approx(sum(layer[key] for layer in layers.values()))
    # T * (positions of the 3x3 kernel inside the image, (3n - 2)^2 of n x n pixels) * channels in and out
    assert layers["features.0"]["dense_macs"] == 2 * 22**2 * 1 * 8
    assert layers["features.4"]["dense_macs"] == 2 * 10**2 * 8 * 12
    assert layers["classifier"]["dense_macs"] == 2 * (12 * 2 * 2) * 10
    assert layers["features.4"]["macs"] == layers["features.0"]["accumulates"] == 0.0
    assert found["energy_nanojoules"]["fp32"] == pytest.approx((4.6 * found["macs"] + 0.9 * found["synops"]) / 1000)
    # neurons hand their spikes on through max pools, which make them no rarer
    assert layers["features.4"]["input_rate"] >= found["firing_rates"]["features.2"] > 0.0


def test_connectivity_is_the_live_share_of_the_dense_network(tmp_path: Path) -> None:
    network = shrink(small(), {"features.0": range(4)}, EXAMPLE)
    convolution = network.get_submodule("features.4")
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.weight[:3] = 0.0
    save_artifact(tmp_path / "net", network, EXAMPLE)
    found = measured(tmp_path / "net", tmp_path, *DIGITS, "--data.test_samples", "20")
    # 4 of 8 filters of 9 weights; 12 x 4 kernels, of which 3 x 4 are zero; 48 x 10
    assert found["connectivity"] == pytest.approx((4 * 9 + (12 - 3) * 4 * 9 + 480) / (8 * 9 + 12 * 8 * 9 + 480))
    assert found["layers"]["features.4"]["live_weights"] == 0.75
    assert found["layers"]["features.0"]["live_weights"] == 1.0
    assert found["time_steps"] == 2  # of the example that it was saved with


def test_an_artifact_in_a_run_is_measured_with_its_settings(run: Path, tmp_path: Path) -> None:
    assert measured(run / "network", tmp_path)["firing_rates"] == measured(run, tmp_path)["firing_rates"]


def test_a_search_brings_its_settings_too(run: Path, tmp_path: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    folder = tmp_path / "search"
    shutil.copytree(run / "network", folder / "best")
    others = {key: value for key, value in identity(SearchConfig()).items() if key not in settings}
    (folder / "settings.json").write_text(json.dumps(settings | others))
    assert measured(folder, tmp_path)["accuracy"] == measured(run, tmp_path)["accuracy"]


def test_tables_can_be_pasted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main([str(run), "trainer.accelerator=cpu"]) == 0
    printed = capsys.readouterr().out
    whole, layers, neurons, meaning, notes = printed[printed.index("|") :].strip().split("\n\n")
    assert whole.startswith("| digits (test), vgg_small, T=2, seed 5")
    assert meaning == (
        "SynOps: accumulates, and MACs of analog layers behind the first; first layer apart. Connectivity: live "
        "(non-zero) weights as a share of the dense network's, live weights: of the layer's own."
    )
    assert "| accuracy on 80 samples " in whole
    assert notes.startswith("Split of the data: a fifth of scikit-learn's set, by class, chosen by the seed (ours).")
    for table in (whole, layers, neurons):
        lines = table.splitlines()
        assert len({len(line) for line in lines}) == 1  # aligned
        assert len({line.count("|") for line in lines}) == 1
        assert len(lines[0]) <= 80
    assert [line.split("|")[1].strip() for line in layers.splitlines()[2:]] == [
        "features.0",
        "features.4",
        "classifier",
    ]
    assert [line.split("|")[3].strip() for line in layers.splitlines()[2:]] == ["MAC", "AC", "AC"]


def test_unequal_classes_bring_balanced_accuracy_and_a_sentence(run: Path, tmp_path: Path) -> None:
    equal = measured(run, tmp_path)
    assert "largest_class" not in equal
    unequal = {"accuracy": 12 / 13, "balanced_accuracy": 0.5, "largest_class": 12 / 13, "beats_largest_class": False}
    whole, *_, notes = tables(equal | unequal)
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in whole.splitlines()]
    assert ["balanced test accuracy", "50.00%"] in rows
    assert ["largest class (test)", "92.31%"] in rows
    assert notes.endswith("class (92.31% of the samples), within two standard errors: the network.")
    assert "largest class" not in "".join(tables(equal))


def test_a_network_of_ones_own_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_artifact(tmp_path / "net", WithDropout(10, 1, width=6), EXAMPLE)
    assert measure.main([str(tmp_path / "net"), *DIGITS]) == 2
    assert "--network._target_ my_package.MyNet" in capsys.readouterr().err
    target = "--network._target_=tests.lightning_snn.own_network.WithDropout"
    found = measured(tmp_path / "net", tmp_path, *DIGITS, target, "network.options.width=6")
    assert found["parameters"] == (6 * 9 + 6) + 2 * 6 + (96 * 10 + 10)


def test_folders_that_hold_no_finished_network_are_one_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(run / "settings.json", unfinished)
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "network" / "model.safetensors").write_bytes(b"")
    odd = tmp_path / "odd"
    shutil.copytree(run, odd)
    (odd / "settings.json").write_text("[]")
    shutil.copytree(run / "network", tmp_path / "bare")
    for folder, found in (
        (tmp_path, "No network is saved in"),
        (tmp_path / "nowhere", "there is no such folder"),
        (run / "metrics.csv", "it is no folder"),
        (unfinished, "not finished"),
        (broken, "cannot be loaded"),
        (odd, "holds no settings"),
        (tmp_path / "bare", "Say both, with --data NAME and --seed N."),
    ):
        assert measure.main([str(folder)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert found in error


def test_the_data_are_found_where_the_run_found_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, roots = tmp_path / "run", []
    shutil.copytree(run / "network", folder / "network")
    settings = json.loads((run / "settings.json").read_text())
    settings["data"]["root"] = "/recorded"
    (folder / "settings.json").write_text(json.dumps(settings))

    def note(folder: Path, config: MeasureConfig) -> None:
        roots.append(config.data.root)

    monkeypatch.setattr(_measure_run, "measure_network", note)
    for more in ([], ["--data.root", "/said"]):
        assert measure.main([str(folder), *more]) == 0
        assert measure.main([str(folder / "network"), *more]) == 0
    assert roots == ["/recorded", "/recorded", "/said", "/said"]


def test_a_training_records_where_its_data_are(tmp_path: Path) -> None:
    assert train.main([*TINY, f"runs={tmp_path}", "data.root=/of/no/use/to/digits"]) == 0
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "settings.json").read_text())["data"]["root"] == "/of/no/use/to/digits"


@pytest.mark.parametrize("said", [[], ["--data", "digits"], ["--seed", "3"], ["--experiment", "cifar10_cpu"]])
def test_a_network_without_its_run_needs_data_and_seed(
    said: list[str], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run / "network", tmp_path / "bare")
    assert measure.main([str(tmp_path / "bare"), *said]) == 2
    assert "Say both, with --data NAME and --seed N." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("first_layer", "analog_hidden", "said"),
    [
        ("add", "add", "SynOps: accumulates, and MACs of analog layers behind the first; first layer included."),
        ("apart", "apart", "SynOps: accumulates; MACs of analog layers behind the first apart; first layer apart."),
        ("drop", "add", "first layer left out of every sum."),
    ],
)
def test_the_legend_follows_the_switches(first_layer: str, analog_hidden: str, said: str) -> None:
    assert said in _measure_run.legend({"first_layer": first_layer, "analog_hidden": analog_hidden})


def test_a_network_for_other_classes_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_artifact(tmp_path / "net", small(classes=7), EXAMPLE)
    assert measure.main([str(tmp_path / "net"), *DIGITS]) == 2
    error = capsys.readouterr().err
    assert "7 logits, but the data have 10 classes" in error
    assert error.count("\n") == 1


def test_a_network_of_another_image_size_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = build_network("vgg_small", num_classes=10, in_channels=1, image_size=16, plan=(8, "M", 12, "M"))
    save_artifact(tmp_path / "net", network, torch.zeros(2, 1, 1, 16, 16))
    assert measure.main([str(tmp_path / "net"), *DIGITS]) == 2
    error = capsys.readouterr().err
    assert "does not take the data, (2, 3, 1, 8, 8)" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("--split train", "split must be one of validation, test, found 'train'"),
        ("--spilt test", "Did you mean 'split'?"),
        ("--data cifar01", "Did you mean 'cifar10'?"),
        ("--json /proc/figures.json", "cannot be written"),
    ],
)
def test_wrong_settings_are_one_sentence(
    setting: str, found: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure.main([str(run), *setting.split()]) == 2
    error = capsys.readouterr().err
    assert found in error
    assert error.count("\n") == 1


def test_the_folder_is_left_as_it_was(run: Path, tmp_path: Path) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in run.rglob("*"))
    measured(run, tmp_path)
    assert before == sorted((file, file.stat().st_mtime_ns) for file in run.rglob("*"))
    assert load_artifact(run / "network").training is False


def test_help_of_the_command_imports_neither_torch_nor_hydra() -> None:
    script = (
        "import sys; from lightning_snn.measure import main; code = main(['--help']); "
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'pytorch_lightning', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "FOLDER" in found.stdout
    assert "split=test" in found.stdout


def test_data_that_are_not_those_of_the_run_are_measured_with_a_word(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    measured(tmp_path / "run", tmp_path)
    file = tmp_path / "run" / "settings.json"
    settings = json.loads(file.read_text())
    recorded = settings.pop("content")
    for content, said in (
        (recorded | {"data": "0"}, "warning: The data are not those that"),
        (recorded | {"network": "0"}, "warning: The network's code, or a library, is not what it was when"),
        (None, "was made by a version that did not record what data and networks are"),
    ):
        file.write_text(json.dumps(settings if content is None else settings | {"content": content}))
        assert capsys.readouterr().err == ""
        measured(tmp_path / "run", tmp_path)
        assert said in capsys.readouterr().err
        measured(tmp_path / "run" / "network", tmp_path, "--seed", "6")  # nobody says that these are the run's data


def test_a_finished_run_without_its_network_says_how_it_is_made_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / run.name)
    shutil.rmtree(tmp_path / run.name / "network")
    command = [*TINY, f"runs={tmp_path}"]
    assert measure.main([str(tmp_path / run.name)]) == 2
    said = capsys.readouterr().err
    assert f"{run.name}/network, the network of this finished run, is no longer there: delete" in said
    assert train.main(command) == 0
    assert "is no longer there: delete" in capsys.readouterr().out
    (tmp_path / run.name / "result.json").unlink()
    assert train.main(command) == 0
    reported = json.loads((run / "result.json").read_text())["result"]["test_accuracy"]
    assert measured(tmp_path / run.name, tmp_path)["accuracy"] == reported
