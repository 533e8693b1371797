"""Small files in the formats of the originals, written from their specifications; nothing here reads one back.

Axes: E events.
"""

import struct
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.recordings import EVENT

JAER_HEADER = (
    b"#!AER-DAT2.0\r\n"
    b"# This is a raw AE data file - do not edit\r\n"
    b"# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event\r\n"
    b"# Timestamps tick is 1 us\r\n"
    b"# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
)


def events_of(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    """Return events from rows of x, y, t, p."""
    return np.array(list(rows), EVENT)


def random_events(count: int, sensor_HW: tuple[int, int], *, seed: int = 0, last_us: int = 100_000) -> NDArray[np.void]:
    generator = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["x"] = generator.integers(0, sensor_HW[1], count)
    events["y"] = generator.integers(0, sensor_HW[0], count)
    events["t"] = np.sort(generator.integers(0, last_us, count))
    events["p"] = generator.integers(0, 2, count)
    return events


def toy_rows(number: int, grid_HW: tuple[int, int]) -> NDArray[np.int64]:
    """Return 100 rows of x, y, tick, p on a grid, ticks 0 to 999: 9 at place (0, 0) at once, others apart."""
    H, W = grid_HW
    generator = np.random.default_rng(number)
    place_E = np.concatenate([np.zeros(9, int), 1 + generator.choice(2 * H * W - 1, 91, replace=False)])
    tick_E = np.concatenate([np.full(9, 500), [0, 999], generator.integers(0, 1000, 89)])
    p_E, pixel_E = np.divmod(place_E, H * W)
    rows = np.stack([pixel_E % W, pixel_E // W, tick_E, p_E], axis=1)
    return rows[np.argsort(tick_E, kind="stable")]


def toy_events(number: int, grid_HW: tuple[int, int], *, pixels: int = 1, tick_us: int = 1) -> NDArray[np.void]:
    """Return the rows as events of a sensor with ``pixels`` x ``pixels`` pixels at every place of the grid."""
    rows = toy_rows(number, grid_HW)
    rows[:, :2] = pixels * rows[:, :2] + number % pixels
    rows[:, 2] *= tick_us
    return events_of(*map(tuple, rows.tolist()))


def toy_frames(number: int, grid_HW: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the frames of the rows, a quarter of the time each."""
    frames_TCHW = np.zeros((4, 2, *grid_HW), np.uint8)
    for x, y, tick, p in toy_rows(number, grid_HW):
        frames_TCHW[tick // 250, p, y, x] += 1
    return frames_TCHW


def aedat2(events: NDArray[np.void], header: bytes = JAER_HEADER) -> bytes:
    rows = [((int(y) << 8) | (int(x) << 1) | int(p), int(t) % 2**32) for x, y, t, p in events.tolist()]
    return header + b"".join(struct.pack(">II", *row) for row in rows)


def n_mnist(events: NDArray[np.void]) -> bytes:
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, t, p in events.tolist())


def prophesee(
    events: NDArray[np.void], sensor_HW: tuple[int, int] | None, *, version: int = 2, kind: int = 12
) -> bytes:
    lines = ["% Data file containing CD events", "% Date 2020-09-14 14:18:29", f"% Version {version}"]
    if sensor_HW is not None:
        lines += [f"% Width {sensor_HW[1]}", f"% Height {sensor_HW[0]}"]
    rows = [struct.pack("<II", t % 2**32, p << 28 | y << 14 | x) for x, y, t, p in events.tolist()]
    return "\n".join([*lines, ""]).encode() + bytes([kind, 8]) + b"".join(rows)


def gesture(events: NDArray[np.void], dtype: Any = np.int64) -> NDArray[Any]:
    """Return the array that tonic's DVSGesture stores; times must be whole milliseconds."""
    return np.stack([events["x"], events["y"], events["p"], events["t"] // 1000], axis=1).astype(dtype)


def aedat4(
    packets: Sequence[NDArray[np.void]],
    sensor_HW: tuple[int, int],
    *,
    compression: int = 0,
    with_table: bool = True,
    type_identifier: str = "EVTS",
) -> bytes:
    """Return a recording with a packet of events for each element, and a foreign packet before each."""
    compress = compressor(compression)
    body = b""
    for events in packets:
        for stream, content in ((1, flat_buffer(b"IMUS", [vector(b"", 0)])), (0, _event_packet(events))):
            content = compress(content)
            body += struct.pack("<iI", stream, len(content)) + content
    xml = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">'
        f'<node name="0"><attr key="typeIdentifier" type="string">{type_identifier}</attr><node name="info">'
        f'<attr key="sizeX" type="int">{sensor_HW[1]}</attr><attr key="sizeY" type="int">{sensor_HW[0]}</attr>'
        '</node></node><node name="1"><attr key="typeIdentifier" type="string">IMUS</attr></node></node></dv>'
    ).encode()

    def header(table_at: int) -> bytes:
        fields = [struct.pack("<i", compression), struct.pack("<q", table_at), vector(xml + b"\0", len(xml))]
        return flat_buffer(b"IOHE", fields)

    start = b"#!AER-DAT4.0\r\n"
    if not with_table:
        return start + header(-1) + body
    return start + header(len(start) + len(header(0)) + len(body)) + body + compress(flat_buffer(b"FTAB", []))


def compressor(compression: int) -> Callable[[bytes], bytes]:
    if compression in (1, 2):
        import lz4.frame

        return lambda content: bytes(lz4.frame.compress(content, store_size=False))
    if compression in (3, 4):
        import zstandard

        return lambda content: zstandard.ZstdCompressor().compress(content)
    return lambda content: content


def _event_packet(events: NDArray[np.void]) -> bytes:
    structs = b"".join(struct.pack("<qhhBxxx", t, x, y, p) for x, y, t, p in events.tolist())
    return flat_buffer(b"EVTS", [vector(structs, len(events))])


class vector(bytes):
    """Content of a vector, with its length before it; stored apart from its table."""

    def __new__(cls, content: bytes, count: int) -> "vector":
        return super().__new__(cls, struct.pack("<I", count) + content)


def flat_buffer(identifier: bytes, fields: Sequence[bytes]) -> bytes:
    """Return a size-prefixed FlatBuffer with one table; a field is a number's bytes, or a :class:`vector`.

    Places count from the size before the buffer: tables and numbers lie at multiples of 4, elements at 8.
    """
    directory_at = 12  # after size, offset of the table and identifier
    table_at = directory_at + 4 * -(-(4 + 2 * len(fields)) // 4)
    places = [4]  # in the table, after the offset of the directory
    for field in fields:
        places.append(places[-1] + (4 if isinstance(field, vector) else len(field)))
    directory = struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), places[-1], *places[:-1])
    whole = bytearray(table_at + places[-1])
    whole[4:8] = struct.pack("<I", table_at - 4)
    whole[8:12] = identifier
    whole[directory_at : directory_at + len(directory)] = directory
    whole[table_at : table_at + 4] = struct.pack("<i", table_at - directory_at)
    for place, field in zip(places, fields, strict=False):
        at = table_at + place
        if isinstance(field, vector):
            whole += bytes(-(len(whole) + 4) % 8)  # its elements follow four bytes of length
            whole[at : at + 4] = struct.pack("<I", len(whole) - at)
            whole += field
        else:
            whole[at : at + len(field)] = field
    whole[:4] = struct.pack("<I", len(whole) - 4)
    return bytes(whole)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_array(path: Path, array: NDArray[Any], **others: Any) -> Path:
    """Write .npy, or .npz with more arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, events=array, **others)
    else:
        np.save(path, array)
    return path
