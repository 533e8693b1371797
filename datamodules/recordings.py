"""A file of an event camera, turned into events that every later step can rely on.

| suffix | format | sensor |
|---|---|---|
| .aedat | AEDAT 2.0 of a DVS128 (jAER; CIFAR10-DVS as published) | 128 x 128 |
| .aedat4 | AEDAT 4.0 (DV; CIFAR10-DVS as tonic downloads it) | stated by the file |
| .bin | N-MNIST | 34 x 34 |
| .dat | Prophesee's, version 2 | stated by most files |
| .npy, .npz | a NumPy array with the fields x, y, t, p | stated by some .npz |

Refused is what no genuine file has. That includes time that goes backwards: the formats promise order, and all of
1,101 recordings of N-MNIST, 14 of a DVS128 and 3 of newer cameras keep it (measured). A clock of 32 bits that runs
over is genuine, and followed.

Axes: E events, H rows, W columns.
"""

from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules import _aedat2
from datamodules import _aedat4
from datamodules import _array_advice
from datamodules import _arrays
from datamodules import _n_mnist
from datamodules import _prophesee
from datamodules._raw_events import GET_AGAIN
from datamodules._raw_events import Malformed
from datamodules._raw_events import RawEvents
from datamodules.errors import DataError

EVENT: Final = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i1")])
"""An event: column, row, time in microseconds, polarity 0 (darker) or 1 (brighter)."""

LONGEST_US: Final = 1 << 50
"""Ours: 35 years. Recordings since 1970 fit, damaged times do not, and T times it still fits 64 bits."""

PARSERS: Final[Mapping[str, Callable[[bytes], RawEvents]]] = MappingProxyType(
    {
        ".aedat": _aedat2.parse,
        ".aedat4": _aedat4.parse,
        ".bin": _n_mnist.parse,
        ".dat": _prophesee.parse,
        ".npy": _arrays.parse_npy,
        ".npz": _arrays.parse_npz,
    }
)
SUFFIXES: Final = tuple(PARSERS)
"""Of the files that can be read."""

OTHER_SENSOR: Final = (
    f"{GET_AGAIN} In a folder of your own (event_folder), name the sensor that it was recorded with: "
    "data.options.sensor=[rows,columns]."
)

MARKS: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        b"#!AER-DAT2": ".aedat",
        b"#!AER-DAT4": ".aedat4",
        b"% Data file": ".dat",
        np.lib.format.MAGIC_PREFIX: ".npy",
        b"PK\x03\x04": ".npz",
    }
)
"""First bytes, and the suffix that belongs to them."""


class Recording(NamedTuple):
    """Events in the order of time, at least one, all of them on the sensor."""

    events: NDArray[np.void]
    """``[E]`` of :data:`EVENT`."""
    sensor_HW: tuple[int, int]


class RecordingError(DataError):
    """One recording cannot be read; the message names the file and the place in it."""


def read_recording(path: Path, *, sensor_HW: tuple[int, int] | None = None) -> Recording:
    """Read a file of events.

    Args:
        path: Its suffix, one of :data:`SUFFIXES`, says what format it has.
        sensor_HW: Rows and columns of the sensor; None: what the file or its format states.

    Raises:
        RecordingError: If the file is missing, empty, cut, damaged or of another format, or does not state its sensor;
            if an event lies outside the sensor, has no polarity of two, or comes before its predecessor.

    Source:
        Formats: see the modules that parse them.
    """
    if (parser := PARSERS.get(path.suffix.lower())) is None:
        raise unreadable(path, f"the suffix {path.suffix!r}", f"Formats that can be read: {', '.join(SUFFIXES)}.")
    return parsed(path, parser, sensor_HW=sensor_HW)


def parsed(path: Path, parser: Callable[[bytes], RawEvents], *, sensor_HW: tuple[int, int] | None = None) -> Recording:
    """Read a file with a parser of one's own; otherwise as :func:`read_recording`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error.strerror or f"{error}", "Check the path and its permissions.") from error
    try:
        if not data:
            raise Malformed("an empty file")
        _compare_mark(path, data)
        return _checked(parser(data), sensor_HW, saved_by_hand=parser in (_arrays.parse_npy, _arrays.parse_npz))
    except Malformed as error:
        raise unreadable(path, error.found, error.advice) from error


def unreadable(path: Path, found: str, advice: str) -> RecordingError:
    """Return the error that all bad files end in."""
    return RecordingError(f"The recording {path} cannot be read: found {found}. {advice}")


def _compare_mark(path: Path, data: bytes) -> None:
    for mark, suffix in MARKS.items():
        if data.startswith(mark) and suffix != path.suffix.lower():
            raise Malformed(f"the mark of a {suffix} file at byte 0", f"If that is what it is, rename it to {suffix}.")


def _checked(raw: RawEvents, sensor_HW: tuple[int, int] | None, *, saved_by_hand: bool) -> Recording:
    """Refuse what no genuine recording has; with how to mend it where a user saved the file, not a camera's program."""
    sensor_HW = sensor_HW or raw.sensor_HW
    if sensor_HW is None:
        raise Malformed("no size of the sensor in it", "Say data.options.sensor=[rows,columns], in pixels.")
    if not all(0 < pixels <= 1 << 15 for pixels in sensor_HW):
        raise Malformed(f"a sensor of {sensor_HW[0]} x {sensor_HW[1]} pixels", "Use 1 to 32768, rows first.")
    x_E, y_E, t_E, p_E = raw[:4]
    if len(t_E) == 0:
        raise Malformed("no events")
    for name, values_E, limit in (("x", x_E, sensor_HW[1]), ("y", y_E, sensor_HW[0])):
        for event in np.flatnonzero((values_E < 0) | (values_E >= limit))[:1]:
            raise Malformed(
                f"{name} = {values_E[event]} in event {event}, outside a sensor of "
                f"{sensor_HW[0]} rows and {sensor_HW[1]} columns",
                _array_advice.for_place(x_E, y_E, sensor_HW) if saved_by_hand else OTHER_SENSOR,
            )
    lowest = -1 if (p_E == -1).any() else 0
    for event in np.flatnonzero((p_E != lowest) & (p_E != 1))[:1]:
        found = f"polarity {p_E[event]} in event {event} instead of {lowest} or 1"
        raise Malformed(found, _array_advice.for_polarity(p_E) if saved_by_hand else GET_AGAIN)
    for event in np.flatnonzero(t_E[1:] < t_E[:-1])[:1] + 1:
        found = f"time going back from {t_E[event - 1]} to {t_E[event]} us in event {event}"
        raise Malformed(found, _array_advice.for_order(t_E, int(event)) if saved_by_hand else GET_AGAIN)
    if int(t_E[-1]) - int(t_E[0]) > LONGEST_US:
        raise Malformed(
            f"times from {t_E[0]} to {t_E[-1]} us, more than {LONGEST_US} apart",
            "Save t in microseconds, by one clock." if saved_by_hand else GET_AGAIN,
        )
    events = np.empty(len(t_E), EVENT)
    events["x"], events["y"], events["t"], events["p"] = x_E, y_E, t_E, p_E > 0
    return Recording(events, sensor_HW)
