"""What is reported of a network, from known measurements."""

import dataclasses
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from conf.schema import NetworkConfig
from conf.schema import TrainConfig
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_network
from lightning_snn.describe import describe_settings
from lightning_snn.describe import percent
from lightning_snn.describe import share_of
from lightning_snn.describe import versions
from lightning_snn.inference import Evaluation
from lightning_snn.networks import build_network
from lightning_snn.synops import SynOpsReport
from lightning_snn.task import Task


def task(config: TrainConfig | None = None) -> Task:
    data = SimpleNamespace(split_policy="half and half", skipped=["a.bin"], sizes={"train": 1000, "validation": 9})
    fake = SimpleNamespace(config=config or TrainConfig(seed=3), example=torch.zeros(2, 1, 1, 8, 8), data=data)
    return cast(Task, fake)


def evaluation(synops: float, accuracy: float) -> Evaluation:
    report = SynOpsReport(
        total=synops,
        accumulates=synops,
        macs=30.0,
        dense=5000.0,
        samples=10,
        standard_error=1.0,
        layers={},
        budgeted=(),
    )
    return Evaluation(accuracy, 10, report)


def test_a_network_is_described_by_size_and_time() -> None:
    network = build_network("vgg_small", num_classes=3, in_channels=1, image_size=8, plan=(4, "M", 2, "M"))
    found = describe_network(task(), network, evaluation(1.0, 0.5), evaluation(2.0, 0.6))
    # two convolutions with bias, their batch norms, 2 * 2 * 2 inputs to 3 classes
    parameters = (4 * 9 + 4) + (2 * 4 * 9 + 2) + 2 * (4 + 2) + (8 * 3 + 3)
    assert found["parameters"] == parameters
    assert found["size_bytes"] == 4 * (parameters + 2 * (4 + 2)) + 2 * 8  # running statistics; a counter each
    assert (found["validation_accuracy"], found["test_accuracy"], found["synops"]) == (0.5, 0.6, 2.0)
    assert (found["macs"], found["dense_macs"]) == (30.0, 5000.0)
    assert 0.0 < found["batch_seconds"] < 5.0


def test_unequal_classes_are_described_for_the_split_that_has_them() -> None:
    network = build_network("vgg_small", num_classes=3, in_channels=1, image_size=8, plan=(4, "M", 2, "M"))
    equal = dataclasses.replace(evaluation(1.0, 0.5), samples_K=(4, 3, 3), right_K=(4, 0, 1))
    unequal = dataclasses.replace(evaluation(2.0, 0.6), samples_K=(12, 0, 1), right_K=(12, 0, 0))
    found = describe_network(task(), network, equal, unequal)
    assert [key for key in found if key.startswith("validation_")] == ["validation_accuracy"]
    assert found["test_balanced_accuracy"] == 0.5
    assert found["test_largest_class"] == 12 / 13
    assert found["test_beats_largest_class"] is False


@pytest.mark.parametrize(("part", "whole", "said"), [(1.0, 4.0, "25.0 %"), (3.0, 0.9, "-"), (1.0, 0.0, "-")])
def test_a_share_of_less_than_one_operation_is_none(part: float, whole: float, said: str) -> None:
    assert percent(share_of(part, whole)) == said


def test_settings_say_data_split_and_network() -> None:
    config = TrainConfig(seed=7, network=NetworkConfig(_target_="my_package.MyNet", time_steps=6))
    assert describe_settings(task(config)) == {
        "data": "digits",
        "split_policy": "half and half",
        "samples": {"train": 1000, "validation": 9},
        "skipped_recordings": ["a.bin"],
        "network": "my_package.MyNet",
        "time_steps": 6,
        "seed": 7,
        "synops_switches": {"first_layer": "apart", "analog_hidden": "add"},
    }


def test_notes_name_the_split_and_what_could_not_be_read() -> None:
    settings = describe_settings(task(), evaluation(1.0, 0.5))
    said = "Split of the data: half and half. Samples: 1,000 train, 9 validation, 10 test."
    assert data_notes(settings) == f"{said} Unreadable and left out: 1."
    assert data_notes(settings | {"skipped_recordings": []}) == said


def test_versions_are_those_of_the_packages() -> None:
    found = versions("optuna")
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"lightning-snn", "spikingjelly", "optuna"} <= set(found)
