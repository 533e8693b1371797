"""What to do with arrays of events that somebody saved from NumPy: a line that mends what is wrong, where there is one.

The lines work on the columns x, y, t and p, or on the array ``events`` that has them as fields.

Axes: E events.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike
from numpy.typing import NDArray

from datamodules._raw_events import Column

WANTED = "Save x, y, t (microseconds) and p as integers, in one structured array or, in .npz, under these names."
FIELDS = {
    "x": ("x", "xs", "col", "column", "x_pos"),
    "y": ("y", "ys", "row", "y_pos"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t_us"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""What other programs call them."""
CLOCK = 1 << 32
"""Ticks after which a clock of 32 bits begins again."""


def for_objects() -> str:
    """Advise on an array of Python objects, which is not opened: it may hold code."""
    return (
        f"{WANTED} If you trust the file and it holds a dictionary of them, in NumPy: "
        'np.savez("NAME.npz", **np.load("NAME.npy", allow_pickle=True).item())'
    )


def for_fields(names: Sequence[str] | None, shape: tuple[int, ...]) -> str:
    """Advise on an array without the fields x, y, t and p.

    Args:
        names: Of the fields that it has; None: it is no structured array.
        shape: Of the array.
    """
    if names is None:
        if len(shape) == 2 and shape[1] == 4:
            line = 'events = np.rec.fromarrays(events.T, names="x,y,t,p")'
            return f"{WANTED} If its columns are those, in this order, in NumPy: {line}"
        return WANTED
    meant = {each: field for field, others in FIELDS.items() for each in names if each.lower() in others}
    if sorted(meant.values()) != sorted(FIELDS):
        return WANTED
    renamed = tuple(meant.get(each, each) for each in names)
    return f"Name the fields x, y, t and p. In NumPy: events.dtype.names = {renamed}"


def for_column(name: str, dtype: DTypeLike) -> str:
    """Advise on a column that is not of integers."""
    if np.dtype(dtype).kind != "f":
        return WANTED
    if name == "t":
        return f"{WANTED} If t is in seconds, in NumPy: t = np.round(1e6 * t).astype(np.int64)"
    return f"{WANTED} In NumPy: {name} = {name}.astype(np.int64)"


def for_polarity(p_E: Column) -> str:
    """Advise on polarities that are not those of two kinds of events."""
    said = "Save p as 0 (darker) or 1 (brighter)."
    values = np.unique(p_E)
    if len(values) > 2:
        return f"{said} In NumPy, if all above 0 are brighter: p = p > 0"
    return f"{said} In NumPy, if {values[-1]} is brighter: p = p == {values[-1]}"


def for_order(t_E: Column, event: int) -> str:
    """Advise on time that goes back at ``event``."""
    if t_E[event] >= 0 and t_E[event - 1] < CLOCK and t_E[event - 1] - t_E[event] > CLOCK // 2:
        return "If a clock of 32 bits ran over, in NumPy: t = np.unwrap(t.astype(np.int64), period=2**32)"
    return (
        "Sort the events by time. In NumPy: "
        'order = np.argsort(t, kind="stable"); x, y, t, p = x[order], y[order], t[order], p[order]'
    )


def for_place(x_E: Column, y_E: Column, sensor_HW: tuple[int, int]) -> str:
    """Advise on places outside the sensor."""
    name_it = "name the sensor that it was recorded with (data.options.sensor=[rows,columns])"
    height, width = sensor_HW

    def fits(columns_E: NDArray[np.int64], rows_E: NDArray[np.int64]) -> bool:
        return bool(min(columns_E.min(), rows_E.min()) >= 0 and columns_E.max() < width and rows_E.max() < height)

    if fits(y_E, x_E):
        return f"x is the column and y the row: if they are exchanged, in NumPy: x, y = y, x; else {name_it}."
    if fits(x_E - 1, y_E - 1):
        return f"x and y count from 0: if these count from 1, in NumPy: x, y = x - 1, y - 1; else {name_it}."
    return f"{name_it[0].upper()}{name_it[1:]}, or save x and y as pixels of it, from 0."
