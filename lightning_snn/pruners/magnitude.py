"""Magnitude pruning of single weights, the usual control: over all layers, alike in each, or by ERK."""

from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn.errors import PruningError
from lightning_snn.errors import nearest
from lightning_snn.pruners._layer_shares import by_layer
from lightning_snn.pruners._layer_shares import erk_counts
from lightning_snn.pruners._layer_shares import ranked
from lightning_snn.pruners._layer_shares import uniform_counts
from lightning_snn.pruners._weights import Allocation
from lightning_snn.pruners._weights import WeightPruner
from lightning_snn.pruners.bench import Bench

SHARES = ("global", "uniform", "erk")


class Magnitude(WeightPruner):
    """Keep the weights of largest magnitude."""

    name = "magnitude"

    def __init__(
        self,
        *,
        bench: Bench,
        target: float | None = None,
        sparsity: float | None = None,
        rounds: int = 1,
        layers: str = "global",
    ) -> None:
        """Say how much is pruned, and from where.

        Args:
            bench: Training data to measure on.
            target: Share of the dense SynOps that is kept; a half by default.
            sparsity: In place of it, share of all weights that are zero in the end.
            rounds: One-shot is 1; with more, each round prunes the same share of what is left, and is fine-tuned.
            layers: ``global`` (one ranking of all weights), ``uniform`` (the same share of each layer) or ``erk``.

        Raises:
            PruningError: If an option is out of range.
        """
        super().__init__(bench=bench, target=target, sparsity=sparsity, rounds=rounds)
        if layers not in SHARES:
            raise PruningError(f"No pruning.options.layers is called {layers!r}. {nearest(layers, SHARES)}")
        self.layers = layers

    def allocation(self, network: nn.Module) -> Allocation:
        """Rank weights by magnitude, over all layers or in each."""
        magnitudes = {name: layer.weight.detach().abs() for name, layer in weighted_layers(network).items()}
        if self.layers == "global":
            return ranked(magnitudes, magnitudes)
        counts = uniform_counts if self.layers == "uniform" else erk_counts
        shapes = {name: magnitude.shape for name, magnitude in magnitudes.items()}
        return lambda live: by_layer(magnitudes, counts(shapes, live))
