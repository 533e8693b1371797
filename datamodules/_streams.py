"""Independent random streams of a data module: one for each (seed, purpose, index)."""

import enum

import numpy as np


class Stream(enum.IntEnum):
    """What a stream is for. The numbers shape splits and orders: never renumber them."""

    TEST_SPLIT = 1
    VALIDATION_SPLIT = 2
    TRAIN_SUBSET = 3
    VALIDATION_SUBSET = 4
    TEST_SUBSET = 5
    EPOCH_ORDER = 6
    CALIBRATION_ORDER = 7
    CALIBRATION_AUGMENT = 8
    EVENT_VARIATION = 9


def generator_for(seed: int, stream: Stream, *index: int) -> np.random.Generator:
    """Return the generator of one purpose. Never ``seed + n``: neighbouring seeds would share streams.

    Args:
        seed: Root seed of the data module, 0 or greater.
        stream: What the numbers are for.
        index: Any further numbers, such as the epoch.
    """
    return np.random.default_rng([seed, int(stream), *index])
