"""AEDAT 4.0, as iniVation's DV writes it.

A line with the version; a header (a FlatBuffer that holds XML on the streams); packets, each with a stream and a
size before it, compressed one by one; at last a table of them, whose place the header states. A packet of events is a
FlatBuffer with a vector of structs of 16 bytes. Where there are several cameras, the stream with the lowest number is
read, as tonic does. Times are microseconds since 1970.

Source:
    iniVation, "AEDAT 4.0", https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html.
    Own reader: the decoder behind ``tonic.io.read_aedat4`` (aedat 2.3) ends the whole process on some damaged
    headers, so that no error can be caught.
"""

import io
from collections.abc import Callable
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from datamodules._raw_events import Malformed
from datamodules._raw_events import RawEvents
from datamodules._raw_events import column
from datamodules._raw_events import unpack

MAGIC = b"#!AER-DAT4.0\r\n"
EVENT = np.dtype({"names": ["t", "x", "y", "on"], "formats": ["<i8", "<i2", "<i2", "u1"], "itemsize": 16})
LARGEST_PACKET = 1 << 28
"""Ours, in bytes, uncompressed: 16 million events. A few damaged bytes must not fill the memory."""

Opener = Callable[[bytes], BinaryIO]


def parse(data: bytes) -> RawEvents:
    """Return the events of the first event stream, and its sensor.

    Raises:
        Malformed: If header or packets are cut or damaged, or there is no event stream.
    """
    if not data.startswith(MAGIC):
        raise Malformed(f"{data[:16]!r} at byte 0 instead of #!AER-DAT4.0")
    at = len(MAGIC)
    size = unpack("<I", data, at)
    start = at + 4 + size
    if start > len(data):
        raise Malformed(f"a header of {size} bytes at byte {at}, in a file of {len(data)}")
    header = data[at + 4 : start]
    stream, sensor_HW = _first_event_stream(_xml(header))
    table = _field(header, 1)
    end = -1 if table is None else unpack("<q", header, table)
    compression = _field(header, 0)
    opened = _opener(0 if compression is None else unpack("<i", header, compression))
    if end == -1:  # the recorder was stopped before it could write the table
        end = len(data)
    elif start <= end < len(data):
        _buffer(opened, data[end:], b"FTAB", end)  # no event is in it; a cut file is known by it
    else:
        raise Malformed(f"a table of packets that should lie at byte {end}, in a file of {len(data)}")
    packets = [_events(_buffer(opened, body, b"EVTS", at), at) for at, body in _packets(data, start, end, stream)]
    events_E = np.concatenate(packets) if packets else np.empty(0, EVENT)
    x_E, y_E, t_E, on_E = (column(events_E[name]) for name in ("x", "y", "t", "on"))
    return RawEvents(x_E, y_E, t_E, on_E, sensor_HW)


def _first_event_stream(xml: bytes) -> tuple[int, tuple[int, int]]:
    if b"<!" in xml:  # entities can grow without bound; DV writes none
        raise Malformed("a document type in the XML of the header")
    try:
        root = ElementTree.fromstring(xml)
        streams = {
            int(node.get("name", "")): node
            for node in root.iterfind("./node[@name='outInfo']/node")
            if node.findtext("attr[@key='typeIdentifier']") == "EVTS"
        }
        if not streams:
            raise Malformed("no stream of events in the header")
        first = min(streams)
        width, height = (int(streams[first].findtext(f"node/attr[@key='{key}']", "")) for key in ("sizeX", "sizeY"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Malformed(f"XML in the header that cannot be read ({error})") from error
    return first, (height, width)


def _packets(data: bytes, start: int, end: int, stream: int) -> Iterator[tuple[int, bytes]]:
    """Yield place and content of the packets of ``stream``."""
    at = start
    while at < end:
        if end - at < 8:
            raise Malformed(f"{end - at} bytes of a packet at byte {at}, where the packets end")
        size = unpack("<I", data, at + 4)
        if size > end - at - 8:
            raise Malformed(f"a packet of {size} bytes at byte {at}, but only {end - at - 8} more bytes of packets")
        if unpack("<i", data, at) == stream:
            yield at, data[at + 8 : at + 8 + size]
        at += 8 + size


def _opener(compression: int) -> Opener:
    if compression == 0:
        return io.BytesIO
    if compression in (1, 2):
        import lz4.frame

        return lambda body: lz4.frame.open(io.BytesIO(body))
    if compression in (3, 4):
        import zstandard

        return lambda body: zstandard.ZstdDecompressor().stream_reader(body)
    raise Malformed(f"compression {compression} in the header, and only 0 to 4 are known")


def _buffer(opened: Opener, body: bytes, identifier: bytes, at: int) -> bytes:
    """Return the FlatBuffer of a packet, without the size before it."""
    try:
        stream = opened(body)
        size = unpack("<I", stream.read(4), 0)
        buffer = stream.read(size) if size <= LARGEST_PACKET else b""
        stream.read(1)  # to the end of the frame, which may be missing
    except Exception as error:  # each compressor has its own kinds
        raise Malformed(f"a packet that cannot be decompressed at byte {at} ({error})") from error
    if len(buffer) != size or buffer[4:8] != identifier:
        raise Malformed(
            f"a packet at byte {at} that promises {size} bytes of {identifier.decode()} and has "
            f"{len(buffer)} of {buffer[4:8]!r}"
        )
    return buffer


def _events(buffer: bytes, at: int) -> NDArray[np.void]:
    field = _field(buffer, 0)
    if field is None:
        return np.empty(0, EVENT)
    vector = field + unpack("<I", buffer, field)
    count = unpack("<I", buffer, vector)
    if vector + 4 + count * EVENT.itemsize > len(buffer):
        raise Malformed(f"a packet at byte {at} that promises {count} events and has {len(buffer)} bytes")
    return np.frombuffer(buffer, EVENT, count, vector + 4)


def _xml(header: bytes) -> bytes:
    field = _field(header, 2)
    if field is None:
        raise Malformed("a header without a description of its streams")
    text = field + unpack("<I", header, field)
    return header[text + 4 : text + 4 + unpack("<I", header, text)]


def _field(buffer: bytes, index: int) -> int | None:
    """Return the place of a field of the root table of a FlatBuffer; None where it has its default."""
    root = unpack("<I", buffer, 0)
    directory = root - unpack("<i", buffer, root)
    entry = 4 + 2 * index
    if entry + 2 > unpack("<H", buffer, directory):
        return None
    offset = unpack("<H", buffer, directory + entry)
    return root + offset if offset else None
