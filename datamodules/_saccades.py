"""A simulated event camera that looks at still images while it moves: three saccades along a triangle.

A pixel of such a camera remembers the logarithm of the brightness at its last event. Where the present one differs
by more than the threshold it fires: an event on (brighter) or off (darker). Between two steps of the simulation the
logarithm is taken to change evenly, so that an event has the time when the threshold is crossed, not that of a step.

Integers throughout, but for a table of logarithms that is rounded: the same events on every machine.
Source: saccades, G. Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
saccades" (2015); time of an event, H. Rebecq et al., "ESIM: an open event camera simulator" (2018).
Axes: N images, H rows, W columns (of images, or of a sensor twice their size), F pixels that
fire in a step, E events.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datamodules.recordings import EVENT

WHITE: Final = 16
"""Brightest pixel of an image."""
SACCADE_US: Final = 100_000
"""Duration of a saccade, in microseconds; N-MNIST's last about 100 ms."""
STEPS: Final = 16
"""Simulated steps of a saccade: at most a quarter of a sensor pixel each."""
CORNERS: Final = ((16, -32), (-32, 0), (16, 32))
"""Where the sensor stands at the start of each saccade: rows down and columns to the right, in 16ths of its pixels.
An isosceles triangle with a level base, as in N-MNIST."""
THRESHOLD: Final = 0.4
"""Change of the natural logarithm of brightness that makes an event."""
DARK: Final = 0.2
"""Brightness of black, where white adds 1: keeps the logarithm finite."""
UNIT: Final = 2.0**-16
"""One step of the rounded logarithms."""

_PITCH = 32
"""Of image pixels, in 16ths of a sensor pixel."""


def saccade_events(images_NHW: NDArray[np.uint8], *, threshold: float = THRESHOLD) -> list[NDArray[np.void]]:
    """Show every image to a sensor of twice its rows and columns during three saccades.

    Args:
        images_NHW: Pixels from 0 to :data:`WHITE`, in front of black. Brightness between their centres is
            interpolated linearly.
        threshold: Change of the natural logarithm of brightness that makes an event.

    Returns:
        Events of each image, as :data:`~datamodules.recordings.EVENT`: ordered by time, then row, then column.
    """
    return threshold_events(log_brightness(images_NHW), round(threshold / UNIT), SACCADE_US // STEPS)


def log_brightness(images_NHW: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """Yield what the sensor sees before the first step and after each one, ``[N, 2H, 2W]``, in :data:`UNIT`."""
    brightest = WHITE * _PITCH**2
    # no value lies within 1e-5 of a rounding boundary: a last digit that differs between machines changes nothing
    levels = np.rint(np.log(np.arange(brightest + 1) / brightest + DARK) / UNIT).astype(np.int64)
    pixels_NHW = images_NHW.astype(np.float32)  # sums stay whole numbers below 2**24, so any order of adding is exact
    H, W = images_NHW.shape[1:]
    for row, column in _path():
        seen_NHW = _weights(row, H) @ pixels_NHW @ _weights(column, W).T
        yield levels[seen_NHW.astype(np.int64)]


def threshold_events(levels: Iterable[NDArray[np.int64]], threshold: int, step_us: int) -> list[NDArray[np.void]]:
    """Turn films into events: one wherever a pixel has changed by more than ``threshold`` since its last event.

    Args:
        levels: Frames ``[N, H, W]`` of N films, one after the other; the first sets what pixels remember.
        threshold: In the unit of the levels.
        step_us: From frame to frame, in microseconds.

    Returns:
        Events of each film, ordered by time, then row, then column. ``t`` is 0 at the first frame, and rounded down.
    """
    frames = iter(levels)
    before_NHW = next(frames)
    films, memory_NHW = len(before_NHW), before_NHW.copy()
    image_parts, event_parts = [np.empty(0, np.int64)], [np.empty(0, EVENT)]
    for step, after_NHW in enumerate(frames):
        change_NHW = after_NHW - memory_NHW
        # more than the threshold: else all pixels would fire at the very end, where the sensor is back at its start
        fired = np.nonzero(np.abs(change_NHW) > threshold)
        change_F = change_NHW[fired]
        sign_F, times_F = np.sign(change_F), (np.abs(change_F) - 1) // threshold
        # how far the level must move to the first crossing: not below 0, as it had not crossed before
        first_F = sign_F * (memory_NHW[fired] - before_NHW[fired]) + threshold
        whole_F = np.abs(after_NHW[fired] - before_NHW[fired])
        memory_NHW[fired] += sign_F * times_F * threshold

        pixel_E = np.repeat(np.arange(len(times_F)), times_F)
        earlier_E = np.arange(len(pixel_E)) - np.repeat(np.cumsum(times_F) - times_F, times_F)
        image_F, y_F, x_F = fired
        events_E = np.empty(len(pixel_E), EVENT)
        events_E["x"], events_E["y"], events_E["p"] = x_F[pixel_E], y_F[pixel_E], sign_F[pixel_E] > 0
        events_E["t"] = step * step_us + (first_F[pixel_E] + earlier_E * threshold) * step_us // whole_F[pixel_E]
        image_parts.append(image_F[pixel_E])
        event_parts.append(events_E)
        before_NHW = after_NHW
    image_E, events_E = np.concatenate(image_parts), np.concatenate(event_parts)
    order_E = np.lexsort((events_E["x"], events_E["y"], events_E["t"], image_E))
    return np.split(events_E[order_E], np.cumsum(np.bincount(image_E, minlength=films))[:-1])


def _path() -> Iterator[tuple[int, int]]:
    """Yield where the sensor stands, step by step, from the first corner round to it again."""
    yield CORNERS[0]
    for (row, column), (next_row, next_column) in zip(CORNERS, CORNERS[1:] + CORNERS[:1], strict=True):
        for step in range(1, STEPS + 1):
            yield row + (next_row - row) * step // STEPS, column + (next_column - column) * step // STEPS


def _weights(offset: int, pixels: int) -> NDArray[np.float32]:
    """Return how much of each image row (or column) a sensor row sees, ``[2 * pixels, pixels]``, in 32nds."""
    centre_S = 8 * (2 * np.arange(2 * pixels) + 1) + offset  # from the edge of the image, in 16ths of a sensor pixel
    centre_P = 16 * (2 * np.arange(pixels) + 1)
    distance_SP = np.abs(centre_S[:, np.newaxis] - centre_P)
    weights_SP: NDArray[np.float32] = np.maximum(0, _PITCH - distance_SP).astype(np.float32)
    return weights_SP
