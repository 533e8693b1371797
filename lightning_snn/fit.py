"""Train a network with Lightning, quietly, in a way that a kill cannot change the outcome of."""

import logging
import warnings
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn.classifier import SpikingClassifier
from lightning_snn.errors import ArtifactError


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
) -> None:
    """Train ``network`` in place for ``epochs`` epochs; its last epoch counts, none is chosen.

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

    Raises:
        ArtifactError: If the checkpoint is broken, could execute code, or is of another training.
        KeyboardInterrupt: If the user interrupts (Lightning would end the process instead).
    """
    classifier = SpikingClassifier(network, num_classes=num_classes, time_steps=time_steps, seed=seed, **recipe)
    callbacks = list(callbacks)
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
    with quiet_lightning():
        if resume is not None:
            _check_checkpoint(resume, classifier, epochs)
        engine = pl.Trainer(
            max_epochs=epochs,
            callbacks=callbacks,
            logger=logger or False,
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validate else 0,
            **(trainer or {}),
        )
        try:
            engine.fit(classifier, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):
                raise end.__context__ from None
            raise
    functional.reset_net(network)
    network.eval()


def _check_checkpoint(file: Path, classifier: SpikingClassifier, epochs: int) -> None:
    """Refuse a checkpoint that Lightning could not go on from, or would go on from with another recipe."""
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


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


class quiet_lightning(warnings.catch_warnings):
    """Silence Lightning's hints about devices, workers and folders while it trains for us."""

    def __enter__(self) -> Any:
        """Raise the level of Lightning's loggers."""
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        self._loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)
        return entered

    def __exit__(self, *details: Any) -> None:
        """Put the levels back."""
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
        super().__exit__(*details)
