"""NumPy's own files: a structured array of events (.npy, .npz), or an array for each column (.npz).

Axes: E events.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules import _array_advice
from datamodules._array_advice import WANTED
from datamodules._raw_events import Column
from datamodules._raw_events import Malformed
from datamodules._raw_events import RawEvents
from datamodules._raw_events import column

COLUMNS = ("x", "y", "t", "p")
PICKLE = b"\x80"
"""First byte of every pickle that Python 3 writes."""
OBJECTS = "Object arrays cannot be loaded"
"""What NumPy says of a pickle inside a .npy."""


def parse_npy(data: bytes) -> RawEvents:
    """Return the events of a structured array with the fields x, y, t and p.

    Raises:
        Malformed: If the file is damaged, or holds anything else.
    """
    return _of_array(load_npy(data), sensor_HW=None)


def parse_npz(data: bytes) -> RawEvents:
    """Return the events of the arrays x, y, t and p, or of the one structured array that has these fields.

    The sensor is stated by the numbers ``height`` and ``width``, where the file has them.

    Raises:
        Malformed: If the file is damaged, or holds anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {name.removesuffix(".npy"): load_npy(archive.read(name)) for name in archive.namelist()}
    except Malformed:
        raise
    except Exception as error:  # zipfile and its decompressors have a dozen kinds
        raise Malformed(f"a damaged .npz ({error})") from error
    sensor_HW = _stated_sensor(arrays)
    if all(name in arrays for name in COLUMNS):
        return _of_columns({name: arrays[name] for name in COLUMNS}, sensor_HW)
    structured = [array for array in arrays.values() if array.dtype.names is not None]
    if len(structured) != 1:
        raise Malformed(f"the arrays {', '.join(map(repr, sorted(arrays))) or '(none)'}", WANTED)
    return _of_array(structured[0], sensor_HW)


def parse_gesture(data: bytes) -> RawEvents:
    """Return the events of an array ``[E, 4]`` of x, y, polarity and time in milliseconds.

    Raises:
        Malformed: If the file is damaged, or holds anything else.

    Source:
        DVS128 Gesture as tonic distributes it (``tonic/datasets/dvsgesture.py``).
    """
    array = load_npy(data)
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise Malformed(f"an array of {array.dtype} and shape {array.shape} instead of x, y, polarity, milliseconds")
    x_E, y_E, p_E, t_E = integers(array).T
    if (np.abs(t_E) >= 1 << 50).any():
        raise Malformed("times of more than 2^50 ms")
    return RawEvents(x_E, y_E, 1000 * t_E, p_E, sensor_HW=None)


def load_npy(data: bytes) -> NDArray[Any]:
    """Return the array; nothing in the file is ever executed.

    Raises:
        Malformed: If the file is damaged, or holds Python objects.
    """
    if data.startswith(PICKLE):
        raise Malformed("a pickle, which may hold code", _array_advice.for_objects())
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise Malformed(f"{data[:8]!r} at byte 0 instead of the mark of NumPy's .npy")
    try:
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # of a damaged header NumPy raises a dozen kinds
        reason = " ".join(str(error).split())
        if reason.startswith(OBJECTS):
            raise Malformed("an array of Python objects, which may hold code", _array_advice.for_objects()) from error
        raise Malformed(f"a damaged .npy ({reason})") from error
    return array


def _of_array(array: NDArray[Any], sensor_HW: tuple[int, int] | None) -> RawEvents:
    if array.dtype.names is None or not set(COLUMNS) <= set(array.dtype.names):
        raise Malformed(
            f"an array of {array.dtype} and shape {array.shape} without the fields x, y, t and p",
            _array_advice.for_fields(array.dtype.names, array.shape),
        )
    return _of_columns({name: array[name] for name in COLUMNS}, sensor_HW)


def _of_columns(arrays: Mapping[str, NDArray[Any]], sensor_HW: tuple[int, int] | None) -> RawEvents:
    shape = arrays["x"].shape
    for name, array in arrays.items():
        if array.dtype.kind not in "iub" or array.shape != shape or array.ndim != 1:
            advice = _array_advice.for_column(name, array.dtype) if array.shape == shape and array.ndim == 1 else WANTED
            raise Malformed(f"{array.dtype} of shape {array.shape} for {name}", advice)
    x_E, y_E, t_E, p_E = (integers(arrays[name]) for name in COLUMNS)
    return RawEvents(x_E, y_E, t_E, p_E, sensor_HW)


def integers(values: NDArray[Any]) -> Column:
    """Return numbers as int64.

    Raises:
        Malformed: If one of them is too large, or has a fraction.
    """
    with np.errstate(invalid="ignore"):
        converted = column(values)
    for event in np.argwhere(converted != values)[:1]:
        raise Malformed(f"{values[tuple(event)]} in event {event[0]}, which is no integer of 64 bits", WANTED)
    return converted


def _stated_sensor(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, int] | None:
    stated = [arrays[name] for name in ("height", "width") if name in arrays]
    if not stated:
        return None
    if len(stated) != 2 or any(array.shape != () or array.dtype.kind not in "iu" for array in stated):
        raise Malformed("height and width that are not two whole numbers", "Save both, or neither.")
    height, width = (int(array.item()) for array in stated)
    return height, width
