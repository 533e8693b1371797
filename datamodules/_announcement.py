"""Two lines about work that takes long: when that is clear, and at its end."""

import sys
import time
from typing import Final

LONG_S: Final = 2.0
"""Work that takes longer is announced."""


class Announcement:
    """Called with the steps done and their number, before the first and after each."""

    def __init__(self, doing: str, done: str) -> None:
        """Take what is said of the work while it goes on, and once it is done."""
        self._doing, self._done = doing, done
        self._said = False
        self._start_s = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Say what there is to say, if anything."""
        if done == 0:
            self._start_s = time.monotonic()
            return
        seconds = time.monotonic() - self._start_s
        if self._said and done == total:
            print(f"{self._done}: {total:,} recordings in {seconds:.0f} s", file=sys.stderr)
        if not self._said and seconds > LONG_S:
            self._said = True
            left = seconds * (total - done) / done
            print(f"{self._doing}: {total:,} recordings, about {left:.0f} s left", file=sys.stderr, flush=True)
