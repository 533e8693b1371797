"""What every data module shares: how data are divided, ordered, loaded and augmented.

The test split is read only when ``test_dataloader`` is called. Validation samples are carved from the
training split, so that every decision can be made without the test split.
Axes: N samples, M samples of a split, B batch, C channels, H rows, W columns; frames have T time steps besides.
"""

import functools
import warnings
from abc import ABC
from abc import abstractmethod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset

from datamodules._loading import Batch
from datamodules._loading import EpochSampler
from datamodules._loading import Samples
from datamodules._loading import Split
from datamodules._loading import keep_batch
from datamodules._split import stratified_choice
from datamodules._streams import Stream
from datamodules._streams import generator_for
from datamodules.errors import DataError


class BaseDataModule(LightningDataModule, ABC):
    """Batches ``(x, y_B)``, float32 as a network takes them and int64, from samples in memory or mapped from disk.

    Inputs are images ``x_BCHW`` or frames ``x_BTCHW``.

    A subclass says where samples come from (:meth:`read_train`, :meth:`read_test`), how raw inputs become
    network inputs (:meth:`decode`), and how a training batch is varied (:meth:`augmented`).

    Promises, for a given seed: the splits and the order of epoch k never change, and loading draws nothing
    from torch's default generators. Augmentation does, on the batch's device: seed them every epoch.
    """

    name: str
    """As in ``conf/data``."""
    num_classes: int
    split_policy: str
    """Where test and validation samples come from, in one sentence; printed in reports."""

    def __init__(
        self,
        *,
        seed: int,
        root: str,
        batch_size: int,
        eval_batch_size: int,
        validation_fraction: float,
        train_samples: int | None,
        validation_samples: int | None,
        test_samples: int | None,
        augment: bool,
    ) -> None:
        """Check and keep the options. Nothing is read yet.

        Args:
            seed: Decides splits, subsets and orders, 0 or greater.
            root: Folder that holds, or will hold, downloaded data sets.
            batch_size: Training samples a batch, in each process.
            eval_batch_size: Validation and test samples a batch, in each process.
            validation_fraction: Share of the training split that is held out for decisions, between 0 and 1.
            train_samples: Train on this many only, in class proportion; None: all that validation leaves.
            validation_samples: Validate on this many only, in class proportion; None: all.
            test_samples: Test on this many only, in class proportion; None: all.
            augment: Vary training batches at random. Never in validation, test or calibration.

        Raises:
            DataError: If an option is out of its range.
        """
        super().__init__()
        if not 0.0 < validation_fraction < 1.0:
            raise DataError(
                f"validation_fraction must lie between 0 and 1, found {validation_fraction}. "
                "Use 0.1: decisions need samples that were neither trained on nor tested on."
            )
        at_least(0, seed=seed)
        at_least(
            1,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            train_samples=train_samples,
            validation_samples=validation_samples,
            test_samples=test_samples,
        )
        self.seed = seed
        self.root = Path(root).expanduser()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.validation_fraction = validation_fraction
        self.train_samples = train_samples
        self.validation_samples = validation_samples
        self.test_samples = test_samples
        self.augment = augment
        self.skipped: list[str] = []
        """Recordings that could not be read and were left out, as far as splits have been read."""

    @property
    @abstractmethod
    def contents(self) -> str:
        """Return a digest of all samples, their classes, and which split they lie in.

        Work is reused where it is the same, so it is one of content: names, sizes and times will not do. The test
        split is read for it, but not looked at. :mod:`datamodules._digests` helps.
        """

    @property
    def sizes(self) -> dict[str, int]:
        """Return how many samples there are to train on and to validate with."""
        train, validation = self._development
        return {"train": len(train), "validation": len(validation)}

    @property
    @abstractmethod
    def sample_shape(self) -> tuple[int, ...]:
        """Return the shape of one input, ``(C, H, W)`` or ``(T, C, H, W)``; a class attribute will do."""

    @abstractmethod
    def read_train(self) -> Samples:
        """Read the training split, validation samples included, and nothing of the test split."""

    @abstractmethod
    def read_test(self) -> Samples:
        """Read the test split."""

    @abstractmethod
    def decode(self, inputs: Tensor) -> Tensor:
        """Turn a batch of raw inputs into float32 network inputs."""

    @abstractmethod
    def augmented(self, x_BCHW: Tensor) -> Tensor:
        """Vary a batch of network inputs at random, with torch's default generator of its device."""

    @functools.cached_property
    def _development(self) -> tuple[Split, Split]:
        """Training and validation samples: all that decisions may rest on."""
        samples = self.read_train()
        total = len(samples.labels_N)
        held_out = round(self.validation_fraction * total)
        if not 0 < held_out < total:
            raise DataError(
                "validation_fraction must leave samples on both sides: "
                f"found {self.validation_fraction} of {total} samples. "
                f"Use a fraction from {1 / total:.2g} to {1 - 1 / total:.2g}."
            )
        generator = generator_for(self.seed, Stream.VALIDATION_SPLIT)
        validation_M = stratified_choice(samples.labels_N.numpy(), held_out, generator)
        train_M = np.setdiff1d(np.arange(total), validation_M, assume_unique=True)
        return (
            self._part(samples, train_M, "train_samples", self.train_samples, Stream.TRAIN_SUBSET),
            self._part(samples, validation_M, "validation_samples", self.validation_samples, Stream.VALIDATION_SUBSET),
        )

    @functools.cached_property
    def _test(self) -> Split:
        samples = self.read_test()
        return self._part(
            samples, np.arange(len(samples.labels_N)), "test_samples", self.test_samples, Stream.TEST_SUBSET
        )

    def _part(
        self, samples: Samples, rows_M: NDArray[np.int64], option: str, count: int | None, stream: Stream
    ) -> Split:
        """Return the samples in ``rows_M``, or ``count`` of them in class proportion."""
        if count is not None:
            if count > len(rows_M):
                raise DataError(
                    f"{option} asks for more than {self.name} has: found {count} of {len(rows_M)}. "
                    f"Use at most {len(rows_M)}, or leave {option} out to take all."
                )
            chosen = stratified_choice(samples.labels_N.numpy()[rows_M], count, generator_for(self.seed, stream))
            rows_M = rows_M[chosen]
        return Split(samples, rows_M, self.decode)

    def setup(self, stage: str) -> None:
        """Read and divide the training split, before ``fit`` and ``validate``; ``test`` reads nothing yet."""
        # Lightning asks for workers; for samples in memory they would only copy batches between processes
        warnings.filterwarnings("ignore", message=r"The '\w+' does not have many workers")
        if stage in {"fit", "validate"}:
            _ = self._development  # a broken folder is reported here, before any training

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches: every sample once an epoch, in an order that (seed, epoch) decides."""
        split = self._development[0]
        return self._training_loader(split, EpochSampler(split, seed=self.seed))

    def _training_loader(self, split: Dataset[Batch], sampler: EpochSampler) -> DataLoader[Batch]:
        return DataLoader(
            split,
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=keep_batch,
            generator=torch.Generator(),  # else every epoch would draw from torch's default generator
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return validation batches, always in the same order."""
        return self._evaluation_loader(self._development[1])

    def test_dataloader(self) -> DataLoader[Batch]:
        """Read the test split, now, and return its batches, always in the same order."""
        return self._evaluation_loader(self._test)

    def _evaluation_loader(self, split: Split) -> DataLoader[Batch]:
        return DataLoader(split, batch_size=self.eval_batch_size, collate_fn=keep_batch, generator=torch.Generator())

    def calibration_batches(self, count: int, batch_size: int) -> list[Batch]:
        """Return training samples, varied as in training, to measure batch norm anew and to judge channels with.

        Batch norm has learned from varied inputs: with plain ones in their place, the SynOps of a CIFAR VGG came
        out 11 % above those with its own running statistics, with varied ones 0.2 % (measured).

        Args:
            count: Batches wanted. There are fewer where whole batches run out, but always one.
            batch_size: Samples a batch.

        Returns:
            Inputs ``[batch_size, ...]`` and labels, the same ones at every call, in a random order of their own.

        Raises:
            DataError: If an argument is below 1.
        """
        at_least(1, count=count, batch_size=batch_size)
        split = self._development[0]
        order = generator_for(self.seed, Stream.CALIBRATION_ORDER).permutation(len(split))
        batches = min(count, max(1, len(split) // batch_size))
        found = [split.__getitems__(order[i * batch_size : (i + 1) * batch_size]) for i in range(batches)]
        if not self.augment:
            return found
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator_for(self.seed, Stream.CALIBRATION_AUGMENT).integers(2**63)))
            return [(self.augmented(x), y_B) for x, y_B in found]

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training batches, on the device they were moved to; leave all others as they are."""
        if not (self.augment and self.trainer is not None and self.trainer.training):
            return batch
        x, y_B = batch
        return self.augmented(x), y_B


def at_least(minimum: int, **options: int | None) -> None:
    """Check that every option that is given is ``minimum`` or greater; else a ``DataError`` names the first."""
    for option, value in options.items():
        if value is not None and value < minimum:
            raise DataError(f"{option} must be {minimum} or greater, found {value}. Use a number in that range.")
