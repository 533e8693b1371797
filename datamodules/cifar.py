"""CIFAR images through torchvision's reader, held in memory as bytes and decoded by batch.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009).
"""

import os
from pathlib import Path
from typing import Any
from typing import ClassVar
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets import CIFAR100
from torchvision.datasets.utils import calculate_md5

from datamodules._augment import random_crop
from datamodules._cutout import cut_squares
from datamodules._digests import FileDigests
from datamodules._digests import digest_of
from datamodules._download import DownloadError
from datamodules._download import download_beside
from datamodules._loading import Samples
from datamodules._randaugment import STRONGEST
from datamodules._randaugment import randaugment
from datamodules.base import BaseDataModule
from datamodules.base import at_least
from datamodules.errors import DataError

DIGESTS: Final = FileDigests()
"""Of the files that this process has read: all seeds have the same ones."""


class CIFARDataModule(BaseDataModule):
    """Images of 32 x 32 pixels in three colours, with the official test split. Subclasses name the source."""

    sample_shape = (3, 32, 32)
    split_policy = "official test split"
    source: ClassVar[Any]
    """Data set class of torchvision; it knows the files, their MD5 sums and the address."""
    mean: ClassVar[tuple[float, float, float]]
    """Mean of the training pixels, as a fraction of full brightness, by channel."""
    std: ClassVar[tuple[float, float, float]]
    """Standard deviation of the same."""

    def __init__(
        self,
        *,
        seed: int,
        root: str = "data",
        batch_size: int = 128,
        eval_batch_size: int = 256,
        validation_fraction: float = 0.1,
        train_samples: int | None = None,
        validation_samples: int | None = None,
        test_samples: int | None = None,
        augment: bool = True,
        cutout: int = 0,
        randaugment: int = 0,
    ) -> None:
        """See :class:`~datamodules.base.BaseDataModule`; below ``root`` lies torchvision's own folder.

        Where ``augment`` is on:

        - ``cutout``: side of the square that is blanked in every image, in pixels; 0: none. CIFAR-10: 16 in the paper.
        - ``randaugment``: magnitude of two random operations on every image, up to 30; 0: none. See
          :func:`~datamodules._randaugment.randaugment`.

        Raises:
            DataError: If an option is out of its range.
        """
        super().__init__(
            seed=seed,
            root=root,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            validation_fraction=validation_fraction,
            train_samples=train_samples,
            validation_samples=validation_samples,
            test_samples=test_samples,
            augment=augment,
        )
        at_least(0, cutout=cutout, randaugment=randaugment)
        if randaugment > STRONGEST:
            raise DataError(f"randaugment must be {STRONGEST} or less, found {randaugment}. Use 9, or 0 for none.")
        self.cutout = cutout
        self.randaugment = randaugment
        self.folder = self.root / self.source.base_folder
        mean_C11, std_C11 = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        self._scale_C11 = 1.0 / (255.0 * std_C11)
        self._black_C11 = -mean_C11 / std_C11

    def prepare_data(self) -> None:
        """Download the data set if its folder is missing; a folder that is there is checked, never changed.

        Raises:
            DataError: If the folder is missing and cannot be downloaded, is unreadable, or lacks a file.
        """
        try:
            present = set(os.listdir(self.folder))
        except FileNotFoundError:
            self._download()
            return
        except OSError as error:
            raise self._unusable(self.folder, f"{error.strerror}") from error
        for file, _ in self._files(train=True) + self._files(train=False):
            if file not in present:  # the test split too: better now than after a long search
                raise self._unusable(self.folder / file, "no such file")

    @property
    def contents(self) -> str:
        """Return a digest of the files of both splits."""
        names = [name for test in (False, True) for name, _ in self._files(train=not test)]
        return digest_of([[name, DIGESTS(self.folder / name)] for name in names])

    def read_train(self) -> Samples:
        """Read the training files; the test file need not even exist."""
        return self._read(train=True)

    def read_test(self) -> Samples:
        """Read the official test file."""
        return self._read(train=False)

    def decode(self, inputs: Tensor) -> Tensor:
        """Map bytes to mean 0 and variance 1, by channel, over the training pixels."""
        scale_C11, black_C11 = self._scale_C11.to(inputs.device), self._black_C11.to(inputs.device)
        return inputs.float().mul_(scale_C11).add_(black_C11)

    def augmented(self, x_BCHW: Tensor) -> Tensor:
        """Pad by four black pixels and crop at random; mirror half of the images; then what the options ask for."""
        black_C11 = self._black_C11.to(x_BCHW.device)
        x_BCHW = random_crop(x_BCHW, black_C11, padding=4, flip=True)
        if self.randaugment:
            pixels_BCHW = (x_BCHW - black_C11).div_(self._scale_C11.to(x_BCHW.device)).round_().byte()
            x_BCHW = self.decode(randaugment(pixels_BCHW, self.randaugment))
        return cut_squares(x_BCHW, self.cutout) if self.cutout else x_BCHW

    def _files(self, *, train: bool) -> list[tuple[str, str]]:
        """Return name and MD5 sum of every file that a split needs."""
        files = self.source.train_list if train else self.source.test_list
        return [(name, md5) for name, md5 in [*files, (self.source.meta["filename"], self.source.meta["md5"])]]

    def _read(self, *, train: bool) -> Samples:
        # torchvision checks (so reads, and needs) the files of both splits, unless it is told of one only
        half = type("Half", (self.source,), {"test_list" if train else "train_list": []})
        try:
            found = half(self.root, train=train)
        except (OSError, RuntimeError) as error:
            raise self._diagnosis(error, train=train) from error
        pixels_NCHW = np.ascontiguousarray(found.data.transpose(0, 3, 1, 2))
        return Samples(torch.from_numpy(pixels_NCHW), torch.tensor(found.targets))

    def _diagnosis(self, error: Exception, *, train: bool) -> DataError:
        """Name the first file that is not as it should be; torchvision only says that one is."""
        for name, md5 in self._files(train=train):
            path = self.folder / name
            try:
                found = calculate_md5(path)
            except FileNotFoundError:
                return self._unusable(path, "no such file")
            except OSError as reason:
                return self._unusable(path, f"{reason.strerror}")
            if found != md5:
                return self._unusable(path, f"{path.stat().st_size} bytes with MD5 {found} instead of {md5}")
        return self._unusable(self.folder, f"{error}")

    def _unusable(self, path: Path, found: str) -> DataError:
        return DataError(
            f"The {self.name} data cannot be read: found {found} at {path}. "
            f"Unpack {self.source.url} into {self.root}, or remove {self.folder} to have it downloaded."
        )

    def _download(self) -> None:
        """Download the data set, and keep it once all its sums are right."""
        try:
            download_beside(self.folder, lambda staging: self.source(staging, train=False, download=True))
        except DownloadError as error:
            raise DataError(
                f"The {self.name} data are not in {self.folder} and cannot be downloaded: found {error}. "
                f"Unpack {self.source.url} into {self.root}, or name as root the folder that has it."
            ) from error


class CIFAR10DataModule(CIFARDataModule):
    """Ten classes, 50,000 training images (validation included) and 10,000 test images."""

    name = "cifar10"
    num_classes = 10
    source = CIFAR10
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)


class CIFAR100DataModule(CIFARDataModule):
    """A hundred fine classes, 50,000 training images (validation included) and 10,000 test images."""

    name = "cifar100"
    num_classes = 100
    source = CIFAR100
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
