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
    digest: str
    """Of the content that :meth:`read` makes events of."""
    read: Callable[[], Recording]
    """Raises ``RecordingError`` where the recording cannot be read."""
