"""Blocks of M weights of which N at most live: where they lie in a weight, and how that is checked.

Axes: O outputs, I inputs (of one group), K any kernel axes, R blocks, M weights of a block.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_snn.errors import PruningError

AXES = ("channels", "flat")


@dataclass(frozen=True)
class Pattern:
    """N:M, and which M weights ``[O, I, *K]`` make a block."""

    n: int
    """Most live weights of a block."""
    m: int
    """Weights of a block."""
    blocks: str
    """``channels``: M neighbouring inputs of one output and kernel position, as kernels for 2:4 need it;
    ``flat``: M neighbours along the flattened axes I and K."""

    def __post_init__(self) -> None:
        """Check the options."""
        if not 1 <= self.n < self.m:
            raise PruningError(
                "Of m weights n live, at least 1 and not all: found "
                f"pruning.options.n={self.n} and pruning.options.m={self.m}. Use 2 and 4, say."
            )
        if self.blocks not in AXES:
            raise PruningError(f"pruning.options.blocks must be 'channels' or 'flat', found {self.blocks!r}.")

    def __str__(self) -> str:
        """Return N:M."""
        return f"{self.n}:{self.m}"

    def row(self, shape: torch.Size) -> int:
        """Return how many weights of a layer stand in a row that is cut into blocks."""
        return shape[1] if self.blocks == "channels" else math.prod(shape[1:])

    def split(self, weight: Tensor) -> Tensor:
        """Return a weight as its blocks, ``[R, M]``; :meth:`join` takes it back. ``row`` is a multiple of M."""
        return (weight.movedim(1, -1) if self.blocks == "channels" else weight).reshape(-1, self.m)

    def join(self, blocks_RM: Tensor, shape: torch.Size) -> Tensor:
        """Return blocks as a weight of that shape."""
        if self.blocks == "flat":
            return blocks_RM.reshape(shape)
        return blocks_RM.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


def top_n(scores_RM: Tensor, n: int) -> Tensor:
    """Return where the ``n`` highest scores of each block are, boolean; of equal ones, the first."""
    best_RN = scores_RM.sort(dim=-1, descending=True, stable=True).indices[..., :n]
    return torch.zeros_like(scores_RM, dtype=torch.bool).scatter_(-1, best_RN, True)


def assert_pattern(name: str, weight: Tensor, pattern: Pattern) -> None:
    """Check that at most N weights of each block are not zero.

    Args:
        name: Of the layer, for the message.
        weight: As the layer uses it.
        pattern: What must hold.

    Raises:
        PruningError: If a block has more.
    """
    live_R = pattern.split(weight.detach()).count_nonzero(dim=-1)
    if int(live_R.max()) > pattern.n:
        raise PruningError(
            f"Layer {name} must have at most {pattern.n} live weights in each block of {pattern.m}, found "
            f"{int(live_R.max())}. Train with the pruner as a callback, after prepare_(network), and let nothing else "
            "change weights."
        )
