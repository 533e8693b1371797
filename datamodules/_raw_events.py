"""What the readers of the formats hand on: columns, before anybody has looked whether they make sense.

Axes: E events.
"""

import struct
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]
GET_AGAIN = "Get the file again, or remove it."
"""What to do with a damaged file."""


class RawEvents(NamedTuple):
    """Events as a file states them."""

    x_E: Column
    y_E: Column
    t_E: Column
    """Microseconds."""
    p_E: Column
    sensor_HW: tuple[int, int] | None
    """Rows and columns that the file or its format states; None where neither does."""


class Malformed(Exception):
    """The bytes are not what the format says. The caller knows the file, and names it."""

    def __init__(self, found: str, advice: str = GET_AGAIN) -> None:
        """Say what was found (it follows "found"), and what to do (a sentence)."""
        super().__init__(found)
        self.found = found
        self.advice = advice


def records(data: bytes, start: int, layout: np.dtype[np.void]) -> NDArray[np.void]:
    """Return the records of equal size that fill ``data`` from byte ``start`` to its end.

    Raises:
        Malformed: If the last one is cut.
    """
    left_over = (len(data) - start) % layout.itemsize
    if left_over:
        raise Malformed(
            f"{left_over} bytes of a record of {layout.itemsize} at byte {len(data) - left_over}, where the file ends"
        )
    return np.frombuffer(data, layout, offset=start)


def column(values: NDArray[Any]) -> Column:
    """Return integers of any size as int64."""
    return values.astype(np.int64)


def unwrapped(ticks_E: NDArray[np.unsignedinteger]) -> Column:
    """Follow a clock of 32 bits over its end, which it reaches after 72 minutes.

    A step is taken to be the shorter way round: forward up to 2^31, backward beyond.
    """
    ticks_E = ticks_E.astype(np.uint32)
    steps_E = np.diff(ticks_E, prepend=ticks_E[:1]).view(np.int32)
    return np.cumsum(steps_E, dtype=np.int64) + int(ticks_E[0]) if len(ticks_E) else column(ticks_E)


def unpack(layout: str, data: bytes, at: int) -> int:
    """Return one number of ``data``. A negative ``at`` never counts from the end, as ``struct`` lets it.

    Raises:
        Malformed: If it lies outside.
    """
    if not 0 <= at <= len(data) - struct.calcsize(layout):
        raise Malformed(f"a number that should lie at byte {at} of {len(data)}")
    (value,) = struct.unpack_from(layout, data, at)
    return int(value)
