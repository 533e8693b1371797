"""SCA's course over the epochs, worked by hand; what it prunes is what it closed; a kill changes nothing."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.fit import fit
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.sca import SCA
from tests.lightning_snn.tiny import CLASSES
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import loader
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

CPU = {"accelerator": "cpu", "devices": 1}
RECIPE = {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 1e-3}


class Data(pl.LightningDataModule):
    """Twenty batches of six."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.x_NCHW, self.y_N = images(120, size)

    def train_dataloader(self) -> Any:
        return loader(self.x_NCHW, self.y_N, 6)


class Course(Callback):
    """Notes how many gates are open at the end of each epoch, and how many were before the last batches of it."""

    def __init__(self, sca: SCA) -> None:
        self.sca, self.open, self.kept = sca, [], []  # type: ignore[var-annotated]  # filled with integers below

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        if rest[2] == 19:
            self.kept.append(int(self.sca._gates.open_G.sum()))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.open.append(sum(self.sca._open))


def bench_for(network: nn.Module, size: int = 4) -> Bench:
    x_TBCHW = images(12, size)[0].expand(3, -1, -1, -1, -1)
    return Bench.of(network, batches=[x_TBCHW], example=x_TBCHW[:, :1], seed=0)


def train(network: nn.Module, *callbacks: Callback, epochs: int = 4, folder: Path | None = None, size: int = 4) -> None:
    fit(
        network,
        Data(size),
        epochs=epochs,
        seed=0,
        num_classes=CLASSES,
        time_steps=3,
        recipe=RECIPE,
        trainer=CPU,
        checkpoints=folder,
        callbacks=callbacks,
    )


def wide() -> nn.Module:
    """Two groups of ten channels."""
    return tiny_vgg(plan=[10, 10, "M"])


def test_the_schedule_shrinks_to_the_wanted_share() -> None:
    """Keep 0.4 of 20 in 4 epochs, settled after 3: 20 -> 16, 12, 8, 8; regrown 0.5 x (2/3, 1/3, 0, 0) of those."""
    network = wide()
    sca = SCA(bench=bench_for(network), keep=0.4, regrow=0.5)
    course = Course(sca)
    train(network, sca, course)
    assert course.open == [16, 12, 8, 8]
    assert course.kept == [16 - 5, 12 - 2, 8, 8]  # round(5.33), round(2)


def test_without_regrowth_closed_channels_stay_closed() -> None:
    network = wide()
    sca = SCA(bench=bench_for(network), keep=0.4, regrow=0.0)
    seen: list[list[bool]] = []

    class Look(Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(list(sca._open))

    train(network, sca, Look())
    for earlier, later in itertools.pairwise(seen):
        assert not (np.array(later) & ~np.array(earlier)).any()


def test_the_compact_network_has_the_open_channels() -> None:
    network = wide()
    sca = SCA(bench=bench_for(network), keep=0.4)
    train(network, sca)
    assert not network.features[1]._forward_hooks  # nothing of it stays behind
    assert not network.features[2].store_v_seq
    pruned = sca.prune(network)
    kept = [index for index in range(10) if sca._open[index]]
    assert torch.equal(pruned.network.features[0].weight, network.features[0].weight[kept])
    assert pruned.network.features[0].out_channels + pruned.network.features[3].out_channels == 8
    assert pruned.masks == {}


def test_a_target_is_met_before_fine_tuning() -> None:
    network, bench = wide(), bench_for(wide())
    sca = SCA(bench=bench, target=0.3)
    train(network, sca)
    assert 0 < bench.synops(sca.prune(network).network) <= 0.3 * bench.dense_synops


def test_tied_channels_and_those_without_batch_norm() -> None:
    """conv1 and conv2 share a group; conv3 has no batch norm to gate, so its channels stay."""
    network = residual()
    sca = SCA(bench=bench_for(network, 8), keep=0.5)
    train(network, sca, size=8)
    pruned = sca.prune(network).network
    assert pruned.conv1.out_channels == pruned.conv2.out_channels < 4
    assert pruned.conv3.out_channels == 2


def test_a_pool_over_all_pixels_is_followed_within_a_training() -> None:
    """There weights have their channels last."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(layer.Conv2d(1, 6, 3, padding=1), layer.BatchNorm2d(6), neuron.LIFNode(2.0, False, v_threshold=0.3)),
        *(layer.Conv2d(6, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.LIFNode(2.0, False, v_threshold=0.3)),
        *(layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(4, CLASSES)),
    )
    functional.set_step_mode(network, "m")
    sca = SCA(bench=bench_for(network), keep=0.5)
    sca.accept(network)
    train(network, sca)
    pruned = sca.prune(network).network
    assert pruned[0].out_channels + pruned[3].out_channels == 5


@pytest.mark.parametrize("signal", ["gates", "gamma"])
def test_resumed_equals_straight(signal: str, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    class Kill(Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise Killed

    bench = bench_for(wide())
    straight, sca = wide(), SCA(bench=bench, keep=0.4, signal=signal)
    train(straight, sca)
    with pytest.raises(Killed):
        train(wide(), SCA(bench=bench, keep=0.4, signal=signal), Kill(), folder=tmp_path)
    resumed, again = wide(), SCA(bench=bench, keep=0.4, signal=signal)
    train(resumed, again, folder=tmp_path)
    assert sca._open == again._open
    assert sca._activity == again._activity
    for (name, one), other in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_the_most_active_channels_stay() -> None:
    """One epoch, prune only: those with the largest mean of spike + |V|, by a loop over the training data's passes."""
    network = wide()
    sca = SCA(bench=bench_for(network), keep=0.5, regrow=0.0)
    train(network, sca, epochs=1)
    activity = np.array(sca._activity)
    ranked = np.argsort(-activity)[:10]
    assert sorted(ranked) == sorted(np.flatnonzero(sca._open))
    assert len(set(activity)) == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regrow": 1.0}, "regrow must lie between 0 and 1, found 1"),
        ({"signal": "beta"}, "signal must be one of gates, gamma, found 'beta'"),
        ({"keep": 0.5, "target": 0.5}, "Either pruning.target or pruning.options.keep"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PruningError, match=said):
        SCA(bench=bench_for(tiny_vgg()), **options)


def test_an_untrained_network_is_refused() -> None:
    network = tiny_vgg()
    with pytest.raises(PruningError, match="found an untrained one"):
        SCA(bench=bench_for(network)).prune(network)
