"""Which weights are alive: masks that optimizers, momentum, weight decay and checkpoints cannot undo.

A mask is kept as such; it is never read off weights that happen to be small. A masked weight is zero before every
forward pass, gets no gradient, and the optimizer forgets what it knew of it.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from safetensors.torch import load_file
from safetensors.torch import save_file
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn._made_weights import made_weight
from lightning_snn.errors import NetworkError

Masks = dict[str, Tensor]
"""Layer name -> boolean tensor of the weight's shape, true where the weight lives."""


@torch.no_grad()
def apply_masks_(network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set masked weights to zero, in place.

    Raises:
        NetworkError: If a mask does not fit its layer, or its weight is made anew at every pass.
    """
    for weight, mask in _masked_weights(network, masks):
        weight.mul_(mask)


def save_masks(file: Path, masks: Masks) -> None:
    """Write masks to a file of safetensors."""
    save_file({name: mask.cpu().contiguous() for name, mask in masks.items()}, file)


def load_masks(file: Path) -> Masks:
    """Read masks that :func:`save_masks` wrote, to hold them in a further training with :class:`KeepMasks`."""
    return load_file(file)


class KeepMasks(Callback):
    """Holds masked weights at zero through a training, whatever the optimizer does.

    Gradients of masked weights are zeroed before each step, weights are masked again after it, and what the optimizer
    remembers of masked weights is cleared with them. Masks travel in the checkpoint.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        """Take the masks, by name of the layer in the network."""
        self.masks = {name: mask.cpu().clone() for name, mask in masks.items()}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mask the weights, of a new training or of one that goes on; they are on their device by now.

        Of several processes (DDP) all hold the masks of the first, whose weights they start from.
        """
        self.masks = trainer.strategy.broadcast(self.masks)
        apply_masks_(network_of(pl_module), self.masks)
        self._held = _masked_weights(network_of(pl_module), self.masks)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Let masked weights have no gradient."""
        for weight, mask in self._held:
            if weight.grad is not None:
                weight.grad.mul_(mask)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Mask weights and the optimizer's memory of them again: weight decay and momentum move both."""
        for weight, mask in self._held:
            weight.mul_(mask)
            for memory in optimizer_memory(trainer.optimizers, weight):
                memory.mul_(mask)

    def state_dict(self) -> dict[str, Any]:
        """Return the masks for the checkpoint."""
        return dict(self.masks)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the masks of the checkpoint."""
        self.masks = dict(state_dict)


def optimizer_memory(optimizers: list[torch.optim.Optimizer], parameter: Tensor) -> Iterator[Tensor]:
    """Yield what optimizers remember of each entry of a parameter: momentum, first and second moments."""
    for optimizer in optimizers:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                yield value


def _masked_weights(network: nn.Module, masks: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return each masked weight with its mask on the weight's device."""
    layers, found = weighted_layers(network), []
    for name, mask in masks.items():
        if name not in layers or layers[name].weight.shape != mask.shape:
            raise NetworkError(
                f"Masks must fit the network they were made for, found one of shape {tuple(mask.shape)} for {name!r}. "
                "Build the network as before."
            )
        made = made_weight(name, layers[name])
        if made is not None:
            raise NetworkError(made)
        weight = layers[name].weight
        found.append((weight, mask.to(weight.device)))
    return found


def network_of(pl_module: pl.LightningModule) -> nn.Module:
    """Return the network that a classifier trains."""
    network = pl_module.network
    assert isinstance(network, nn.Module)
    return network
