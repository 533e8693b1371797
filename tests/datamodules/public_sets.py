"""Small copies of the public sets, in the layouts that tonic leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules import DataError
from datamodules.event_sets import PublicEventsDataModule
from tests.datamodules import event_files as files
from tests.datamodules.event_files import write

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Everything = tuple[NDArray[np.uint8], NDArray[np.int64]]
Build = Callable[..., PublicEventsDataModule]


def write_n_mnist(folder: Path) -> None:
    """Write 120 training and 40 test recordings; number n is of digit n % 10."""
    for number in range(160):
        half = "Train" if number < 120 else "Test"
        events = files.toy_events(number, (34, 34))
        write(folder / half / str(number % 10) / f"{number:05}.bin", files.n_mnist(events))


def write_gestures(folder: Path) -> None:
    """Write 132 training and 33 test recordings; number n is of class n % 11."""
    for number in range(165):
        user = number // 11 + 1
        half = "ibmGestureTrain" if user <= 12 else "ibmGestureTest"
        path = folder / half / f"user{user:02}_fluorescent_led" / f"{number % 11}.npy"
        events = files.toy_events(number, (16, 16), pixels=8, tick_us=1000)
        files.write_array(path, files.gesture(events, np.int64 if number % 2 else np.float64))


def write_cifar(folder: Path) -> None:
    """Write 200 recordings, in AEDAT 4.0 as tonic downloads them; number n is of class n % 10."""
    for number in range(200):
        events = files.toy_events(number, (16, 16), pixels=8)
        path = folder / CLASSES[number % 10] / f"cifar10_{CLASSES[number % 10]}_{number // 10}.aedat4"
        write(path, files.aedat4([events], (128, 128), compression=1))
    write(folder / "CIFAR10DVS.zip", b"what tonic leaves beside the folders")


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_of(module: PublicEventsDataModule, *, test: bool) -> list[str]:
    return [source.name for source in module.sources(test=test)]


def built(module: type[PublicEventsDataModule], root: Path, cache: Path, /, **options: Any) -> PublicEventsDataModule:
    fixed = {"seed": 0, "time_steps": 4, "batch_size": 16, "root": str(root), "cache": str(cache)}
    return module(**{**fixed, **options})
