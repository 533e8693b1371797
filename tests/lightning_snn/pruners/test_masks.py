"""Masked weights are zero in every forward pass, whatever optimizer, accumulation, precision or kill comes along."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn.errors import NetworkError
from lightning_snn.pruners.masks import KeepMasks
from lightning_snn.pruners.masks import Masks
from lightning_snn.pruners.masks import apply_masks_
from lightning_snn.pruners.masks import load_masks
from lightning_snn.pruners.masks import optimizer_memory
from lightning_snn.pruners.masks import save_masks
from tests.lightning_snn.pruners.conformance import EPOCHS
from tests.lightning_snn.pruners.conformance import Strike
from tests.lightning_snn.pruners.conformance import Struck
from tests.lightning_snn.pruners.conformance import contents
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import train_
from tests.lightning_snn.pruners.conformance import weights
from tests.lightning_snn.tiny import classifier
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import loader
from tests.lightning_snn.tiny import quiet_trainer

RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.1},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
}


def some_masks(network: nn.Module, seed: int = 0) -> Masks:
    """About half of each layer's weights, drawn."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(weight.shape, generator=generator) < 0.5 for name, weight in weights(network).items()}


class Witness(Callback):
    """Looks at masked weights in every forward pass, and at the optimizer's memory after every batch."""

    def __init__(self, network: nn.Module, masks: Masks) -> None:
        self.forwards = self.revived = 0
        self.remembered: list[float] = []  # of masked weights, largest, by batch
        self.gradients: list[float] = []  # likewise
        self.remembers_live = False
        self.layers = {name: (layer, masks[name]) for name, layer in weighted_layers(network).items()}
        for layer, mask in self.layers.values():
            layer.register_forward_pre_hook(lambda layer, _, mask=mask: self.look(layer, mask))

    def look(self, layer: nn.Module, mask: Tensor) -> None:
        self.forwards += 1
        self.revived += int(layer.weight[~mask].count_nonzero())  # type: ignore[index]  # a tensor

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        gradients = [(layer.weight.grad, mask) for layer, mask in self.layers.values()]
        self.gradients.append(max(float(grad[~mask].abs().max()) for grad, mask in gradients if grad is not None))
        memories = [
            (memory, mask)
            for layer, mask in self.layers.values()
            for memory in optimizer_memory(trainer.optimizers, layer.weight)
        ]
        self.remembered.append(max((float(memory[~mask].abs().max()) for memory, mask in memories), default=0.0))
        self.remembers_live |= any(bool(memory[mask].any()) for memory, mask in memories)


def watched_training(callbacks: list[Callback], network: nn.Module, **options: Any) -> None:
    recipe = options.pop("recipe", RECIPES["sgd"])
    x_NCHW, y_N = images(24)
    trainer = quiet_trainer(max_epochs=2, callbacks=callbacks, **options)
    batches = loader(x_NCHW, y_N, 8)
    trainer.fit(classifier(network.train(), **recipe), train_dataloaders=batches, val_dataloaders=batches)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("optimizer", list(RECIPES))
def test_masked_weights_are_zero_in_every_forward_and_forgotten(optimizer: str, accumulate: int) -> None:
    network = dense_network()
    masks, before = some_masks(network), weights(network)
    before = {name: weight.clone() for name, weight in before.items()}
    witness = Witness(network, masks)
    options: dict[str, Any] = {"recipe": RECIPES[optimizer], "accumulate_grad_batches": accumulate}
    watched_training([KeepMasks(masks), witness], network, **options)
    assert witness.forwards == 3 * 2 * (3 + 3)  # layers, epochs, batches of training and validation
    assert witness.revived == 0
    assert witness.remembered == [0.0] * 6
    if accumulate == 1:  # else some batches only add to the gradient
        assert witness.gradients == [0.0] * 6
    assert witness.remembers_live
    for name, weight in weights(network).items():
        assert not weight[~masks[name]].any()
        assert (weight != before[name])[masks[name]].float().mean() > 0.9  # the others learn


@pytest.mark.parametrize("optimizer", list(RECIPES))
def test_without_the_callback_they_come_back(optimizer: str) -> None:
    """Else the tests above would prove nothing."""
    network = dense_network()
    masks = some_masks(network)
    apply_masks_(network, masks)
    witness = Witness(network, masks)
    watched_training([witness], network, recipe=RECIPES[optimizer])
    assert witness.revived > 0
    assert max(witness.remembered) > 0.0


def test_a_sanity_check_before_the_training_sees_them_masked() -> None:
    network = dense_network()
    masks = some_masks(network)
    witness = Witness(network, masks)
    watched_training([KeepMasks(masks), witness], network, num_sanity_val_steps=2)
    assert witness.forwards == 3 * (2 + 2 * (3 + 3))
    assert witness.revived == 0


def test_mixed_precision_holds_them() -> None:
    network = dense_network().to(memory_format=torch.channels_last)
    masks = some_masks(network)
    witness = Witness(network, masks)
    watched_training([KeepMasks(masks), witness], network, precision="bf16-mixed")
    assert (witness.revived, max(witness.remembered)) == (0, 0.0)


@pytest.mark.parametrize("optimizer", list(RECIPES))
def test_what_an_optimizer_remembers_from_before_the_masks_is_cleared(optimizer: str, tmp_path: Path) -> None:
    """A dense training goes on with masks: its momentum would bring masked weights back."""
    with pytest.raises(Struck):
        train_(dense_network(), [Strike(1)], tmp_path, **RECIPES[optimizer])
    network = dense_network()
    masks = some_masks(network)
    witness = Witness(network, masks)
    train_(network, [KeepMasks(masks), witness], tmp_path, **RECIPES[optimizer])
    assert witness.forwards == 3 * 2 * 3
    assert witness.revived == 0
    assert witness.remembered == [0.0] * 6
    assert witness.remembers_live


def test_resumed_equals_straight_bit_for_bit(tmp_path: Path) -> None:
    masks = some_masks(dense_network())
    straight = dense_network()
    train_(straight, [KeepMasks(masks)])
    for epoch in range(1, EPOCHS):
        with pytest.raises(Struck):
            train_(dense_network(), [KeepMasks(masks), Strike(epoch)], tmp_path)
    resumed = dense_network()
    witness = Witness(resumed, masks)
    train_(resumed, [KeepMasks(masks), witness], tmp_path)
    assert contents(resumed) == contents(straight)
    assert (witness.forwards, witness.revived) == (3 * 3, 0)  # one epoch was left
    passed = dense_network()  # a finished training is only loaded
    train_(passed, [KeepMasks(masks)], tmp_path)
    assert contents(passed) == contents(straight)
    unmasked = dense_network()
    train_(unmasked, [])
    assert contents(unmasked) != contents(straight)


def test_masks_travel_in_the_checkpoint(tmp_path: Path) -> None:
    masks = some_masks(dense_network())
    with pytest.raises(Struck):
        train_(dense_network(), [KeepMasks(masks), Strike(1)], tmp_path)
    resumed, others = dense_network(), KeepMasks(some_masks(dense_network(), seed=1))
    train_(resumed, [others], tmp_path)
    assert all(torch.equal(mask, others.masks[name]) for name, mask in masks.items())
    assert not any(weight[~masks[name]].any() for name, weight in weights(resumed).items())


def test_the_callers_masks_are_copied() -> None:
    masks = {"head": torch.tensor([[True, False]])}
    callback = KeepMasks(masks)
    masks["head"].fill_(False)
    assert callback.masks["head"].tolist() == [[True, False]]


def test_masking_by_hand() -> None:
    network: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    weight = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    network.load_state_dict(
        {"0.weight": weight, "0.bias": torch.ones(2), "2.weight": torch.ones(1, 2), "2.bias": torch.ones(1)}
    )
    apply_masks_(network, {"0": torch.tensor([[True, False], [True, True]])})
    assert network[0].weight.tolist() == [[1.0, 0.0], [0.0, 4.0]]
    assert network[0].bias.tolist() == [1.0, 1.0]  # biases are not masked
    assert network[2].weight.tolist() == [[1.0, 1.0]]
    assert network[0].weight.requires_grad


@pytest.mark.parametrize(
    ("name", "shape"), [("features.0", (8, 1, 3)), ("features.9", (8, 1, 3, 3)), ("features.1", (8,))]
)
def test_a_mask_that_does_not_fit_is_refused(name: str, shape: tuple[int, ...]) -> None:
    masks = {name: torch.ones(shape, dtype=torch.bool)}
    with pytest.raises(NetworkError, match=r"found one of shape \(8.*\) for 'features\.\d'\. Build the network as"):
        apply_masks_(dense_network(), masks)
    with pytest.raises(NetworkError, match="Masks must fit the network they were made for"):
        train_(dense_network(), [KeepMasks(masks)])


def test_masks_are_saved_and_read_back(tmp_path: Path) -> None:
    masks = {**some_masks(dense_network()), "turned": torch.tensor([[True, False], [True, True]]).t()}
    save_masks(tmp_path / "masks.safetensors", masks)
    read = load_masks(tmp_path / "masks.safetensors")
    assert read.keys() == masks.keys()
    assert all(torch.equal(read[name], mask) and read[name].dtype == torch.bool for name, mask in masks.items())


def test_memory_is_what_has_an_entry_for_each_weight() -> None:
    weight, other = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    sgd, adamw = torch.optim.SGD([weight, other], 0.1, momentum=0.9), torch.optim.AdamW([weight], 0.1)
    weight.grad, other.grad = torch.full((2, 2), 3.0), torch.full((2,), 5.0)
    assert list(optimizer_memory([sgd, adamw], weight)) == []
    sgd.step()
    adamw.step()
    found = [memory.tolist() for memory in optimizer_memory([sgd, adamw], weight)]
    # momentum g; (1 - 0.9) g and (1 - 0.999) g^2; the number of steps is no memory of a weight
    assert np.array(found) == pytest.approx(np.array([3.0, 0.3, 0.009])[:, None, None].repeat(2, 1).repeat(2, 2))
