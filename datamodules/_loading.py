"""Samples in memory or mapped from disk, fetched a whole batch at a time in an order that only (seed, epoch) decides.

A loader that fetches sample by sample spends its time on collating; here a batch is one index operation.
Axes: N samples of a source, M samples of a split, B batch.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from collections.abc import Sized
from typing import Any
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from datamodules._streams import Stream
from datamodules._streams import generator_for

Batch = tuple[Tensor, Tensor]


class Samples(NamedTuple):
    """What a source holds: raw inputs ``[N, ...]`` of any dtype, and their classes ``[N]``, int64."""

    inputs: Tensor
    labels_N: Tensor


class Split(Dataset[Batch]):
    """Some samples of a source, decoded when they are fetched. The source is shared, not copied."""

    def __init__(self, samples: Samples, rows_M: NDArray[np.int64], decode: Callable[[Tensor], Tensor]) -> None:
        """Take the rows ``rows_M``; ``decode`` turns raw inputs into network inputs, by batch."""
        self.rows_M = torch.from_numpy(rows_M)
        self.labels_M = samples.labels_N[self.rows_M]
        self._inputs = samples.inputs
        self._decode = decode

    def __len__(self) -> int:
        """Return M."""
        return len(self.rows_M)

    def __getitem__(self, position: int) -> Batch:
        """Return one sample, without a batch axis."""
        x, y_B = self.__getitems__([position])
        return x[0], y_B[0]

    def __getitems__(self, positions: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return a whole batch; a ``DataLoader`` prefers this to one call a sample."""
        positions_B = torch.as_tensor(positions)
        # index_select copies whole rows: ten times as fast as inputs[rows_B] on images
        return self._decode(self._inputs.index_select(0, self.rows_M[positions_B])), self.labels_M[positions_B]


def keep_batch(batch: Any) -> Any:
    """Return what ``__getitems__`` made: the collate function of a :class:`Split`."""
    return batch


class EpochSampler(DistributedSampler[Any]):
    """A new order every epoch, decided by (seed, epoch) and shared out among processes.

    Lightning calls ``set_epoch``, also after a restart, and leaves a ``DistributedSampler`` in its place.
    The parent's own order is not used: it draws from ``seed + epoch``, so that seed 0 in epoch 1 would be
    seed 1 in epoch 0.
    """

    def __init__(self, split: Sized, *, seed: int, num_replicas: int | None = None, rank: int | None = None) -> None:
        """Order the positions of ``split``, for the processes of ``torch.distributed`` where it is in use."""
        self.length = len(split)
        in_use = distributed.is_available() and distributed.is_initialized()
        super().__init__(
            split,  # type: ignore[arg-type]  # only its length is used
            num_replicas=num_replicas or (None if in_use else 1),
            rank=rank if rank is not None or in_use else 0,
            seed=seed,
        )

    def __iter__(self) -> Iterator[int]:
        """Yield this process's positions; drawn at the first step, so that a late ``set_epoch`` counts."""
        order = generator_for(self.seed, Stream.EPOCH_ORDER, self.epoch).permutation(self.length)
        shared = np.resize(order, self.total_size)  # repeats the first few, so that every process has as many
        yield from shared[self.rank :: self.num_replicas].tolist()
