import subprocess
import sys
from typing import Any

import pytest

from datamodules import DATAMODULES
from datamodules import DataError
from datamodules import build_datamodule
from datamodules import datamodule_class
from datamodules.base import BaseDataModule
from datamodules.events import EventDataModule


@pytest.mark.parametrize("name", DATAMODULES)
def test_every_registered_name_is_built_and_knows_its_name(name: str) -> None:
    steps = {"time_steps": 3} if issubclass(datamodule_class(name), EventDataModule) else {}
    module = build_datamodule(name, seed=0, **steps)
    assert isinstance(module, BaseDataModule)
    assert module.name == name


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(DataError, match=r"^No data set is called 'cifar-10'\. Did you mean 'cifar10'\?$"):
        build_datamodule("cifar-10", seed=0)


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(DataError, match=r"Known names: cifar10, .*, digits, "):
        build_datamodule("xyz", seed=0)


def test_importing_the_package_imports_no_torch() -> None:
    check = "import sys, datamodules; sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", -1),
        ("batch_size", 0),
        ("eval_batch_size", 0),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("validation_fraction", float("nan")),
        ("train_samples", 0),
        ("validation_samples", -3),
        ("test_samples", 0),
    ],
)
def test_an_option_out_of_range_is_refused_by_name_at_once(option: str, value: Any) -> None:
    with pytest.raises(DataError, match=rf"^{option} must .*found {value}\. Use [^\n]*$"):
        build_datamodule("digits", **{"seed": 0, option: value})


def test_the_seed_has_no_default() -> None:
    with pytest.raises(TypeError, match="seed"):
        build_datamodule("digits")


@pytest.mark.parametrize("fraction", [0.0001, 0.9999])
def test_a_fraction_that_leaves_one_side_empty_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match=r"must leave samples on both sides: found .* of 1438 samples"):
        build_datamodule("digits", seed=0, validation_fraction=fraction).setup("fit")


@pytest.mark.parametrize(("count", "size"), [(0, 8), (8, 0)])
def test_calibration_needs_positive_numbers(count: int, size: int) -> None:
    with pytest.raises(DataError, match="must be 1 or greater, found 0"):
        build_datamodule("digits", seed=0).calibration_batches(count, size)
