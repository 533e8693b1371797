"""Prophesee's .dat, version 2.

Header lines, each starting with ``%``; a byte for the type of the events and one for their size; then little-endian
pairs of time (microseconds, 32 bits) and word, four bytes each. Bits of a word: 0-13 x, 14-27 y, 28-31 polarity.

Source:
    Prophesee, "DAT file format", https://docs.prophesee.ai/stable/data/file_formats/dat.html. Own reader: tonic's
    ``io`` has none.
"""

import re

import numpy as np

from datamodules._raw_events import Malformed
from datamodules._raw_events import RawEvents
from datamodules._raw_events import column
from datamodules._raw_events import records
from datamodules._raw_events import unwrapped

RECORD = np.dtype([("time", "<u4"), ("word", "<u4")])
PIXEL_EVENTS = (0x00, 0x0C)
"""Types ``Event2d`` and ``EventCD``; their layout is the same."""


def parse(data: bytes) -> RawEvents:
    """Return the events, and the sensor where the header states it.

    Raises:
        Malformed: If the header is cut, or of another version or type of events, or a record is cut.
    """
    start = 0
    while data.startswith(b"%", start):  # no type of events has this number
        end = data.find(b"\n", start)
        if end < 0:
            raise Malformed(f"a header line without an end at byte {start}")
        start = end + 1
    header = data[:start].decode("latin-1")
    if _stated(header, "Version") != 2:
        raise Malformed(f"no line '% Version 2' in the header of {start} bytes")
    if len(data) < start + 2:
        raise Malformed(f"no type and size of events at byte {start}, where the file ends")
    kind, size = data[start], data[start + 1]
    if kind not in PIXEL_EVENTS or size != RECORD.itemsize:
        raise Malformed(
            f"events of type {kind} and {size} bytes at byte {start}",
            f"Types {PIXEL_EVENTS[0]} and {PIXEL_EVENTS[1]} of {RECORD.itemsize} bytes, events of pixels, can be read.",
        )
    records_E = records(data, start + 2, RECORD)
    word_E = column(records_E["word"])
    height, width = _stated(header, "Height"), _stated(header, "Width")
    return RawEvents(
        x_E=word_E & 0x3FFF,
        y_E=word_E >> 14 & 0x3FFF,
        t_E=unwrapped(records_E["time"]),
        p_E=word_E >> 28,
        sensor_HW=(height, width) if height and width else None,
    )


def _stated(header: str, keyword: str) -> int | None:
    found = re.search(rf"^% *{keyword} +([0-9]{{1,9}})\s*$", header, re.MULTILINE)
    return int(found[1]) if found else None
