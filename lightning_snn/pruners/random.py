"""Pruning at random: the control that every other pruner must beat."""

import numpy as np
import torch
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn.criteria import channel_scores
from lightning_snn.errors import PruningError
from lightning_snn.pruners._channels import LOW
from lightning_snn.pruners._channels import ChannelPruner
from lightning_snn.pruners._channels import Scores
from lightning_snn.pruners._layer_shares import by_layer
from lightning_snn.pruners._layer_shares import uniform_counts
from lightning_snn.pruners._weights import Allocation
from lightning_snn.pruners._weights import WeightPruner
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.pruner import Pruner
from lightning_snn.seeds import seed_for
from lightning_snn.surgery import ChannelPlan


def build(
    *,
    bench: Bench,
    target: float | None = None,
    of: str = "weights",
    sparsity: float | None = None,
    keep: float | None = None,
    low: float = LOW,
    rounds: int = 1,
) -> Pruner:
    """Return the control for one kind of pruning.

    Args:
        bench: Training data to measure on; its seed draws.
        target: Share of the dense SynOps that is kept; a half by default.
        of: ``weights``, the same share of each layer, or ``channels``, from all groups.
        sparsity: In place of the target, share of all weights that are zero in the end.
        keep: In place of the target, share of all channels that is kept.
        low: Least share of its channels that each group keeps.
        rounds: How often weights are pruned and fine-tuned.

    Raises:
        PruningError: If an option is out of range, or does not fit ``of``.
    """
    if of not in ("weights", "channels"):
        raise PruningError(f"pruning.options.of must be 'weights' or 'channels', found {of!r}.")
    of_weights, of_channels = (
        {"sparsity": sparsity is not None, "rounds": rounds > 1},
        {"keep": keep is not None, "low": low != LOW},
    )
    for option in (name for name, given in (of_channels if of == "weights" else of_weights).items() if given):
        raise PruningError(f"pruning.options.{option} is not for {of}. Leave it out.")
    if of == "weights":
        return RandomWeights(bench=bench, target=target, sparsity=sparsity, rounds=rounds)
    return RandomChannels(bench=bench, target=target, keep=keep, low=low)


class RandomWeights(WeightPruner):
    """Keep the same share of each layer's weights, drawn at random."""

    name = "random"

    def allocation(self, network: nn.Module) -> Allocation:
        """Rank the live weights of each layer at random."""
        generator = torch.Generator().manual_seed(seed_for(self.bench.seed, "random weights"))
        weights = {name: layer.weight.detach() for name, layer in weighted_layers(network).items()}
        drawn = {
            name: torch.rand(weight.shape, generator=generator).add_(1.0).to(weight.device) * (weight != 0.0)
            for name, weight in weights.items()
        }
        shapes = {name: weight.shape for name, weight in weights.items()}
        return lambda live: by_layer(drawn, uniform_counts(shapes, live))


class RandomChannels(ChannelPruner):
    """Keep channels drawn at random from all groups."""

    name = "random"

    def scores(self, network: nn.Module, plan: ChannelPlan) -> Scores:
        """Draw a number for each channel."""
        drawn = channel_scores("random", network, plan, self.bench.seed)
        return {name: np.asarray(values) for name, values in drawn.items()}
