"""Data and network from a configuration: what does not fit is refused, and the same settings give the same task."""

import dataclasses
from pathlib import Path

import pytest
import torch

from conf.schema import ConfigError
from conf.schema import DataConfig
from conf.schema import NetworkConfig
from conf.schema import TrainConfig
from conf.schema import TrainingConfig
from datamodules.digits_events import DigitsEventsDataModule
from lightning_snn.errors import NetworkError
from lightning_snn.errors import RunError
from lightning_snn.task import Task
from lightning_snn.task import device_for
from lightning_snn.task import identified
from lightning_snn.task import open_data
from tests.datamodules.event_files import toy_events
from tests.datamodules.event_files import write_array


def test_options_reach_the_data_module_with_t() -> None:
    data = open_data(DataConfig(name="digits_events", options={"roll": 1}), seed=3, time_steps=5)
    assert isinstance(data, DigitsEventsDataModule)
    assert (data.seed, data.framing.time_steps) == (3, 5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            DataConfig(name="digits_events", options={"dropp": 1}),
            "no option 'dropp' in data.options. Did you mean 'drop'",
        ),
        (DataConfig(name="digits", options={"size": 8}), "Data set 'digits' has no option 'size'"),
        (DataConfig(name="digits_events", options={"seed": 8}), "no option 'seed' in data.options"),
        (DataConfig(name="digits", on_bad_file="skip"), "on_bad_file is for recordings of events, found 'skip'"),
    ],
)
def test_options_that_the_data_do_not_know_are_refused(data: DataConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_data(data, seed=0, time_steps=2)


def test_the_same_settings_give_the_same_weights_and_example() -> None:
    first, second, other = (Task(TrainConfig(seed=seed)) for seed in (4, 4, 5))
    torch.rand(3)  # not a matter of the global generator
    assert torch.equal(first.example, second.example)
    assert not torch.equal(first.example, other.example)
    weights = [next(task.new_network().parameters()) for task in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_network_for_other_images_is_refused_before_anything_else() -> None:
    with pytest.raises(NetworkError, match=r"does not take the data, \(4, 2, 1, 8, 8\)"):
        Task(TrainConfig(network=NetworkConfig(options={"image_size": 16})))


def test_frames_cannot_be_shown_once() -> None:
    recipe = TrainingConfig(single_step_epochs=1)
    Task(TrainConfig(training=recipe))
    with pytest.raises(ConfigError, match="found it above 0 for 'digits_events'"):
        Task(TrainConfig(data=DataConfig(name="digits_events"), training=recipe))


def test_content_follows_data_and_network_and_not_places_or_strategies(tmp_path: Path) -> None:
    for root in ("own", "copy", "other"):
        for number in range(10):
            events = toy_events(number + (root == "other" and number == 9), (8, 8))
            write_array(tmp_path / root / "ab"[number % 2] / f"{number}.npz", events, height=8, width=8)
    plain = TrainConfig(data=DataConfig(name="event_folder", root=str(tmp_path / "own")))
    options = NetworkConfig(options={"threshold": 0.5})
    found = [
        Task(config).config.content  # type: ignore[attr-defined]
        for config in (
            plain,
            dataclasses.replace(plain, data=dataclasses.replace(plain.data, root=str(tmp_path / "copy"))),
            dataclasses.replace(plain, data=dataclasses.replace(plain.data, root=str(tmp_path / "other"))),
            dataclasses.replace(plain, network=options),
            dataclasses.replace(plain, seed=1),
        )
    ]
    assert found[0] == found[1]
    assert found[0].network == found[2].network != found[3].network
    assert found[0].data == found[3].data != found[2].data
    assert found[4].data != found[0].data, "another split"
    assert found[4].network != found[0].network, "other initial weights"


def test_what_changes_while_work_goes_on_is_refused(tmp_path: Path) -> None:
    for number in range(10):
        write_array(tmp_path / "ab"[number % 2] / f"{number}.npz", toy_events(number, (8, 8)), height=8, width=8)
    config = identified(TrainConfig(data=DataConfig(name="event_folder", root=str(tmp_path))))
    assert config.content.is_known
    Task(config)
    write_array(tmp_path / "a" / "0.npz", toy_events(11, (8, 8)), height=8, width=8)
    with pytest.raises(RunError, match="Data or network have changed since this work was begun"):
        Task(config)
    assert identified(config).content != config.content, "the same command finds what is there now"


@pytest.mark.parametrize(
    ("sensor", "image_size"), [((9, 14), [9, 14]), ((14, 9), [14, 9]), ((9, 9), 9)], ids=["wide", "high", "square"]
)
def test_networks_are_built_for_the_rows_and_columns_of_the_sensor(
    sensor: tuple[int, int], image_size: object, tmp_path: Path
) -> None:
    for number in range(10):
        file = tmp_path / "ab"[number % 2] / f"{number}.npz"
        write_array(file, toy_events(number, sensor), height=sensor[0], width=sensor[1])
    task = Task(TrainConfig(data=DataConfig(name="event_folder", root=str(tmp_path))))
    assert task.new_network().architecture["arguments"]["image_size"] == image_size


def test_a_gpu_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for("auto") == device_for("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no CUDA device"):
        device_for("gpu")
