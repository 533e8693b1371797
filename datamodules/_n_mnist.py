"""The five-byte events of N-MNIST, and of N-Caltech101, which shares its format (and needs its sensor named).

Bytes of an event: x, y, then 24 bits, big-endian: polarity (1) and time in microseconds (23). An event with y = 240
is none of a pixel: it moves all later times by 2^13, because the recorder's clock had run over.

Source:
    G. Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using saccades" (2015), and
    the authors' reader, gorchard/event-Python ``eventvision.py``. Own reader, equal to ``tonic.io.read_mnist_file``
    on whole files: that one drops a cut event in silence, and takes hours for a file of nothing but y = 240.
"""

import numpy as np

from datamodules._raw_events import RawEvents
from datamodules._raw_events import column
from datamodules._raw_events import records

RECORD = np.dtype([("x", "u1"), ("y", "u1"), ("rest", "u1", 3)])
SENSOR_HW = (34, 34)
OVERFLOW_Y = 240
OVERFLOW_US = 1 << 13


def parse(data: bytes) -> RawEvents:
    """Return the events.

    Raises:
        Malformed: If the last event is cut.
    """
    records_E = records(data, 0, RECORD)
    y_E = column(records_E["y"])
    overflow_E = y_E == OVERFLOW_Y
    high_E, middle_E, low_E = column(records_E["rest"]).T
    t_E = ((high_E & 127) << 16 | middle_E << 8 | low_E) + OVERFLOW_US * np.cumsum(overflow_E)
    kept_E = ~overflow_E
    return RawEvents(
        x_E=column(records_E["x"])[kept_E],
        y_E=y_E[kept_E],
        t_E=t_E[kept_E],
        p_E=high_E[kept_E] >> 7,
        sensor_HW=SENSOR_HW,
    )
