from typing import Any

import numpy as np
import pytest
import torch

from datamodules import DataError
from datamodules._event_variation import CountingSampler
from datamodules._event_variation import Variation
from datamodules._event_variation import VariedSplit
from datamodules._loading import EpochSampler
from datamodules.recordings import EVENT
from datamodules.recordings import Recording


def recording(count: int, *, x: int = 50, y: int = 20, sensor_HW: tuple[int, int] = (40, 100)) -> Recording:
    """Return events of one pixel, the i-th at i microseconds, with every third of polarity 1."""
    events_E = np.zeros(count, EVENT)
    events_E["x"], events_E["y"] = x, y
    events_E["t"] = np.arange(count)
    events_E["p"] = np.arange(count) % 3 == 0
    return Recording(events_E, sensor_HW)


def varied(given: Recording, *, seed: int = 0, **options: Any) -> Recording:
    return Variation(**options)(given, np.random.default_rng(seed))


@pytest.mark.parametrize(("drop", "kept"), [(0.1, 900), (0.5, 500), (0.9996, 0)])
def test_a_share_of_the_events_is_dropped_and_the_others_stay_in_order(drop: float, kept: int) -> None:
    given = recording(1000)
    found = varied(given, drop=drop).events
    assert len(found) == kept
    assert np.all(np.diff(found["t"]) > 0)
    assert np.array_equal(found, given.events[found["t"]])  # the time is the place


def test_every_event_is_as_likely_to_be_dropped() -> None:
    given, kept_E = recording(20), np.zeros(20)
    generator = np.random.default_rng(0)
    for _ in range(2000):
        kept_E[Variation(drop=0.25)(given, generator).events["t"]] += 1
    assert np.abs(kept_E - 1500).max() < 5 * 20  # binomial: sqrt(2000 * 0.25 * 0.75) = 19


@pytest.mark.parametrize("jitter", [0.5, 1.0, 3.0])
def test_jitter_moves_events_by_its_deviation_and_to_no_side(jitter: float) -> None:
    count = 20_000
    found = varied(recording(count), jitter=jitter).events
    assert len(found) == count
    expected = np.sqrt(jitter**2 + 1 / 12)  # a normal number, and its rounding
    for shift_E in (found["x"] - 50, found["y"] - 20):
        assert abs(shift_E.mean()) < 5 * expected / np.sqrt(count)
        assert abs(shift_E.std() - expected) < 0.03 * expected
    assert np.array_equal(found[["t", "p"]], recording(count).events[["t", "p"]])


def test_jitter_far_below_a_pixel_moves_nothing() -> None:
    assert varied(recording(1000), jitter=0.05).events.tobytes() == recording(1000).events.tobytes()


def test_events_shifted_off_the_sensor_are_lost_on_all_sides_alike() -> None:
    for x, y in ((0, 20), (99, 20), (50, 0), (50, 39)):
        found = varied(recording(10_000, x=x, y=y), jitter=1.0).events
        # lost is what moves by more than half a pixel outwards: 1 - Phi(0.5) = 0.309
        assert 0.28 < 1 - len(found) / 10_000 < 0.34
        assert min(found["x"].min(), found["y"].min()) >= 0
        assert found["x"].max() <= 99
        assert found["y"].max() <= 39


@pytest.mark.parametrize("options", [{"drop": 0.3}, {"jitter": 1.0}, {"drop": 0.3, "jitter": 1.0}])
def test_the_generator_alone_decides_and_the_recording_is_left_as_it_is(options: dict[str, Any]) -> None:
    given = recording(200)
    given.events.flags.writeable = False
    np.random.seed(1)
    one = varied(given, **options)
    np.random.seed(2)
    again, other = varied(given, **options), varied(given, seed=1, **options)
    assert one.events.tobytes() == again.events.tobytes() != other.events.tobytes()
    assert (one.events.dtype, one.sensor_HW) == (EVENT, given.sensor_HW)
    assert given.events.tobytes() == recording(200).events.tobytes()


def test_the_global_generator_is_left_as_it_was_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    np.random.seed(5)
    expected = np.random.normal(size=5)
    np.random.seed(5)
    first = np.random.normal()  # the generator makes two at once, and keeps the other
    varied(recording(50), drop=0.5, jitter=1.0)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("tonic.transforms.DropEvent.__call__", fail)
        with pytest.raises(RuntimeError, match="broken"):
            varied(recording(50), drop=0.5)
    assert [first, *np.random.normal(size=4)] == expected.tolist()


def test_one_event_survives_or_not_and_neither_fails() -> None:
    assert len(varied(recording(1), drop=0.4, jitter=0.1).events) == 1
    assert len(varied(recording(1), drop=0.6, jitter=0.1).events) == 0


def test_nothing_to_vary_is_false() -> None:
    assert not Variation()
    assert Variation(drop=0.1)
    assert Variation(jitter=0.1)


@pytest.mark.parametrize(
    "options", [{"drop": -0.1}, {"drop": 1.0}, {"jitter": -1.0}, {"jitter": float("nan")}, {"jitter": float("inf")}]
)
def test_a_setting_out_of_range_is_refused(options: dict[str, float]) -> None:
    (name, value), *_ = options.items()
    with pytest.raises(DataError, match=rf"^{name} must .*found {value}\. Use [^\n]*$"):
        Variation(**options)


def test_numbers_say_epoch_and_position_in_the_order_of_the_epoch_on_every_process() -> None:
    plain = EpochSampler(range(7), seed=3)
    plain.set_epoch(5)
    shards = [CountingSampler(range(7), seed=3, num_replicas=2, rank=rank) for rank in (0, 1)]
    early = [iter(shard) for shard in shards]
    for shard in shards:
        shard.set_epoch(5)
    numbers = [list(iterator) for iterator in early]
    order = list(plain)
    assert [n // 7 for shard in numbers for n in shard] == [5] * 8
    assert [n % 7 for n in numbers[0]] == order[0::2]
    assert [n % 7 for n in numbers[1]] == [*order[1::2], order[0]]


def test_a_varied_split_asks_for_position_and_epoch() -> None:
    labels = torch.tensor([5, 6, 7])
    split = VariedSplit(labels, lambda position, epoch: torch.tensor([10 * epoch + position]))
    x, y = split.__getitems__([7, 0, 5])  # 7 = 2 * 3 + 1
    assert x.tolist() == [[21], [0], [12]]
    assert y.tolist() == [6, 5, 7]
    one, label = split[4]
    assert (one.tolist(), label.item(), len(split)) == ([11], 6, 3)
