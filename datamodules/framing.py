"""From the events of a recording to its frames, without losing an event on the way.

Axes: E events, T time steps, C channels (polarity off, then on; or both in one), H rows, W columns.
"""

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError

MOST = 255
"""Largest count that a frame can hold: it is made of bytes."""


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How events become frames.

    An event at pixel ``(x, y)`` of step ``s`` adds one to ``frames[s, polarity, y, x]``. Counts, not spikes: the
    first layer of a network sees analog input unless ``max_count`` is 1.

    Raises:
        DataError: If a setting is out of its range.

    Source:
        Event frames as in tonic's ``ToFrame``, with which ours agree wherever no event falls off its end. Counting
        and scaling are ours: ``ToFrame`` leaves out the last events of a recording, counts in 16 bits with sign (a
        hot pixel turns negative) and writes into its input; ``Downsample`` multiplies by a rounded fraction, which
        moves whole columns to the neighbouring pixel at some sizes (346 to 48). Both in exact integers here.
    """

    RULES: ClassVar[int] = 1
    """Raise it when the same events come to give other frames: caches are told apart by it."""

    time_steps: int
    """T, the number of frames."""
    size_HW: tuple[int, int] | None = None
    """Rows and columns of a frame; counts of sensor pixels are added up. None: the sensor's own."""
    by: str = "time"
    """``"time"``: T spans of equal length, from the first event to the last. ``"count"``: T equal shares of events."""
    denoise_us: float | None = None
    """Drop an event unless the pixel above, below, left or right had one less than so many microseconds before."""
    merge_polarities: bool = False
    """One channel for both polarities, in place of two."""
    max_count: int | None = None
    """Clip counts here; 1 gives binary frames. None: at 255."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.time_steps < 1:
            raise DataError(f"time_steps must be 1 or greater, found {self.time_steps}. Use a number in that range.")
        if self.by not in ("time", "count"):
            raise DataError(
                f"frames_by must be time or count, found {self.by!r}. Use time for spans of equal length, "
                "count for shares of equal size."
            )
        if self.size_HW is not None and min(self.size_HW) < 1:
            raise DataError(f"size must be 1 or greater, found {list(self.size_HW)}. Use pixels, as [rows, columns].")
        if self.denoise_us is not None and not self.denoise_us > 0:
            raise DataError(f"denoise_us must be above 0, found {self.denoise_us}. Leave it out to keep all events.")
        if self.max_count is not None and not 1 <= self.max_count <= MOST:
            raise DataError(
                f"max_count must lie between 1 and {MOST}, found {self.max_count}. Frames are bytes; use 1 for spikes."
            )

    @property
    def channels(self) -> int:
        """Return C."""
        return 1 if self.merge_polarities else 2

    def shape(self, sensor_HW: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return ``(T, C, H, W)`` of the frames of a recording.

        Raises:
            DataError: If frames would be larger than the sensor.
        """
        size_HW = self.size_HW or sensor_HW
        if any(pixels > most for pixels, most in zip(size_HW, sensor_HW, strict=True)):
            raise DataError(
                f"size must be at most the sensor's, {list(sensor_HW)} as [rows, columns], found {list(size_HW)}. "
                "Leave size out to take the sensor's."
            )
        return self.time_steps, self.channels, *size_HW

    def key(self) -> dict[str, Any]:
        """Return all that decides what the frames of a recording are, as JSON knows it."""
        settings = dataclasses.asdict(self)
        settings["size_HW"] = None if self.size_HW is None else list(self.size_HW)
        tonic = None if self.denoise_us is None else importlib.metadata.version("tonic")
        return {**settings, "rules": self.RULES, "tonic": tonic}

    def frames(self, recording: Recording) -> NDArray[np.uint8]:
        """Count the events of every step, polarity and pixel.

        Args:
            recording: Is left as it is. Its events need not be in the order of time.

        Returns:
            Counts ``[T, C, H, W]``; all zero where there is no event.

        Raises:
            DataError: If frames would be larger than the sensor.
            RecordingError: If an event lies outside the sensor.
        """
        T, C, H, W = self.shape(recording.sensor_HW)
        rows, columns = recording.sensor_HW
        events_E = self._denoised(_in_order(recording.events))
        if len(events_E) == 0:
            return np.zeros((T, C, H, W), np.uint8)
        x_E, y_E = events_E["x"].astype(np.int64), events_E["y"].astype(np.int64)
        if min(x_E.min(), y_E.min()) < 0 or x_E.max() >= columns or y_E.max() >= rows:
            raise RecordingError(
                f"Events must lie on the sensor, {[rows, columns]} as [rows, columns], found x from {x_E.min()} to "
                f"{x_E.max()} and y from {y_E.min()} to {y_E.max()}. Name the sensor that they were recorded with."
            )
        if self.by == "time":
            t_E = events_E["t"] - events_E["t"][0]
            step_E = t_E * T // (t_E[-1] + 1)
        else:
            step_E = np.arange(len(events_E)) * T // len(events_E)
        channel_E = step_E * C + (events_E["p"] > 0) * (C - 1)
        pixel_E = (channel_E * H + y_E * H // rows) * W + x_E * W // columns
        counts = np.bincount(pixel_E, minlength=T * C * H * W)
        return np.minimum(counts, self.max_count or MOST).astype(np.uint8).reshape(T, C, H, W)

    def _denoised(self, events_E: NDArray[np.void]) -> NDArray[np.void]:
        if self.denoise_us is None or len(events_E) == 0:
            return events_E
        from tonic.transforms import Denoise  # GPL, and slow to import

        # Denoise remembers a pixel that never fired as one that fired at time 0: start the clock after that
        shifted_E = events_E.copy()
        shifted_E["t"] += int(np.ceil(self.denoise_us)) - events_E["t"][0]
        kept_E: NDArray[np.void] = Denoise(filter_time=self.denoise_us)(shifted_E)
        return kept_E


def _in_order(events_E: NDArray[np.void]) -> NDArray[np.void]:
    """Return the events in the order of time; equal times keep theirs."""
    if np.all(events_E["t"][1:] >= events_E["t"][:-1]):
        return events_E
    return events_E[np.argsort(events_E["t"], kind="stable")]


def rows_and_columns(option: str, value: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Return what a user gave as one number for both, or as [rows, columns].

    Raises:
        DataError: If it is neither.
    """
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or not all(type(pixels) is int for pixels in pair):
        raise DataError(f"{option} must be a whole number, or two as [rows, columns], found {value!r}. Use pixels.")
    return pair[0], pair[1]
