"""Every data set with a network that suits it: trained, pruned, searched and verified by the command itself.

Real files where there are some, else small files in the very format of the originals. Everything is tiny: these
tests say that the parts fit, not that anything is learned.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conf.groups import choices
from datamodules import cifar
from datamodules.cifar import CIFAR10DataModule
from datamodules.cifar import CIFAR100DataModule
from lightning_snn.artifact import load_artifact
from search.cli import main
from tests.datamodules import event_files
from tests.datamodules.test_cifar import write_files as write_cifar

TINY = {
    "strategy": "random",
    "strategy.evaluations": 2,
    "budget.projection": False,  # the bound of three samples is wide: projection might bend both onto the same network
    "network.time_steps": 2,
    "data.batch_size": 16,
    "data.validation_fraction": 0.25,
    "training.epochs": 4,
    "training.warmup_epochs": 0,
    "finetuning.epochs": 1,
    "finetuning.warmup_epochs": 0,
    "space.low": 0.2,
    "space.recalibration_batches": 1,
    "space.recalibration_batch_size": 16,
    "estimator.min_samples": 3,
    "estimator.max_samples": 3,
    "budget.target": 0.6,
}
EIGHT_BY_EIGHT = "[8,M,12,M,16,M]"
A_CLASS = 4
"""Recordings of each class that are written."""


def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, network: str, **settings: object) -> None:
    """Run the whole search twice over and check what it leaves."""
    monkeypatch.chdir(tmp_path)
    given = {"data": data, "network": network, **TINY, **settings}
    arguments = [f"--{key}={value}" for key, value in given.items()]
    assert main(arguments) in (0, 3)  # so little training may well miss the budget
    (run,) = [folder for folder in (tmp_path / "runs").iterdir() if folder.name != "_shared"]
    result = json.loads((run / "result.json").read_text())
    assert result["data"] == data
    assert result["evaluations"] == 2
    assert result["split_policy"]
    assert 0 < result["result"]["synops"] < result["baseline"]["synops"]
    assert result["result"]["parameters"] < result["baseline"]["parameters"]
    parameters = sum(parameter.numel() for parameter in load_artifact(run / "best").parameters())
    assert parameters == result["result"]["parameters"]
    assert main(arguments) == (0 if result["budget"]["met"] else 3)  # answered from the record


def recording(label: int, sensor_HW: tuple[int, int], seed: int) -> NDArray[np.void]:
    """Return 600 events in a band of rows that its class decides, in whole milliseconds."""
    events = event_files.random_events(600, sensor_HW, seed=seed)
    events["y"] = (events["y"] // 8 + label * sensor_HW[0] // 12) % sensor_HW[0]
    events["t"] = events["t"] // 1000 * 1000
    return events


def test_every_data_set_is_here() -> None:
    tested = {name.removeprefix("test_").removesuffix("_real") for name in globals() if name.startswith("test_")}
    assert set(choices("data")) <= tested


def test_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(tmp_path, monkeypatch, "digits", "resnet_small", **{"data.train_samples": 100})


def test_digits_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {"network.options.plan": EIGHT_BY_EIGHT}
    search(tmp_path, monkeypatch, "digits_events", "vgg_small", **plan, **{"data.train_samples": 100})


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_cifar(tmp_path / "data" / CIFAR10DataModule.source.base_folder)
    monkeypatch.setattr(cifar, "CIFAR10DataModule", written)
    search(tmp_path, monkeypatch, "cifar10", "vgg_small", **{"network.options.plan": EIGHT_BY_EIGHT})


def test_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training part is not among the real files."""
    written = write_cifar(tmp_path / "data" / CIFAR100DataModule.source.base_folder, CIFAR100DataModule)
    monkeypatch.setattr(cifar, "CIFAR100DataModule", written)
    few = {"data.train_samples": 200, "data.validation_samples": 100, "data.test_samples": 100}
    search(tmp_path, monkeypatch, "cifar100", "vgg_small", **{"network.options.plan": EIGHT_BY_EIGHT}, **few)


@pytest.mark.data
def test_cifar10_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_root: Path) -> None:
    few = {"data.train_samples": 64, "data.validation_samples": 32, "data.test_samples": 32}
    search(tmp_path, monkeypatch, "cifar10", "resnet_small", **{"data.root": data_root}, **few)


@pytest.mark.data
def test_nmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_root: Path) -> None:
    root = {"data.root": data_root / "nmnist-small", "data.options.cache": tmp_path / "frames"}
    search(tmp_path, monkeypatch, "nmnist", "dvs_compact", **root, **{"data.train_samples": 100})


def test_dvs128_gesture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for half, users in (("ibmGestureTrain", range(A_CLASS)), ("ibmGestureTest", range(A_CLASS, A_CLASS + 1))):
        for user in users:
            for label in range(11):
                file = tmp_path / f"data/DVSGesture/{half}/user{user:02d}_led/{label}.npy"
                events = recording(label, (128, 128), seed=100 * user + label)
                event_files.write_array(file, event_files.gesture(events))
    search(tmp_path, monkeypatch, "dvs128_gesture", "dvs_compact", **{"data.options.size": 16})


@pytest.mark.parametrize("suffix", [".aedat", ".aedat4"])
def test_cifar10_dvs(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    for label, name in enumerate(names):
        for number in range(10):
            events = recording(label, (128, 128), seed=100 * label + number)
            content = event_files.aedat2(events) if suffix == ".aedat" else event_files.aedat4([events], (128, 128))
            event_files.write(tmp_path / f"data/CIFAR10DVS/{name}/cifar10_{name}_{number}{suffix}", content)
    search(tmp_path, monkeypatch, "cifar10_dvs", "conv5_fc1", **{"data.options.size": 32, "data.batch_size": 32})
    assert (tmp_path / "data/CIFAR10DVS/split-9to1-seed0.json").is_file()


def test_event_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers: tuple[Callable[[Path, NDArray[np.void]], object], ...] = (
        lambda stem, events: event_files.write(stem.with_suffix(".aedat"), event_files.aedat2(events)),
        lambda stem, events: event_files.write(stem.with_suffix(".aedat4"), event_files.aedat4([events], (128, 128))),
        lambda stem, events: event_files.write(stem.with_suffix(".dat"), event_files.prophesee(events, (128, 128))),
        lambda stem, events: event_files.write_array(stem.with_suffix(".npy"), events),
    )
    for label, name in enumerate(("left", "right", "still")):
        for number in range(10):
            events = recording(label, (128, 128), seed=100 * label + number)
            writers[number % 4](tmp_path / f"mine/{name}/{number}", events)
    (tmp_path / "mine/left/broken.aedat").write_bytes(b"#!AER-DAT2.0\r\n\x00\x01")
    settings = {"data.root": tmp_path / "mine", "data.options.size": 16, "data.options.sensor": "[128,128]"}
    search(tmp_path, monkeypatch, "event_folder", "dvs_compact", **settings, **{"data.on_bad_file": "skip"})
    (run,) = [folder for folder in (tmp_path / "runs").iterdir() if folder.name != "_shared"]
    assert json.loads((run / "result.json").read_text())["skipped_recordings"] == ["left/broken.aedat"]
