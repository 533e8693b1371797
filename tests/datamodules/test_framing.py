import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tonic import transforms

from datamodules import DataError
from datamodules.framing import Framing
from datamodules.recordings import EVENT
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError
from datamodules.recordings import read_recording


def recording(*events: tuple[int, int, int, int], sensor_HW: tuple[int, int] = (4, 6)) -> Recording:
    """Return a recording of events (x, y, t, p)."""
    return Recording(np.array(list(events), EVENT), sensor_HW)


def random_recording(
    count: int, *, sensor_HW: tuple[int, int] = (34, 34), last_us: int = 300_000, seed: int = 0
) -> Recording:
    generator = np.random.default_rng(seed)
    events_E = np.zeros(count, EVENT)
    events_E["x"] = generator.integers(0, sensor_HW[1], count)
    events_E["y"] = generator.integers(0, sensor_HW[0], count)
    events_E["t"] = np.sort(generator.integers(0, last_us + 1, count))
    events_E["t"][0], events_E["t"][-1] = 0, last_us if count > 1 else 0
    events_E["t"] += 1_234
    events_E["p"] = generator.integers(0, 2, count)
    return Recording(events_E, sensor_HW)


def ones(frames_TCHW: NDArray[np.uint8]) -> list[list[int]]:
    """Return where the frames are not zero, asserting that each such count is one."""
    assert frames_TCHW.max() <= 1
    found: list[list[int]] = np.argwhere(frames_TCHW).tolist()
    return found


def test_an_event_counts_at_its_step_polarity_row_and_column() -> None:
    found = Framing(time_steps=2).frames(recording((5, 0, 100, 1), (0, 3, 149, 0), (2, 1, 150, 1), (5, 3, 199, 0)))
    assert (found.shape, found.dtype.name) == ((2, 2, 4, 6), "uint8")
    # 100 microseconds from 100 to 199, both included: the second half starts at 150
    assert ones(found) == [[0, 0, 3, 0], [0, 1, 0, 5], [1, 0, 3, 5], [1, 1, 1, 2]]


def test_events_of_one_pixel_and_step_add_up() -> None:
    found = Framing(time_steps=1).frames(recording((1, 2, 0, 1), (1, 2, 0, 1), (1, 2, 9, 1), (1, 2, 9, 0)))
    assert found[0, :, 2, 1].tolist() == [1, 3]
    assert found.sum() == 4


@pytest.mark.parametrize(("steps", "expected"), [(1, [100]), (4, [25] * 4), (3, [34, 33, 33]), (100, [1] * 100)])
def test_spans_of_time_are_equal(steps: int, expected: list[int]) -> None:
    every_microsecond = recording(*((0, 0, t, 0) for t in range(100)))
    assert Framing(time_steps=steps).frames(every_microsecond).sum((1, 2, 3)).tolist() == expected


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [7]), (3, [3, 2, 2]), (7, [1] * 7), (9, [1, 1, 1, 1, 0, 1, 1, 1, 0])]
)
def test_shares_of_events_are_equal_whatever_their_times(steps: int, expected: list[int]) -> None:
    uneven = recording(*((i, 0, t, 0) for i, t in enumerate([0, 1, 2, 3, 4, 5])), (0, 1, 10**9, 0))
    found = Framing(time_steps=steps, by="count").frames(uneven)
    assert found.sum((1, 2, 3)).tolist() == expected  # event i of 7 is in share floor(i * steps / 7)
    in_time = [int(np.argwhere(found[:, 0, 0, x])[0, 0]) for x in range(6)]
    assert in_time == sorted(in_time)


@pytest.mark.parametrize("by", ["time", "count"])
@pytest.mark.parametrize("steps", [1, 3, 10, 16])
@pytest.mark.parametrize("count", [1, 2, 5, 9, 4001])
@pytest.mark.parametrize("last_us", [0, 1, 7, 299_999])
def test_no_event_is_lost(by: str, steps: int, count: int, last_us: int) -> None:
    given = random_recording(count, last_us=last_us)
    for size_HW in (None, (34, 34), (17, 17), (13, 29), (1, 1)):
        framing = Framing(time_steps=steps, by=by, size_HW=size_HW)
        most = framing.frames(given).max()
        assert framing.frames(given).sum() == count or most == 255


@pytest.mark.parametrize("by", ["time", "count"])
def test_the_first_event_is_in_the_first_frame_and_the_last_in_the_last(by: str) -> None:
    given = random_recording(1000)
    first, last = given.events[0], given.events[-1]
    found = Framing(time_steps=7, by=by).frames(given)
    assert found[0, first["p"], first["y"], first["x"]] > 0
    assert found[-1, last["p"], last["y"], last["x"]] > 0


@pytest.mark.parametrize("by", ["time", "count"])
def test_one_event_and_events_of_one_time_and_none_at_all_are_frames_too(by: str) -> None:
    framing = Framing(time_steps=4, by=by, denoise_us=5)
    assert Framing(time_steps=4, by=by).frames(recording((3, 2, 10**15, 1))).sum() == 1
    assert Framing(time_steps=4, by=by).frames(recording((3, 2, 7, 1), (1, 1, 7, 0), (0, 0, 7, 0))).sum() == 3
    for empty in (framing, Framing(time_steps=4, by=by)):
        assert empty.frames(recording()).tolist() == np.zeros((4, 2, 4, 6)).tolist()


@pytest.mark.parametrize("options", [{}, {"denoise_us": 1e4}, {"merge_polarities": True}, {"size_HW": (5, 6)}])
def test_the_recording_is_left_as_it_is(options: dict[str, Any]) -> None:
    given = random_recording(300)
    before = given.events.tobytes()
    given.events.flags.writeable = False
    Framing(time_steps=3, **options).frames(given)
    assert given.events.tobytes() == before


def test_events_out_of_order_give_the_same_frames() -> None:
    given = random_recording(500)
    shuffled_E = np.random.default_rng(1).permutation(given.events)
    framing = Framing(time_steps=5)
    assert np.array_equal(framing.frames(given), framing.frames(Recording(shuffled_E, given.sensor_HW)))


def test_where_tonic_loses_nothing_the_frames_are_those_of_tonic() -> None:
    given = random_recording(4000, last_us=299_999)
    sensor = (34, 34, 2)
    start = int(given.events["t"][0])
    by_time = transforms.ToFrame(sensor, time_window=30_000, start_time=start, end_time=start + 300_000)
    assert np.array_equal(Framing(time_steps=10).frames(given), by_time(given.events))

    by_count = transforms.ToFrame(sensor, n_event_bins=8)  # 4000 / 8 is whole
    assert np.array_equal(Framing(time_steps=8, by="count").frames(given), by_count(given.events))

    smaller = transforms.Downsample(sensor_size=sensor, target_size=(17, 34))(given.events)
    merged = transforms.MergePolarities()(smaller)
    expected = transforms.ToFrame((17, 34, 1), n_event_bins=8)(merged)
    found = Framing(time_steps=8, by="count", size_HW=(34, 17), merge_polarities=True).frames(given)
    assert np.array_equal(found, expected)


def test_tonic_leaves_out_the_end_of_a_recording_and_ours_does_not() -> None:
    given = random_recording(500, last_us=999)
    theirs = transforms.ToFrame((34, 34, 2), n_time_bins=7)(given.events)
    if theirs.sum() == 500:
        pytest.skip("tonic keeps all events now")
    assert Framing(time_steps=7).frames(given).sum() == 500


def test_tonic_turns_a_hot_pixel_negative_and_ours_clips_it() -> None:
    hot = Recording(np.zeros(40_000, EVENT), (4, 6))
    hot.events["t"] = np.arange(40_000)
    if transforms.ToFrame((6, 4, 2), event_count=40_000)(hot.events).min() >= 0:
        pytest.skip("tonic counts in more than 16 bits now")
    assert Framing(time_steps=1).frames(hot).max() == 255


def test_tonic_moves_columns_when_it_scales_and_ours_does_not() -> None:
    columns = 346
    given = recording(*((x, 0, x, 1) for x in range(columns)), sensor_HW=(260, columns))
    exact = [sum(x * 48 // columns == column for x in range(columns)) for column in range(48)]
    found = Framing(time_steps=1, size_HW=(36, 48)).frames(given)
    assert found[0, 1, 0].tolist() == exact
    theirs = transforms.Downsample(sensor_size=(columns, 260, 2), target_size=(48, 36))(given.events)
    if np.bincount(theirs["x"]).tolist() == exact:
        pytest.skip("tonic scales exactly now")


@pytest.mark.parametrize(("limit", "expected"), [(None, 255), (255, 255), (7, 7), (1, 1)])
def test_counts_are_clipped(limit: int | None, expected: int) -> None:
    hot = recording(*[(1, 1, t, 1) for t in range(300)], (2, 2, 299, 0))
    found = Framing(time_steps=1, max_count=limit).frames(hot)
    assert found[0, 1, 1, 1] == expected
    assert found[0, 0, 2, 2] == 1


def test_both_polarities_may_share_a_channel() -> None:
    framing = Framing(time_steps=1, merge_polarities=True)
    found = framing.frames(recording((1, 1, 0, 1), (1, 1, 1, 0), (2, 1, 1, 0)))
    assert (framing.channels, found.shape) == (1, (1, 1, 4, 6))
    assert found[0, 0, 1].tolist() == [0, 2, 1, 0, 0, 0]


@pytest.mark.parametrize("start", [0, 3, 10_000, 10**15])
def test_noise_is_an_event_without_a_neighbour_before_it_whenever_the_recording_starts(start: int) -> None:
    events = [
        (0, 0, 0, 1),  # nothing before it: dropped
        (1, 0, 9, 1),  # (0, 0) fired 9 before
        (5, 3, 10, 0),  # far from all: dropped
        (1, 1, 19, 1),  # (1, 0) fired 10 before, which is too long: dropped
        (2, 1, 20, 0),  # (1, 1) fired 1 before, noise itself but a neighbour
    ]
    given = recording(*((x, y, start + t, p) for x, y, t, p in events))
    found = Framing(time_steps=1, denoise_us=10).frames(given)
    assert ones(found) == [[0, 0, 1, 2], [0, 1, 0, 1]]


def test_the_key_is_plain_and_no_two_settings_share_it() -> None:
    settings: list[dict[str, Any]] = [
        {"time_steps": 4},
        {"time_steps": 5},
        {"time_steps": 4, "by": "count"},
        {"time_steps": 4, "size_HW": (4, 5)},
        {"time_steps": 4, "size_HW": (5, 4)},
        {"time_steps": 4, "denoise_us": 10.0},
        {"time_steps": 4, "merge_polarities": True},
        {"time_steps": 4, "max_count": 1},
    ]
    keys = [Framing(**options).key() for options in settings]
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == len(settings)
    assert all(json.loads(json.dumps(key)) == key for key in keys)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"time_steps": 0}, "time_steps must be 1 or greater, found 0"),
        ({"by": "events"}, "frames_by must be time or count, found 'events'"),
        ({"size_HW": (0, 5)}, r"size must be 1 or greater, found \[0, 5\]"),
        ({"denoise_us": 0.0}, "denoise_us must be above 0, found 0.0"),
        ({"denoise_us": float("nan")}, "denoise_us must be above 0, found nan"),
        ({"max_count": 0}, "max_count must lie between 1 and 255, found 0"),
        ({"max_count": 256}, "max_count must lie between 1 and 255, found 256"),
    ],
)
def test_a_setting_out_of_range_is_refused(options: dict[str, Any], found: str) -> None:
    with pytest.raises(DataError, match=rf"^{found}\. [^\n]*$"):
        Framing(**{"time_steps": 4, **options})


def test_frames_larger_than_the_sensor_are_refused() -> None:
    framing = Framing(time_steps=1, size_HW=(4, 7))
    with pytest.raises(DataError, match=r"at most the sensor's, \[4, 6\] as \[rows, columns\], found \[4, 7\]\. Leave"):
        framing.frames(recording((0, 0, 0, 0)))


@pytest.mark.parametrize("outside", [(6, 0), (0, 4), (-1, 0), (0, -1)])
def test_an_event_outside_the_sensor_is_refused(outside: tuple[int, int]) -> None:
    with pytest.raises(RecordingError, match=r"must lie on the sensor, \[4, 6\]"):
        Framing(time_steps=1).frames(recording((0, 0, 0, 0), (*outside, 1, 0)))


@pytest.mark.data
def test_real_recordings_keep_every_event(data_root: Path) -> None:
    files = sorted((data_root / "nmnist-small" / "Test").glob("*/*.bin"))[:20]
    if not files:
        pytest.skip(f"{data_root} has no nmnist-small")
    for file in files:
        found = Framing(time_steps=10).frames(read_recording(file))
        assert found.sum() == file.stat().st_size / 5  # an event takes five bytes
        assert found.max() < 255
