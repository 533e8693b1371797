import re
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datamodules import DataError
from datamodules import _announcement
from datamodules._source import Source
from datamodules.events import EventDataModule
from datamodules.recordings import EVENT
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError
from tests.datamodules.conformance import inputs_of
from tests.datamodules.event_conformance import EventDataModuleConformance
from tests.datamodules.event_conformance import break_recordings
from tests.datamodules.event_conformance import replace_reading

ROWS, COLUMNS = 8, 10


def recording_of(number: int) -> Recording:
    """Return 100 events from 0 to 999 microseconds: 9 at one pixel at once, the others at pixels of their own."""
    generator = np.random.default_rng(number)
    place_E = 1 + generator.choice(2 * ROWS * COLUMNS - 1, 91, replace=False)
    events_E = np.zeros(100, EVENT)
    p_E, pixel_E = np.divmod(np.concatenate([np.zeros(9, int), place_E]), ROWS * COLUMNS)
    events_E["p"] = p_E
    events_E["y"], events_E["x"] = np.divmod(pixel_E, COLUMNS)
    events_E["t"] = [500] * 9 + generator.integers(0, 1000, 91).tolist()
    events_E["t"][9], events_E["t"][10] = 0, 999
    return Recording(events_E[np.argsort(events_E["t"], kind="stable")], (ROWS, COLUMNS))


class ToyEvents(EventDataModule):
    """Random recordings of four classes, 160 to train on and 40 to test on."""

    name = "toy"
    num_classes = 4
    sensor_HW = (ROWS, COLUMNS)
    version = "1"
    split_policy = "test: the last 40 recordings"

    def sources(self, *, test: bool) -> list[Source]:
        rows = range(160, 200) if test else range(160)
        return [Source(f"toy {row}", row % 4, "as made", partial(recording_of, row)) for row in rows]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., ToyEvents]:
    return lambda **options: ToyEvents(
        **{"seed": 0, "time_steps": 4, "batch_size": 16, "root": str(tmp_path), **options}
    )


class TestToyEvents(EventDataModuleConformance):
    highest = 9.0

    @pytest.fixture
    def build(self, tmp_path: Path) -> Callable[..., ToyEvents]:
        return lambda **options: ToyEvents(
            **{"seed": 0, "time_steps": 4, "batch_size": 16, "root": str(tmp_path), **options}
        )

    @pytest.fixture
    def everything(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        frames_NTCHW = np.zeros((200, 4, 2, ROWS, COLUMNS), np.uint8)
        for number in range(200):
            for x, y, t, p in recording_of(number).events.tolist():
                frames_NTCHW[number, t // 250, p, y, x] += 1  # 0 .. 999, in quarters
        return frames_NTCHW, np.arange(200) % 4


def test_frames_are_kept_below_the_root_unless_another_folder_is_named(
    build: Callable[..., ToyEvents], tmp_path: Path
) -> None:
    build().setup("fit")
    assert len(list((tmp_path / ".frames").glob("*/frames.bin"))) == 1
    module = build(cache=str(tmp_path / "named"))
    module.setup("fit")
    assert len(list((tmp_path / "named").glob("*/frames.bin"))) == 1
    module.test_dataloader()
    assert len(list((tmp_path / "named").glob("*/frames.bin"))) == 2


def test_frames_are_bytes_mapped_from_disk(build: Callable[..., ToyEvents]) -> None:
    inputs = build().read_train().inputs
    assert (inputs.dtype, inputs.shape) == (torch.uint8, (160, 4, 2, ROWS, COLUMNS))


def test_another_version_is_another_set_of_frames(
    build: Callable[..., ToyEvents], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build().setup("fit")
    monkeypatch.setattr(ToyEvents, "version", "2")
    build().setup("fit")
    assert len(list((tmp_path / ".frames").glob("*/frames.bin"))) == 2


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"on_bad_file": "ignore"}, "on_bad_file must be error or skip, found 'ignore'"),
        ({"time_steps": 0}, "time_steps must be 1 or greater, found 0"),
        ({"size": 0}, r"size must be 1 or greater, found \[0, 0\]"),
        ({"size": [4, 4, 4]}, r"size must be a whole number, or two as \[rows, columns\], found \[4, 4, 4\]"),
        ({"size": "ab"}, r"size must be a whole number, or two as \[rows, columns\], found 'ab'"),
        ({"size": True}, r"size must be a whole number, or two as \[rows, columns\], found True"),
        ({"max_count": 1.5}, "max_count must be a whole number, found 1.5"),
        ({"cutout": True}, "cutout must be a whole number, found True"),
        ({"drop": "much"}, "drop must be a number, found 'much'"),
        ({"flip": "yes"}, "flip must be true or false, found 'yes'"),
        ({"merge_polarities": 1}, "merge_polarities must be true or false, found 1"),
        ({"cache": 3}, "cache must be the path of a folder, found 3"),
        ({"frames_by": "spikes"}, "frames_by must be time or count, found 'spikes'"),
        ({"max_count": 300}, "max_count must lie between 1 and 255, found 300"),
        ({"denoise_us": -1}, "denoise_us must be above 0, found -1"),
        ({"drop": 1.0}, "drop must lie between 0 and 1, found 1.0"),
        ({"jitter": -1}, "jitter must be 0 or greater, found -1"),
        ({"roll": -1}, "roll must be 0 or greater, found -1"),
        ({"cutout": -1}, "cutout must be 0 or greater, found -1"),
        ({"batch_size": 0}, "batch_size must be 1 or greater, found 0"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name_at_once(
    build: Callable[..., ToyEvents], options: dict[str, Any], found: str
) -> None:
    with pytest.raises(DataError, match=rf"^{found}\. [^\n]*$"):
        build(**options)


def test_frames_larger_than_the_sensor_are_refused(build: Callable[..., ToyEvents]) -> None:
    with pytest.raises(DataError, match=r"size must be at most the sensor's, \[8, 10\]"):
        build(size=9).setup("fit")


def test_options_that_are_not_given_are_those_of_the_class(
    build: Callable[..., ToyEvents], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = build()
    assert (plain.flip, plain.roll, plain.cutout) == (False, 2, 0)
    monkeypatch.setattr(ToyEvents, "flip", True)
    monkeypatch.setattr(ToyEvents, "cutout", 3)
    assert (build().flip, build().cutout) == (True, 3)
    other = build(flip=False, roll=0, cutout=0)
    assert (other.flip, other.roll, other.cutout) == (False, 0, 0)


def test_flip_roll_and_cutout_do_what_they_say(build: Callable[..., ToyEvents]) -> None:
    x_BTCHW = torch.zeros(300, 2, 1, ROWS, COLUMNS)
    x_BTCHW[..., 4, 2] = 1.0
    torch.manual_seed(0)
    mirrored = build(flip=True, roll=0).augmented(x_BTCHW)
    assert set(torch.argwhere(mirrored)[:, 4].tolist()) == {2, COLUMNS - 1 - 2}
    rolled = torch.argwhere(build(roll=1).augmented(x_BTCHW))
    assert (set(rolled[:, 3].tolist()), set(rolled[:, 4].tolist())) == ({3, 4, 5}, {1, 2, 3})
    cut = build(roll=0, cutout=5).augmented(x_BTCHW).sum((1, 2, 3, 4))
    assert set(cut.tolist()) == {0.0, 2.0}  # both steps, or none


def test_a_recording_of_another_sensor_is_a_bad_one(build: Callable[..., ToyEvents]) -> None:
    def wider(source: Source) -> Recording:
        recording = source.read()
        return recording._replace(sensor_HW=(ROWS, 11)) if source.name == "toy 7" else recording

    module = build()
    replace_reading(module, wider)
    with pytest.raises(RecordingError, match=r"sensor of \[8, 10\] as \[rows, columns\], found one of \[8, 11\]\."):
        module.setup("fit")
    module = build(on_bad_file="skip")
    replace_reading(module, wider)
    with pytest.warns(UserWarning, match=r"skipped 1 of 160 recordings of toy: toy 7 \("):
        module.setup("fit")


def test_a_split_without_recordings_is_an_error(build: Callable[..., ToyEvents], tmp_path: Path) -> None:
    module = build()
    module.sources = lambda *, test: []  # type: ignore[method-assign]  # replaced for the test
    with pytest.raises(DataError, match=rf"^The training split of toy has no recordings below {tmp_path}\. Name"):
        module.setup("fit")


def test_a_warning_of_many_bad_recordings_names_ten_and_counts_the_others(build: Callable[..., ToyEvents]) -> None:
    module = build(on_bad_file="skip")
    bad = [source.name for source in module.sources(test=False)[:13]]
    break_recordings(module, bad)
    with pytest.warns(UserWarning, match=r"^skipped 13 of 160 .* toy 9 \([^)]*\); and 3 more$"):
        module.setup("fit")
    assert module.skipped == bad


def test_nothing_is_said_where_nothing_was_skipped(build: Callable[..., ToyEvents]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = build(on_bad_file="skip")
        module.setup("fit")
        module.test_dataloader()
    assert module.skipped == []


def test_a_long_build_is_announced_once_and_a_short_one_is_not(
    build: Callable[..., ToyEvents], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build().setup("fit")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(_announcement, "LONG_S", 0.05)
    module = build(time_steps=5)

    def slow(source: Source) -> Recording:
        time.sleep(0.001)
        return source.read()

    replace_reading(module, slow)
    module.setup("fit")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert re.fullmatch(r"building frames of toy: 160 recordings, about \d+ s left", said[0])
    assert re.fullmatch(r"built frames of toy: 160 recordings in \d+ s", said[1])
    build(time_steps=5).setup("fit")
    assert capsys.readouterr().err == ""


def test_a_recording_lost_during_varied_training_is_named(build: Callable[..., ToyEvents]) -> None:
    module = build(drop=0.1)
    module.setup("fit")
    sources, _ = module._training

    def gone() -> Recording:
        raise RecordingError("The recording toy 3 cannot be read: found no file.")

    sources[:] = [source._replace(read=gone) for source in sources]
    with pytest.raises(RecordingError, match="found no file"):
        inputs_of(module.train_dataloader())


def test_skipped_recordings_do_not_change_how_the_others_are_varied(build: Callable[..., ToyEvents]) -> None:
    whole = build(drop=0.3, validation_fraction=0.25)
    part = build(drop=0.3, validation_fraction=0.25, on_bad_file="skip")
    break_recordings(part, ["toy 0"])
    with pytest.warns(UserWarning, match="skipped 1"):
        part.setup("fit")
    known = {x.numpy().tobytes() for x in inputs_of(whole.train_dataloader())}
    shown = {x.numpy().tobytes() for x in inputs_of(part.train_dataloader())}
    # the splits differ, but three quarters of either are trained on
    assert len(known & shown) > 0.5 * len(shown)
