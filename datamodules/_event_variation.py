"""Training recordings varied at random, event by event, anew in every epoch.

Axes: E events, M samples of a split, B batch.
"""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datamodules._loading import Batch
from datamodules._loading import EpochSampler
from datamodules.errors import DataError
from datamodules.recordings import Recording


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How recordings are varied.

    Raises:
        DataError: If a setting is out of its range.

    Source:
        tonic's ``DropEvent`` and ``SpatialJitter``.
    """

    drop: float = 0.0
    """Share of the events that is left out, in [0, 1); the count is rounded."""
    jitter: float = 0.0
    """Standard deviation of the shift of every event, in sensor pixels; what leaves the sensor is lost."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0.0 <= self.drop < 1.0:
            raise DataError(f"drop must lie between 0 and 1, found {self.drop}. Use 0 to keep all events.")
        if not 0.0 <= self.jitter < np.inf:
            raise DataError(f"jitter must be 0 or greater, found {self.jitter}. Use pixels, 0 to move no event.")

    def __bool__(self) -> bool:
        """Return whether anything is varied."""
        return self.drop > 0 or self.jitter > 0

    def __call__(self, recording: Recording, generator: np.random.Generator) -> Recording:
        """Return a varied copy; ``generator`` decides it alone, and the global NumPy generator is left as it was."""
        from tonic.transforms import DropEvent  # GPL, and slow to import
        from tonic.transforms import SpatialJitter

        events_E, (H, W) = recording.events, recording.sensor_HW
        dtype = events_E.dtype
        with _global_generator(generator):
            if self.drop:
                events_E = DropEvent(p=self.drop)(events_E)
            if self.jitter and len(events_E):
                # SpatialJitter rounds integers towards zero, which would shift everything by half a pixel: give it
                # the centres of pixels as fractions, and round down afterwards
                fractions = [(name, "<f8" if name in ("x", "y") else dtype[name]) for name in dtype.names or ()]
                centred_E = events_E.astype(fractions)
                centred_E["x"] += 0.5
                centred_E["y"] += 0.5
                variance = self.jitter**2
                shift = SpatialJitter(sensor_size=(W, H, 2), var_x=variance, var_y=variance, clip_outliers=True)
                events_E = shift(centred_E).astype(dtype)
        return recording._replace(events=events_E)


@contextlib.contextmanager
def _global_generator(generator: np.random.Generator) -> Iterator[None]:
    """Let the global NumPy generator, the only one that tonic knows, follow ``generator`` for a while."""
    before = np.random.get_state()
    np.random.seed(generator.integers(2**32, size=4))
    try:
        yield
    finally:
        np.random.set_state(before)


class CountingSampler(EpochSampler):
    """The order of :class:`EpochSampler`, in numbers that also say the epoch: ``epoch * M + position``.

    So whoever fetches a sample knows its epoch, in this process or another, however early it fetches.
    """

    def __iter__(self) -> Iterator[int]:
        """Yield this process's numbers."""
        for position in super().__iter__():
            yield self.epoch * self.length + position


class VariedSplit(Dataset[Batch]):
    """Samples that are made when they are fetched, as the epoch has them."""

    def __init__(self, labels_M: Tensor, fetch: Callable[[int, int], Tensor]) -> None:
        """Take the classes; ``fetch(position, epoch)`` returns one network input."""
        self._labels_M = labels_M
        self._fetch = fetch

    def __len__(self) -> int:
        """Return M."""
        return len(self._labels_M)

    def __getitem__(self, number: int) -> Batch:
        """Return one sample, without a batch axis."""
        epoch, position = divmod(number, len(self))
        return self._fetch(position, epoch), self._labels_M[position]

    def __getitems__(self, numbers: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return a whole batch of samples by the numbers of a :class:`CountingSampler`."""
        inputs, labels = zip(*(self[int(number)] for number in numbers), strict=True)
        return torch.stack(inputs), torch.stack(labels)
