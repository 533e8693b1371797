"""What all N:M pruners share: which layers take the pattern, how it is held in training, and the cut.

While a network is trained with such a pruner, the weights of its layers are parametrized: an ordinary parameter, and a
module that masks it in every forward pass. What that module learns lies in its parameters and buffers, so that
checkpoints carry it.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.nn.utils import parametrize

from lightning_snn._fan_out import WeightedLayer
from lightning_snn._fan_out import weighted_layers
from lightning_snn._made_weights import made_weight
from lightning_snn._next_neuron import next_neurons
from lightning_snn.errors import PruningError
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import assert_pattern
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.masks import Masks
from lightning_snn.pruners.masks import apply_masks_
from lightning_snn.pruners.masks import network_of
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.pruners.pruner import Pruner


class NMPruner(Pruner):
    """Keep at most N of every M weights, in every layer but the first one and those that M does not divide."""

    def __init__(
        self, *, bench: Bench, target: float | None = None, n: int = 2, m: int = 4, blocks: str = "channels"
    ) -> None:
        """Say which pattern.

        Args:
            bench: Training data to measure on.
            target: Must be left out; the pattern says how much is kept.
            n: Most live weights of a block.
            m: Weights of a block.
            blocks: ``channels``, M neighbouring inputs at one kernel position, or ``flat``, M neighbours along the
                flattened inputs and kernel.

        Raises:
            PruningError: If there is a target, or an option is out of range.
        """
        if target is not None:
            raise PruningError(
                "The pattern says how much an N:M pruner keeps, through pruning.options.n and pruning.options.m: "
                f"found pruning.target={target:g}. Leave it out."
            )
        super().__init__(bench, None)
        self.pattern = Pattern(n, m, blocks)

    def accept(self, network: nn.Module) -> None:
        """Refuse a network of which no layer takes the pattern."""
        self.choose(network)

    def choose(self, network: nn.Module) -> tuple[dict[str, WeightedLayer], dict[str, str]]:
        """Return the layers that take the pattern, and the others with the reason.

        Args:
            network: Its neurons are reset, nothing else is changed.

        Raises:
            PruningError: If no layer takes it, or the weight of one is made anew at every pass by something else.
        """
        ours = {name for name, _, _ in masked_layers(network)}
        for name, layer in weighted_layers(network).items():
            made = None if name in ours else made_weight(name, layer)
            if made is not None:
                raise PruningError(made)
        first, *_ = next_neurons(network, self.bench.example.to(next(network.parameters()).device))
        chosen, skipped = {}, {}
        for name, layer in weighted_layers(network).items():
            row = self.pattern.row(layer.weight.shape)
            if name == first:
                skipped[name] = "it sees the input"
            elif row % self.pattern.m:
                skipped[name] = f"its rows of {row} weights are no multiple of {self.pattern.m}"
            else:
                chosen[name] = layer
        if not chosen:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
            flat = ", or --pruning.options.blocks flat" if self.pattern.blocks == "channels" else ""
            raise PruningError(
                f"No layer of {type(network).__name__} takes the pattern {self.pattern} along {self.pattern.blocks!r} "
                f"({reasons}). Choose another --pruning.options.m{flat}."
            )
        return chosen, skipped

    def cut(self, network: nn.Module, masks: Masks) -> Pruned:
        """Mask a network's weights, in place, and return a copy with batch norms measured anew."""
        _, skipped = self.choose(network)
        apply_masks_(network, masks)
        for name, layer in weighted_layers(network).items():
            if name not in skipped:
                assert_pattern(name, layer.weight, self.pattern)
        everything = {
            name: torch.ones_like(each.weight, dtype=torch.bool) for name, each in weighted_layers(network).items()
        }
        notes = {"pattern": str(self.pattern), "blocks": self.pattern.blocks, "skipped": skipped}
        return Pruned(self.bench.recalibrated(network), masks, everything | masks, notes)


class MaskedWeight(nn.Module):
    """A parametrization that masks a weight by the pattern."""

    def __init__(self, pattern: Pattern) -> None:
        """Take the pattern."""
        super().__init__()
        self.pattern = pattern

    @abstractmethod
    def mask(self, weight: Tensor) -> Tensor:
        """Return which entries of the unmasked weight live, boolean: what evaluation uses."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight."""
        return weight * self.mask(weight)


class TrainedNM(NMPruner):
    """An N:M pruner at work while the network is trained."""

    trains = True

    @abstractmethod
    def new_mask(self, weight: nn.Parameter, index: int) -> MaskedWeight:
        """Return what masks the weight of the layer at ``index``."""

    def prepare_(self, network: nn.Module) -> None:
        """Parametrize the weights that take the pattern."""
        for index, (_, layer) in enumerate(self.choose(network)[0].items()):
            if not parametrize.is_parametrized(layer, "weight"):
                assert isinstance(layer.weight, nn.Parameter)
                parametrize.register_parametrization(layer, "weight", self.new_mask(layer.weight, index))

    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Make the masked weights ordinary ones; the network itself goes on being parametrized."""
        functional.reset_net(network)
        copied = copy.deepcopy(network).eval()
        masks = {}
        for name, layer, mask in masked_layers(copied):
            with torch.no_grad():
                masks[name] = mask.mask(original(layer))
            # removal takes a property from the class, which the copied layer shares with the network's own
            shared = type(layer)
            layer.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
            parametrize.remove_parametrizations(layer, "weight")
        return self.cut(copied, masks)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the pattern."""
        for name, layer, _ in masked_layers(network_of(pl_module)):
            with torch.no_grad():
                assert_pattern(name, layer.weight, self.pattern)


def masked_layers(network: nn.Module) -> Iterator[tuple[str, WeightedLayer, MaskedWeight]]:
    """Yield the layers that :meth:`TrainedNM.prepare_` parametrized, with what masks their weights."""
    for name, layer in weighted_layers(network).items():
        if parametrize.is_parametrized(layer, "weight"):
            mask = layer.get_submodule("parametrizations.weight.0")
            if isinstance(mask, MaskedWeight):
                yield name, layer, mask


def original(layer: WeightedLayer) -> nn.Parameter:
    """Return the parameter behind a masked weight."""
    return layer.get_parameter("parametrizations.weight.original")
