"""What every pruner promises, written once; ``class TestX(PrunerConformance)`` only says which one it is.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn.errors import PruningError
from lightning_snn.fit import fit
from lightning_snn.forward import run_network
from lightning_snn.forward import to_time_first
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.masks import KeepMasks
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.pruners.pruner import Pruner
from tests.lightning_snn.tiny import CLASSES
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import loader
from tests.lightning_snn.tiny import tiny_vgg

STEPS, SAMPLES, BATCH, EPOCHS = 2, 24, 8, 3
NOTHING: Mapping[str, Any] = MappingProxyType({})


def dense_network() -> nn.Module:
    """Two convolutions of 8 channels and a linear layer, all layers firing; always the same."""
    return tiny_vgg(plan=[8, 8, "M"]).eval()


@cache
def make_bench(seed: int = 0) -> Bench:
    """Two batches of the training images."""
    x_NCHW, _ = images(SAMPLES)
    batches = [to_time_first(x_NCHW[place : place + BATCH], STEPS) for place in (0, BATCH)]
    return Bench.of(dense_network(), batches=batches, example=batches[0][:, :1], seed=seed)


class Data(pl.LightningDataModule):
    """The training images."""

    def train_dataloader(self) -> Any:
        return loader(*images(SAMPLES), BATCH)


def train_(network: nn.Module, callbacks: list[Callback], checkpoints: Path | None = None, **recipe: Any) -> None:
    """Train for a few epochs."""
    fit(
        network,
        Data(),
        epochs=EPOCHS,
        seed=0,
        num_classes=CLASSES,
        time_steps=STEPS,
        recipe={"learning_rate": 0.05, "weight_decay": 1e-3, **recipe},
        trainer={"accelerator": "cpu", "devices": 1},
        checkpoints=checkpoints,
        callbacks=callbacks,
    )


class Struck(Exception):
    """Stands for a kill."""


class Strike(Callback):
    """Ends a training as an epoch starts."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise Struck


def contents(network: nn.Module) -> dict[str, bytes]:
    """Return all weights and buffers, to the bit."""
    return {name: value.contiguous().numpy().tobytes() for name, value in network.state_dict().items()}


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers, by name."""
    return {name: layer.weight.detach() for name, layer in weighted_layers(network).items()}


def live(network: nn.Module) -> int:
    """Count the weights that are not zero."""
    return sum(int(weight.count_nonzero()) for weight in weights(network).values())


class PrunerConformance:
    """The promises of this project, for one pruner."""

    name: str
    options: Mapping[str, Any] = NOTHING
    """Arguments that every test gives."""
    target: float | None = 0.6
    """Share of the dense SynOps that is asked for; None: the pruner keeps a pattern, and takes no target."""
    own_measure: str | None = None
    """Option that says in place of the target how much is kept, as a share."""
    has_rounds = False
    """Whether it prunes in several rounds where ``rounds`` says so."""

    def build(self, **options: Any) -> Pruner:
        if "target" not in options and self.own_measure not in options:
            options["target"] = self.target
        return build_pruner(self.name, **{"bench": make_bench(), **self.options, **options})

    def trained(self, pruner: Pruner, checkpoints: Path | None = None, *others: Callback) -> nn.Module:
        """Return the network that is pruned: dense, or trained with the pruner where that is how it works."""
        network = dense_network()
        if pruner.trains:
            pruner.prepare_(network)
            train_(network, [pruner, *others], checkpoints)
        return network

    def pruned(self, **options: Any) -> tuple[nn.Module, Pruned]:
        """Return the network before the cut, and what was left of it."""
        pruner = self.build(**options)
        network = self.trained(pruner)
        return network, pruner.prune(network)

    @classmethod
    @cache
    def once(cls) -> tuple[nn.Module, Pruned]:
        """Return the same as :meth:`pruned` with no options, for tests that only look."""
        return cls().pruned()

    def test_the_network_that_is_pruned_stays_as_it_is(self) -> None:
        pruner = self.build()
        network = self.trained(pruner)
        before, objects = copy.deepcopy(network.state_dict()), dict(network.named_parameters())
        pruner.prune(network)
        assert contents(network) == {name: value.contiguous().numpy().tobytes() for name, value in before.items()}
        assert all(parameter is objects[name] for name, parameter in network.named_parameters())
        assert not any(module.training for module in network.modules())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())

    def test_the_result_is_within_the_target_smaller_or_sparser_and_runs(self) -> None:
        _, pruned = self.once()
        bench = make_bench()
        if self.target is not None:
            assert bench.synops(pruned.network) <= self.target * bench.dense_synops
        assert 0 < live(pruned.network) < live(dense_network())
        assert not any(module.training for module in pruned.network.modules())
        with torch.no_grad():
            assert run_network(pruned.network, bench.batches[0]).shape == (STEPS, BATCH, CLASSES)

    def test_the_same_seed_prunes_the_same(self) -> None:
        (_, first), (_, second) = self.once(), self.pruned()
        assert contents(first.network) == contents(second.network)
        assert first.dense_masks.keys() == second.dense_masks.keys()
        assert all(torch.equal(mask, second.dense_masks[name]) for name, mask in first.dense_masks.items())
        assert first.notes == second.notes

    def test_masks_say_which_weights_are_left(self) -> None:
        network, pruned = self.once()
        left = pruned.dense_masks
        assert {name: mask.shape for name, mask in left.items()} == {
            name: weight.shape for name, weight in weights(dense_network()).items()
        }
        assert all(mask.dtype == torch.bool for mask in left.values())
        if pruned.masks:
            assert [type(each) for each in pruned.callbacks()] == [KeepMasks]
            for name, weight in weights(pruned.network).items():
                mask = pruned.masks.get(name, torch.ones_like(weight, dtype=torch.bool))
                assert torch.equal(weight != 0.0, mask), name
                assert torch.equal(left[name], mask), name
        else:
            assert pruned.callbacks() == []
            for name, weight in weights(pruned.network).items():
                kept = weights(network)[name][left[name]]
                assert torch.equal(kept, weight.flatten()), name  # those of the dense network, in its order

    def test_what_was_pruned_stays_away_in_fine_tuning(self) -> None:
        _, pruned = self.once()
        network = copy.deepcopy(pruned.network)
        train_(network, pruned.callbacks())
        assert contents(network) != contents(pruned.network)
        assert live(network) <= live(pruned.network)
        for name, mask in pruned.masks.items():
            assert not weights(network)[name][~mask].any(), name

    def test_a_training_that_was_killed_ends_like_a_straight_one(self, tmp_path: Path) -> None:
        straight = self.build()
        if not straight.trains:
            pytest.skip("prunes a trained network")
        network = self.trained(straight)
        for epoch in range(1, EPOCHS):
            with pytest.raises(Struck):
                self.trained(self.build(), tmp_path, Strike(epoch))
        resumed = self.build()
        assert contents(self.trained(resumed, tmp_path)) == contents(network)
        assert contents(resumed.prune(network).network) == contents(straight.prune(network).network)
        passed = self.build()  # a finished training is only loaded
        assert contents(self.trained(passed, tmp_path)) == contents(network)
        assert contents(passed.prune(network).network) == contents(straight.prune(network).network)

    def test_preparing_twice_is_preparing_once(self) -> None:
        pruner, once, twice = self.build(), dense_network(), dense_network()
        pruner.prepare_(once)
        pruner.prepare_(twice)
        pruner.prepare_(twice)
        assert contents(once) == contents(twice)
        assert str(once) == str(twice)

    def test_global_generators_are_left_alone(self) -> None:
        pruner = self.build()
        network = self.trained(pruner)
        before = str(np.random.get_state()), torch.get_rng_state().tolist()
        pruner.prune(network)
        assert (str(np.random.get_state()), torch.get_rng_state().tolist()) == before

    def test_its_own_measure_stands_in_for_the_target_and_not_beside_it(self) -> None:
        if self.own_measure is None:
            pytest.skip("a target or a pattern is its only measure")
        network, pruned = self.pruned(**{str(self.own_measure): 0.5})
        assert self.build(**{self.own_measure: 0.5}).target is None
        assert live(pruned.network) < 0.7 * live(network)
        with pytest.raises(PruningError, match=rf"pruning\.options\.{self.own_measure} says how much .* Leave one out"):
            self.build(**{"target": 0.5, self.own_measure: 0.5})
        for share in (0.0, 1.0, 1.5, -0.5):
            with pytest.raises(PruningError, match=rf"pruning\.options\.{self.own_measure} must lie strictly between"):
                self.build(**{self.own_measure: share})

    def test_half_of_the_synops_are_kept_where_nobody_says_how_many(self) -> None:
        if self.target is None:
            with pytest.raises(PruningError, match="target"):
                self.build(target=0.5)
        else:
            assert self.build(target=None).target == 0.5

    def test_rounds_share_the_way(self) -> None:
        if not self.has_rounds:
            assert self.build().rounds == 1
            return
        pruner, bench, network = self.build(rounds=2, target=0.36), make_bench(), dense_network()
        first = pruner.prune(network, 1)
        second = pruner.prune(first.network, 2)
        assert 0.5 < bench.synops(first.network) / bench.dense_synops <= 0.6  # the root of 0.36
        assert 0.3 < bench.synops(second.network) / bench.dense_synops <= 0.36
        for name, mask in second.masks.items():
            assert not (mask & ~first.masks[name]).any(), name  # the dead stay dead
        with pytest.raises(PruningError, match=r"rounds must be at least 1, found 0"):
            self.build(rounds=0)

    def test_an_unknown_option_names_the_nearest(self) -> None:
        known = next(iter([*self.options, *([self.own_measure] if self.own_measure else [])]), None)
        if known is None:
            pytest.skip("has no option that a test knows")
        with pytest.raises(PruningError, match=f"'{self.name}' has no option '{known}s'. Did you mean '{known}'?"):
            build_pruner(self.name, bench=make_bench(), **{f"{known}s": 1})

    def test_options_are_checked_before_there_is_a_network(self) -> None:
        """The command builds a pruner with an empty bench first, to refuse wrong options at once."""
        nothing = Bench(batches=(), example=torch.empty(0), seed=0, dense_synops=0.0)
        assert isinstance(self.build(bench=nothing), Pruner)
