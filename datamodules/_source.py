"""A recording that can be read when it is needed, and what tells it from all others."""

from collections.abc import Callable
from typing import NamedTuple

from datamodules.recordings import Recording


class Source(NamedTuple):
    """One recording of a data set."""

    name: str
    """As a user finds it: the path below the data set's folder, and the part of the file where it is only a part."""
    label: int
    """Class, from 0."""
    fingerprint: str
    """Changes whenever :meth:`read` would give other events: size and time of the file, or a hash of it."""
    read: Callable[[], Recording]
    """Raises ``RecordingError`` where the recording cannot be read."""
