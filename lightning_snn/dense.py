"""The dense network that pruning starts from: given, or trained once and shared by all runs that start from it."""

import shutil
import time
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback
from torch import nn

from conf.schema import ConfigError
from conf.schema import RunConfig
from lightning_snn.artifact import read_architecture
from lightning_snn.artifact import save_artifact
from lightning_snn.errors import ArtifactError
from lightning_snn.files import read_json
from lightning_snn.seeds import seed_for
from lightning_snn.task import Task


def obtain_dense(
    task: Task,
    folder: Path,
    callbacks: Sequence[Callback] = (),
    accept: Callable[[nn.Module], Any] = lambda network: None,
) -> nn.Module:
    """Return the dense network, trained in ``folder`` if it is not there yet.

    A training that was interrupted goes on from its last epoch.

    Args:
        task: Data, network and recipe; ``baseline.artifact`` may name a trained network.
        folder: Where it lies, or will lie; the caller holds its lock.
        callbacks: Of Lightning, for the training.
        accept: Raises where a network that was given cannot be used; nothing is saved then.

    Raises:
        ArtifactError, NetworkError: If a network was given that cannot be loaded, or does not take the data; or what
            an earlier run left is damaged.
    """
    config = task.config
    assert isinstance(config, RunConfig)
    saved = folder / "network"
    if not saved.exists():
        started = time.perf_counter()
        if config.baseline.artifact is None:
            network = train_dense(task, folder, callbacks)
        else:
            _refuse_other_family(config)
            network = task.load(Path(config.baseline.artifact))
            task.check(network)
            accept(network)
        save_artifact(saved, network.cpu(), task.example, {"seconds": time.perf_counter() - started})
        shutil.rmtree(folder / "training", ignore_errors=True)
    try:
        return task.load(saved)
    except ArtifactError as error:
        raise ArtifactError(
            f"The dense network that an earlier run left in {saved} cannot be used: delete that folder, and the same "
            f"command makes it again ({error})"
        ) from error


def train_dense(task: Task, folder: Path, callbacks: Sequence[Callback] = ()) -> nn.Module:
    """Train the dense network, or what is left of its training; every process of several comes by here."""
    config, network = task.config, task.new_network()
    assert isinstance(config, RunConfig)
    task.train_(
        network,
        config.training,
        seed=seed_for(config.seed, "training"),
        checkpoints=folder / "training",
        callbacks=callbacks,
    )
    return network


def dense_seconds(folder: Path) -> float:
    """Return what the training in ``folder`` took, in the process that finished it."""
    return float(read_json(folder / "network" / "metrics.json")["seconds"])


def _refuse_other_family(config: RunConfig) -> None:
    """Refuse a saved network of another family than the settings name: reports would call it by the wrong name."""
    family = read_architecture(Path(str(config.baseline.artifact)))["family"]
    if config.network._target_ is None and family not in (None, config.network.name):
        raise ConfigError(
            f"baseline.artifact is to hold the network that the settings name, {config.network.name!r}, found "
            f"{family!r} in {config.baseline.artifact}. Say --network {family}."
        )
