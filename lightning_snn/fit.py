"""Train a network with Lightning, quietly, in a way that a kill cannot change the outcome of.

A training ends with its last epoch's weights: none is chosen by its validation accuracy, so that validation data
stay unseen by whatever is chosen with them later.
"""

import atexit
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import distributed
from torch import nn

from lightning_snn.classifier import SpikingClassifier
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import NetworkError
from lightning_snn.memory_format import channels_last


def fit(
    network: nn.Module,
    datamodule: pl.LightningDataModule,
    *,
    epochs: int,
    seed: int,
    num_classes: int,
    time_steps: int,
    recipe: dict[str, Any],
    trainer: dict[str, Any] | None = None,
    checkpoints: Path | None = None,
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
    validate: bool = False,
    compile: bool = False,
) -> bool:
    """Train ``network`` in place for ``epochs`` epochs; its last epoch counts, none is chosen.

    With more than one device (``trainer``), Lightning starts the command of this process again for each further
    one (strategy ``ddp``), where this function must be reached too; only the first process writes checkpoints. The
    further processes must end after it: the next training starts its own. One that is finished is only loaded, and
    starts none.

    Args:
        network: Takes ``[T, B, C, H, W]``, returns ``[T, B, K]``.
        datamodule: Gives the training loader (and the validation loader, if ``validate``).
        epochs: Length of the training; the learning-rate schedule ends with it.
        seed: Root of all random streams of the training.
        num_classes: K.
        time_steps: T.
        recipe: Further arguments of :class:`SpikingClassifier`.
        trainer: Further arguments of Lightning's ``Trainer`` (accelerator, devices, precision, ...).
        checkpoints: A folder: the last epoch is kept there, and an interrupted training goes on from it.
        callbacks: Of Lightning.
        logger: Of Lightning; none by default.
        validate: Whether to validate after each epoch.
        compile: Whether to compile the network while it is trained (see :func:`compiled`).

    Returns:
        Whether an epoch was left to train.

    Raises:
        NetworkError: If no parameter of the network can be trained.
        ArtifactError: If the checkpoint is broken, could execute code, or is of another training.
        KeyboardInterrupt: If the user interrupts (Lightning would end the process instead).
    """
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise NetworkError(
            f"All parameters of {type(network).__name__} are frozen, and none can be trained. Leave requires_grad on "
            "for those that shall learn."
        )
    classifier = SpikingClassifier(network, num_classes=num_classes, time_steps=time_steps, seed=seed, **recipe)
    callbacks = [*callbacks, _KeepSigterm()]
    resume = None
    if checkpoints is not None:
        callbacks.append(
            ModelCheckpoint(
                dirpath=checkpoints,
                filename="last",
                save_top_k=1,
                every_n_epochs=1,
                enable_version_counter=False,
            )
        )
        last = checkpoints / "last.ckpt"
        resume = last if last.exists() else None
    network.train()  # Lightning keeps the mode it is given: a measured network would be tuned with frozen batch norms
    with quiet_lightning(), compiled(network, compile):
        is_left = resume is None or _epochs_in(resume, classifier, epochs) < epochs
        engine = pl.Trainer(
            max_epochs=epochs,
            callbacks=callbacks,
            logger=logger or False,
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validate else 0,
            **_distributed({**(trainer or {}), **({} if is_left else {"devices": 1})}),
        )
        environment = set(os.environ)
        faster = engine.strategy.root_device.type == "cpu" or engine.precision == "bf16-mixed"
        try:
            with channels_last(network, faster):
                engine.fit(classifier, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        except BaseException as error:
            _end_other_processes_at_exit(engine)
            if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise
        if engine.world_size > 1:
            distributed.destroy_process_group()  # else what follows would be taken for work of several processes
            for other in getattr(engine.strategy.launcher, "procs", []):
                other.wait()
            for name in set(os.environ) - environment:  # else the next training would wait for others to be started
                del os.environ[name]
    functional.reset_net(network)
    network.eval()
    return is_left


@contextmanager
def compiled(network: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Let ``torch.compile`` run the network inside the block; its parameters and their names stay the same.

    SpikingJelly's networks come out as one graph: the reset before each pass is outside of it, the loop over T is
    unrolled. Sums are rounded otherwise than in eager mode, so a spike whose membrane potential lies on the
    threshold may flip: single logits differ then, not the course of a training. Dropout draws other numbers, seeded
    like its eager ones.

    Measured on one CPU thread (``vgg_compact``, CIFAR-10's shape, T=2, batch 64; no GPU was at hand): a training
    step takes 0.8 to 0.9 of the eager time, a forward pass without gradients 0.57, after a minute of compiling for
    each size of batch and mode (a loader's last batch is smaller). So it pays in trainings of an hour or more.
    Meters with hooks need the block to have ended.
    """
    if enabled:
        network.compile()
    try:
        yield
    finally:
        network._compiled_call_impl = None


def _distributed(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Name the strategy that several devices need; one device takes Lightning's default."""
    return {"strategy": "ddp", **trainer} if trainer.get("devices", 1) != 1 else dict(trainer)


def _end_other_processes_at_exit(engine: pl.Trainer) -> None:
    """Kill the processes that Lightning started, once this one ends: they would wait for it, or complain.

    Not sooner: Lightning watches them, and kills this process where one is gone.
    """
    kill = getattr(engine.strategy.launcher, "kill", None)
    if kill is not None:
        atexit.register(kill, signal.SIGKILL)


class _KeepSigterm(Callback):
    """Leaves SIGTERM to whoever handled it: Lightning's own handler waits for the other processes, maybe for ever."""

    def __init__(self) -> None:
        """Remember the handler."""
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put it back."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


def _epochs_in(file: Path, classifier: SpikingClassifier, epochs: int) -> int:
    """Return how many epochs a checkpoint has behind it; refuse one that no training can go on from."""
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        fits = (
            saved["hyper_parameters"] == dict(classifier.hparams)
            and saved["epoch"] < epochs
            and _shapes(saved["state_dict"]) == _shapes(classifier.state_dict())
        )
    except Exception as error:  # a broken file can raise anything
        raise ArtifactError(
            f"A training goes on from a checkpoint that can be read safely, found {type(error).__name__} in {file}. "
            "Delete this file to train anew."
        ) from error
    if not fits:
        raise ArtifactError(
            "A training goes on from a checkpoint of the same network, recipe and number of epochs, "
            f"found another in {file}. Delete this file to train anew, or name another folder."
        )
    return int(saved["epoch"]) + 1


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


class quiet_lightning(warnings.catch_warnings):
    """Silence Lightning's hints about devices, workers and folders, and those of what it calls, while it trains for us.

    A network's own warnings are heard.
    """

    def __enter__(self) -> Any:
        """Raise the level of Lightning's loggers."""
        entered = super().__enter__()
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|torch|torchmetrics)(\.|$)")
        self._loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)
        return entered

    def __exit__(self, *details: Any) -> None:
        """Put the levels back."""
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
        super().__exit__(*details)
