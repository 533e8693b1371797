"""AEDAT 2.0 of a DVS128, as jAER writes it and CIFAR10-DVS was published in.

Header lines, each starting with ``#``; then big-endian pairs of address and time, four bytes each. Time is counted
in microseconds by a clock of 32 bits that wraps. Bits of an address: 0 polarity (1 is on), 1-7 x, 8-14 y, 15 a
pulse on the camera's input pin (left out here: it is no event of a pixel). y counts upwards, and x is stored mirrored;
both are handed on as stored.

Source:
    iniVation, "AEDAT 2.0", https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html.
    Own reader: that of tonic 1.7 (``read_dvs_128``) fails on every file, unpacking three values into two.
"""

import numpy as np

from datamodules._raw_events import Malformed
from datamodules._raw_events import RawEvents
from datamodules._raw_events import column
from datamodules._raw_events import records
from datamodules._raw_events import unwrapped

RECORD = np.dtype([("address", ">u4"), ("time", ">u4")])
SENSOR_HW = (128, 128)


def parse(data: bytes) -> RawEvents:
    """Return the events of a DVS128.

    Raises:
        Malformed: If the header is cut or of another version, a record is cut, or an address is of another camera.
    """
    if not data.startswith(b"#!AER-DAT2."):
        raise Malformed(f"{data[:16]!r} at byte 0 instead of #!AER-DAT2.0")
    start = 0
    while data.startswith(b"#", start):  # no address of a DVS128 does: its first two bytes are 0
        end = data.find(b"\n", start)
        if end < 0:
            raise Malformed(f"a header line without an end at byte {start}")
        start = end + 1
    records_E = records(data, start, RECORD)
    address_E = column(records_E["address"])
    foreign = np.flatnonzero(address_E >> 16)
    if len(foreign):
        at = start + int(foreign[0]) * RECORD.itemsize
        raise Malformed(
            f"the address {address_E[foreign[0]]:#x} at byte {at}, which no DVS128 has",
            "Of AEDAT 2.0 only recordings of that camera can be read; save others as AEDAT 4.0.",
        )
    of_pixel_E = address_E < 1 << 15
    address_E = address_E[of_pixel_E]
    return RawEvents(
        x_E=address_E >> 1 & 127,
        y_E=address_E >> 8,
        t_E=unwrapped(records_E["time"])[of_pixel_E],
        p_E=address_E & 1,
        sensor_HW=SENSOR_HW,
    )
