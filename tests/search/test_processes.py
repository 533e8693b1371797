"""What worker processes have in common: memory that is free again goes back to the system."""

import platform
from pathlib import Path

import pytest

from search.processes import trim_heap

MEBI = 2**20


def resident() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library keeps what is free in pieces")
def test_a_heap_in_pieces_is_given_back() -> None:
    pieces = [bytearray(b"x" * 100_000) for _ in range(1000)]
    kept = pieces[::10]
    full = resident()
    del pieces
    trim_heap()
    assert full - resident() > 60 * MEBI  # of 90 that are free
    assert all(each == b"x" * 100_000 for each in kept)
