"""Data and network from a configuration: what does not fit is refused, and the same settings give the same task."""

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


def test_a_folder_made_from_other_recordings_is_refused(tmp_path: Path) -> None:
    for number in range(10):
        write_array(
            tmp_path / "own" / "ab"[number % 2] / f"{number}.npz", toy_events(number, (8, 8)), height=8, width=8
        )
    config = TrainConfig(data=DataConfig(name="event_folder", root=str(tmp_path / "own")))
    folder = tmp_path / "run"
    Task(config).recognise_data(folder)
    Task(config).recognise_data(folder)
    (tmp_path / "own" / "split-4to1-seed0.json").unlink()
    (tmp_path / "own" / "a" / "0.npz").rename(tmp_path / "own" / "a" / "10.npz")
    with pytest.raises(RunError, match=f"are not those that {folder} was made with"):
        Task(config).recognise_data(folder)


def test_sets_that_never_change_leave_no_note(tmp_path: Path) -> None:
    Task(TrainConfig()).recognise_data(tmp_path)
    assert list(tmp_path.iterdir()) == []


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
