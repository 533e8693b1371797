import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_digits

from datamodules._saccades import saccade_events
from datamodules._saccades import threshold_events

Event = tuple[int, int, int, int]
THRESHOLD = 0.4


def film(*frames: list[list[int]]) -> list[NDArray[np.int64]]:
    """Return the frames of one film."""
    return [np.array([frame], np.int64) for frame in frames]


def fired(*levels: int, threshold: int = 3) -> list[tuple[int, int]]:
    """Return time and polarity of the events of one pixel whose level is given for every millisecond."""
    (events_E,) = threshold_events(film(*([[level]] for level in levels)), threshold, 1000)
    return [(t, p) for _, _, t, p in events_E.tolist()]


def test_a_bright_pixel_that_moves_leaves_off_events_behind_and_on_events_ahead() -> None:
    before = [[0, 0, 0, 0], [0, 10, 0, 0], [0, 0, 0, 0]]
    after = [[0, 0, 0, 0], [0, 0, 10, 0], [0, 0, 0, 0]]
    (events_E,) = threshold_events(film(before, after), 3, 1000)
    # ten levels in 1000 us: levels 3, 6 and 9 away from the start are crossed after 300, 600 and 900 us
    assert events_E.tolist() == [
        (1, 1, 300, 0),
        (2, 1, 300, 1),
        (1, 1, 600, 0),
        (2, 1, 600, 1),
        (1, 1, 900, 0),
        (2, 1, 900, 1),
    ]


def test_events_at_the_same_time_are_in_the_order_of_rows_then_columns() -> None:
    (events_E,) = threshold_events(film([[0, 0], [0, 0]], [[5, 5], [5, -5]]), 3, 1000)
    assert events_E.tolist() == [(0, 0, 600, 1), (1, 0, 600, 1), (0, 1, 600, 1), (1, 1, 600, 0)]


def test_a_still_film_has_no_events() -> None:
    assert fired(7, 7, 7, 7) == []


def test_a_threshold_twice_as_high_gives_half_the_events() -> None:
    ramp = range(0, 1001, 50)
    assert len(fired(*ramp, threshold=10)) == 99  # the hundredth is reached, but not crossed
    assert len(fired(*ramp, threshold=20)) == 49


def test_a_pixel_remembers_its_last_event_not_its_last_level() -> None:
    # crosses 3 after three quarters of the first step, 6 in the middle of the second
    assert fired(0, 4, 8) == [(750, 1), (1500, 1)]


def test_a_change_that_turns_round_must_come_back_by_the_threshold() -> None:
    assert fired(0, 4, 0) == [(750, 1)]  # 0 is reached, but not crossed
    assert fired(0, 4, -1) == [(750, 1), (1800, 0)]  # 4 of 5 levels down


def test_slow_changes_add_up() -> None:
    assert fired(0, 1, 2, 3, 4, 5) == [(3000, 1)]


def test_films_do_not_mix() -> None:
    levels = [np.array([[[0]], [[0]], [[0]]]), np.array([[[4]], [[0]], [[-4]]])]
    one, none, other = threshold_events(levels, 3, 1000)
    assert (one.tolist(), none.tolist(), other.tolist()) == ([(0, 0, 750, 1)], [], [(0, 0, 750, 0)])


def corners() -> list[tuple[float, float]]:
    """Return the way of the sensor, rows down and columns right, in its pixels: 16 steps a saccade."""
    triangle = [(1.0, -2.0), (-2.0, 0.0), (1.0, 2.0), (1.0, -2.0)]
    way = [triangle[0]]
    for (y, x), (next_y, next_x) in itertools.pairwise(triangle):
        way += [(y + (next_y - y) * k / 16, x + (next_x - x) * k / 16) for k in range(1, 17)]
    return way


def seen_by_scipy(image_HW: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return log brightness at all 49 places, in units of 2**-16, with scipy's interpolation."""
    row_S = np.arange(16)
    frames = []
    for y, x in corners():
        place = np.meshgrid((row_S + 0.5 + y) / 2 - 0.5, (row_S + 0.5 + x) / 2 - 0.5, indexing="ij")
        brightness_SS = map_coordinates(image_HW.astype(float) / 16, place, order=1, mode="grid-constant")
        frames.append(np.rint(np.log(brightness_SS + 0.2) * 65536).astype(np.int64))
    return np.stack(frames)


def events_by_hand(levels_THW: NDArray[np.int64], threshold: int) -> list[Event]:
    """Follow every pixel on its own: from level to level, crossing by crossing."""
    events = []
    for y, x in np.ndindex(levels_THW.shape[1:]):
        level = levels_THW[:, y, x].tolist()
        memory = level[0]
        for step, (before, after) in enumerate(itertools.pairwise(level)):
            way = 1 if after > before else -1
            while way * (after - memory) > threshold:
                memory += way * threshold
                events.append((step * 6250 + (memory - before) * 6250 // (after - before), y, x, int(way > 0)))
    return [(x, y, t, p) for t, y, x, p in sorted(events)]


@pytest.mark.parametrize("row", [0, 3, 100, 1796])
def test_digits_give_the_events_of_a_camera_simulated_pixel_by_pixel(row: int) -> None:
    image_HW = load_digits().images[row].astype(np.uint8)
    (events_E,) = saccade_events(image_HW[np.newaxis])
    assert events_E.tolist() == events_by_hand(seen_by_scipy(image_HW), round(THRESHOLD * 65536))


def test_images_shown_together_give_the_events_of_each_alone() -> None:
    images_NHW = load_digits().images[:5].astype(np.uint8)
    for image_HW, together_E in zip(images_NHW, saccade_events(images_NHW), strict=True):
        assert together_E.tolist() == saccade_events(image_HW[np.newaxis])[0].tolist()


def test_events_are_ordered_on_the_sensor_and_within_three_saccades() -> None:
    for events_E in saccade_events(load_digits().images[::60].astype(np.uint8)):
        assert (np.diff(events_E["t"]) >= 0).all()
        assert set(events_E["p"].tolist()) == {0, 1}
        assert min(events_E["x"].min(), events_E["y"].min()) >= 0
        assert max(events_E["x"].max(), events_E["y"].max()) < 16
        assert events_E["t"][0] >= 0
        assert events_E["t"][-1] < 300_000
        assert (np.bincount(events_E["t"] // 100_000) > 40).all()


def test_a_blank_image_gives_no_events_and_a_white_one_none_far_from_its_edge() -> None:
    blank_E, white_E = saccade_events(np.stack([np.zeros((8, 8), np.uint8), np.full((8, 8), 16, np.uint8)]))
    assert len(blank_E) == 0
    # the sensor moves two pixels at most, and brightness falls from half an image pixel inside the edge: 3 pixels
    inside_E = (white_E["x"] > 2) & (white_E["x"] < 13) & (white_E["y"] > 2) & (white_E["y"] < 13)
    assert len(white_E) > 0
    assert not inside_E.any()


def test_where_a_bar_comes_it_gets_brighter_and_where_it_leaves_darker() -> None:
    image_HW = np.zeros((8, 8), np.uint8)
    image_HW[:, 4] = 16
    (events_E,) = saccade_events(image_HW[np.newaxis])
    middle_E = (events_E["y"] >= 4) & (events_E["y"] < 11)
    # The bar's centre lies between sensor pixels 8 and 9 when the sensor stands in the middle, and two to the
    # right of there at the start; the first saccade moves it left. It is two pixels wide at half its brightness.
    first_E = events_E[middle_E & (events_E["t"] < 100_000)]
    assert set(first_E["x"][first_E["p"] == 1].tolist()) == {7, 8, 9}
    assert set(first_E["x"][first_E["p"] == 0].tolist()) == {10, 11, 12}
    # The third moves it right, from two pixels left to two pixels right. It passes 8 and 9 wholly: brighter, darker.
    third_E = events_E[middle_E & (events_E["t"] >= 200_000)]
    for x in (8, 9):
        polarity = third_E["p"][(third_E["x"] == x) & (third_E["y"] == 6)].tolist()
        assert polarity == sorted(polarity, reverse=True)
        assert set(polarity) == {0, 1}


def test_contrast_decides_how_many_events_an_edge_gives() -> None:
    image_HW = np.zeros((8, 8), np.uint8)
    image_HW[:, 4:] = 16
    (events_E,) = saccade_events(image_HW[np.newaxis])
    # Sensor column 8 has its centre at image column 8.5 / 2 - 0.5 = 3.75, three quarters on the way from black to
    # white. It starts two sensor pixels to the left, in black, and ends the first saccade there.
    first_E = events_E[(events_E["t"] < 100_000) & (events_E["x"] == 8) & (events_E["y"] == 6)]
    assert len(first_E) == math.floor((math.log(0.75 + 0.2) - math.log(0.2)) / 0.4) == 3


def test_a_last_digit_of_the_logarithm_decides_nothing() -> None:
    level = np.log(np.arange(16 * 32**2 + 1) / (16 * 32**2) + 0.2) * 65536
    assert np.abs(level - np.floor(level) - 0.5).min() > 1e-5
