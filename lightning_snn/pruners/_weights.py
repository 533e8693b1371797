"""Pruners of single weights: who lives is theirs to say, how many is decided here."""

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn._made_weights import made_weight
from lightning_snn.connectivity import live_weights
from lightning_snn.errors import PruningError
from lightning_snn.pruners._layer_shares import least_live
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.masks import Masks
from lightning_snn.pruners.masks import apply_masks_
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.pruners.pruner import Pruner
from lightning_snn.pruners.pruner import one_strength

Allocation = Callable[[int], Masks]
"""Number of live weights -> which ones."""


class WeightPruner(Pruner):
    """Prune weights of a trained network, in all convolutions and linear layers; fine-tuning holds the masks."""

    name: ClassVar[str]

    def __init__(
        self, *, bench: Bench, target: float | None = None, sparsity: float | None = None, rounds: int = 1
    ) -> None:
        """Say how much is pruned.

        Args:
            bench: Training data to measure on.
            target: Share of the dense SynOps that is kept; a half by default.
            sparsity: In place of it, share of all weights that are zero in the end, between 0 and 1.
            rounds: One-shot is 1; with more, each round prunes the same share of what is left, and is fine-tuned.

        Raises:
            PruningError: If an option is out of range, or both say how much.
        """
        super().__init__(bench, one_strength(self.name, target, "sparsity", sparsity), rounds)
        self.sparsity = sparsity

    def accept(self, network: nn.Module) -> None:
        """Refuse a network with weights that are made anew at every pass."""
        for name, layer in weighted_layers(network).items():
            made = made_weight(name, layer)
            if made is not None:
                raise PruningError(made)

    @abstractmethod
    def allocation(self, network: nn.Module) -> Allocation:
        """Return which weights of a network live, for every number of live ones; dead weights stay dead."""

    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Mask the weights that this round prunes."""
        allocation = self.allocation(network)
        weights = {name: layer.weight.detach() for name, layer in weighted_layers(network).items()}
        total = sum(weight.numel() for weight in weights.values())
        if self.sparsity is not None:
            live = round(total * (1.0 - self.sparsity) ** (round_ / self.rounds))
        else:
            alive = live_weights(network)
            least = sum(least_live(weights).values())
            live = self.most_within(least, alive, lambda count: _masked(network, allocation(count)), round_)
        masks = allocation(live)
        return Pruned(self.bench.recalibrated(_masked(network, masks)), masks, masks)


def _masked(network: nn.Module, masks: Masks) -> nn.Module:
    copied = copy.deepcopy(network)
    apply_masks_(copied, masks)
    return copied
