"""Every format that can be read, with a writer of small files; and what reading one may end in.

Axes: E events.
"""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules.recordings import EVENT
from datamodules.recordings import RecordingError
from datamodules.recordings import read_recording
from tests.datamodules import event_files as files

SMALL_HW = (20, 30)
ROWS = [(3, 4, 10, 1), (29, 19, 10, 0), (0, 0, 2000, 1)]


def npy(events: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, events)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def three_packets(events: NDArray[np.void], *, compression: int) -> bytes:
    return files.aedat4([events[:1], events[1:1], events[1:]], SMALL_HW, compression=compression)


Encode = Callable[[NDArray[np.void]], bytes]
ENCODERS: dict[str, tuple[str, Encode]] = {
    "aedat2": (".aedat", files.aedat2),
    **{
        f"aedat4, compression {kind}": (
            ".aedat4",
            partial(three_packets, compression=kind),
        )
        for kind in range(5)
    },
    "aedat4 of a recorder that was stopped": (
        ".aedat4",
        lambda events: files.aedat4([events], SMALL_HW, compression=1, with_table=False),
    ),
    "n-mnist": (".bin", files.n_mnist),
    "prophesee": (".dat", lambda events: files.prophesee(events, SMALL_HW)),
    "npy": (".npy", npy),
    "npz": (".npz", lambda events: npz(events=events, height=SMALL_HW[0], width=SMALL_HW[1])),
    "npz of columns": (
        ".npz",
        lambda events: npz(**{name: events[name] for name in ("x", "y", "t", "p")}, height=20, width=30),
    ),
}
STATES_SMALL = [name for name in ENCODERS if name.startswith(("aedat4", "prophesee", "npz"))]


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(RecordingError) as caught:
        read_recording(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def acceptable(path: Path, sensor_HW: tuple[int, int] | None) -> None:
    """Read, and hold the result against all that is promised."""
    try:
        events, (H, W) = read_recording(path, sensor_HW=sensor_HW)
    except RecordingError:
        refusal(path, sensor_HW=sensor_HW)
        return
    assert events.dtype == EVENT
    assert len(events) > 0
    assert (events["x"] >= 0).all()
    assert (events["x"] < W).all()
    assert (events["y"] >= 0).all()
    assert (events["y"] < H).all()
    assert np.isin(events["p"], [0, 1]).all()
    assert (events["t"][1:] >= events["t"][:-1]).all()
