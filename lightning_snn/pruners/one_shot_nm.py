"""N:M masks that are chosen once: by magnitude, or at random, which is the control.

On a trained network, before fine-tuning; random ones also before the training, as the control of pruners that learn
their masks while they train.
"""

import copy
from abc import abstractmethod

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import top_n
from lightning_snn.pruners._n_m import MaskedWeight
from lightning_snn.pruners._n_m import NMPruner
from lightning_snn.pruners._n_m import TrainedNM
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.seeds import seed_for


class _OneShotNM(NMPruner):
    """Score weights, keep the N best of each block."""

    @abstractmethod
    def scores(self, weight: Tensor, index: int) -> Tensor:
        """Return a score for each weight of the layer at ``index``."""

    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Mask what scores least in each block."""
        layers, _ = self.choose(network)
        masks = {}
        for index, (name, layer) in enumerate(layers.items()):
            scores_RM = self.pattern.split(self.scores(layer.weight.detach(), index))
            masks[name] = self.pattern.join(top_n(scores_RM, self.pattern.n), layer.weight.shape)
        functional.reset_net(network)
        return self.cut(copy.deepcopy(network), masks)


class MagnitudeNM(_OneShotNM):
    """Keep the N weights of largest magnitude of each block."""

    def scores(self, weight: Tensor, index: int) -> Tensor:
        """Return magnitudes."""
        return weight.abs()


class RandomNM(_OneShotNM):
    """Keep N weights of each block of a trained network at random."""

    def scores(self, weight: Tensor, index: int) -> Tensor:
        """Draw a number for each weight."""
        return _drawn(self.bench.seed, weight, index)


class FixedMask(MaskedWeight):
    """Masks the same weights in every step; they get no gradient."""

    def __init__(self, pattern: Pattern, live: Tensor) -> None:
        """Take the pattern, and which weights live."""
        super().__init__(pattern)
        self.register_buffer("live", live)

    def mask(self, weight: Tensor) -> Tensor:
        """Return which weights live."""
        return self.get_buffer("live")


class RandomNMFromScratch(TrainedNM):
    """Train with N weights of each block, drawn at random before the training."""

    def new_mask(self, weight: nn.Parameter, index: int) -> FixedMask:
        """Draw a mask."""
        scores_RM = self.pattern.split(_drawn(self.bench.seed, weight.detach(), index))
        return FixedMask(self.pattern, self.pattern.join(top_n(scores_RM, self.pattern.n), weight.shape))


def random_nm(
    *,
    bench: Bench,
    target: float | None = None,
    n: int = 2,
    m: int = 4,
    blocks: str = "channels",
    from_scratch: bool = False,
) -> NMPruner:
    """Return the control for one-shot N:M pruners, or for those that train from scratch.

    Args:
        bench: Training data to measure on; its seed draws.
        target: Must be left out; the pattern says how much is kept.
        n: Most live weights of a block.
        m: Weights of a block.
        blocks: As for every N:M pruner.
        from_scratch: Whether the masks are there before the training, not after it.

    Raises:
        PruningError: If there is a target, or an option is out of range.
    """
    control = RandomNMFromScratch if from_scratch else RandomNM
    return control(bench=bench, target=target, n=n, m=m, blocks=blocks)


def _drawn(seed: int, weight: Tensor, index: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(seed, "random N:M", index))
    return torch.rand(weight.shape, generator=generator).to(weight.device)
