"""SR-STE: N:M masks by magnitude in every step of the training, from scratch.

    forward:   w * mask,   mask = the N largest |w| of each block
    backward:  dL/d(w * mask) + decay * (1 - mask) * w,   for all weights, pruned ones too

The second term pulls pruned weights to zero, so that masks settle. Source: Zhou et al., "Learning N:M fine-grained
structured sparse neural networks from scratch" (ICLR 2021); decay 2e-4 as in their repository aojunzz/NM-sparsity.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners._blocks import top_n
from lightning_snn.pruners._n_m import MaskedWeight
from lightning_snn.pruners._n_m import TrainedNM
from lightning_snn.pruners._n_m import masked_layers
from lightning_snn.pruners._n_m import original
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.masks import network_of


class LargestWeights(MaskedWeight):
    """Masks all but the N largest magnitudes; the gradient passes as if it did not."""

    @torch.no_grad()
    def mask(self, weight: Tensor) -> Tensor:
        """Return where the N largest magnitudes of each block are."""
        return self.pattern.join(top_n(self.pattern.split(weight.abs()), self.pattern.n), weight.shape)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight."""
        return weight - (weight * ~self.mask(weight)).detach()  # exact: w - 0, and w - w


class SRSTE(TrainedNM):
    """Train with N:M masks by magnitude, straight-through gradients and a decay of what is pruned."""

    def __init__(
        self,
        *,
        bench: Bench,
        target: float | None = None,
        n: int = 2,
        m: int = 4,
        blocks: str = "channels",
        decay: float = 2e-4,
    ) -> None:
        """Say which pattern, and how much pruned weights decay.

        Args:
            bench: Training data to measure on.
            target: Must be left out; the pattern says how much is kept.
            n: Most live weights of a block.
            m: Weights of a block.
            blocks: ``channels`` or ``flat``.
            decay: Share of a pruned weight that is added to its gradient; 0 is plain straight-through.

        Raises:
            PruningError: If there is a target, or an option is out of range.
        """
        super().__init__(bench=bench, target=target, n=n, m=m, blocks=blocks)
        if decay < 0.0:
            raise PruningError(f"pruning.options.decay must be at least 0, found {decay:g}.")
        self.decay = decay

    def new_mask(self, weight: nn.Parameter, index: int) -> LargestWeights:
        """Return a mask by magnitude."""
        return LargestWeights(self.pattern)

    @torch.no_grad()
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Add the decay; in a backward pass it would count once for each use of the weight, T times in mode "s"."""
        for _name, layer, mask in masked_layers(network_of(pl_module)):
            weight = original(layer)
            if weight.grad is not None:
                weight.grad.add_(weight * ~mask.mask(weight), alpha=self.decay)
