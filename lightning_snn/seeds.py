"""Independent random streams: one for each (seed, purpose, index)."""

import zlib

import numpy as np


def seed_for(seed: int, purpose: str, *index: int) -> int:
    """Return a 63-bit seed of its own for one purpose.

    Never ``seed + n``: studies with neighbouring seeds would share streams.

    Args:
        seed: Root seed of the run, 0 or greater.
        purpose: What the stream is for, such as ``"shuffle"``.
        index: Any further numbers, such as epoch and rank.
    """
    # a spawn key, because (seed, purpose) and (seed, purpose, 0) are the same entropy to NumPy
    sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), *index))
    words = sequence.generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])
