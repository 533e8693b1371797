"""Scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels that need no download.

Source: the test part of E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI (1998).
Axes: M images, N of them in a split, P pixels, H rows, W columns, C channels.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

from datamodules._augment import random_crop
from datamodules._digests import digest_of_arrays
from datamodules._loading import Samples
from datamodules._split import stratified_choice
from datamodules._streams import Stream
from datamodules._streams import generator_for
from datamodules.base import BaseDataModule

TEST_FRACTION = 0.2
"""Ours: scikit-learn ships one set without a split."""


class Digits(NamedTuple):
    """One split of the set."""

    rows_N: NDArray[np.int64]
    """Place of each image in scikit-learn's set."""
    images_NHW: NDArray[np.uint8]
    """Pixels 0 .. 16, ``[N, 8, 8]``."""
    labels_N: NDArray[np.int64]
    """Digit that was written."""


def read_digits(seed: int, *, test: bool) -> Digits:
    """Return a fifth of all images, in class proportion, as the test split; or the others as the training split."""
    pixels_MP, labels_M = load_digits(return_X_y=True)
    in_test_M = np.zeros(len(labels_M), dtype=bool)
    count = round(TEST_FRACTION * len(labels_M))
    in_test_M[stratified_choice(labels_M, count, generator_for(seed, Stream.TEST_SPLIT))] = True
    rows_N = np.flatnonzero(in_test_M == test)
    return Digits(rows_N, pixels_MP[rows_N].astype(np.uint8).reshape(-1, 8, 8), labels_M[rows_N].astype(np.int64))


class DigitsDataModule(BaseDataModule):
    """Ten digits, one channel, values 0 to 1 in steps of 1/16. The test split depends on the seed."""

    name = "digits"
    num_classes = 10
    sample_shape = (1, 8, 8)
    split_policy = "a fifth of scikit-learn's set, by class, chosen by the seed (ours)"

    def __init__(
        self,
        *,
        seed: int,
        root: str = "data",
        batch_size: int = 64,
        eval_batch_size: int = 256,
        validation_fraction: float = 0.2,
        train_samples: int | None = None,
        validation_samples: int | None = None,
        test_samples: int | None = None,
        augment: bool = False,
    ) -> None:
        """See :class:`~datamodules.base.BaseDataModule`; ``root`` is not used: nothing to download."""
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

    @property
    def contents(self) -> str:
        """Return a digest of the images and labels of both splits."""
        return digest_of_arrays(array for test in (False, True) for array in read_digits(self.seed, test=test))

    def read_train(self) -> Samples:
        """Return the images outside the test split."""
        return self._read(test=False)

    def read_test(self) -> Samples:
        """Return a fifth of all images, in class proportion."""
        return self._read(test=True)

    def _read(self, *, test: bool) -> Samples:
        found = read_digits(self.seed, test=test)
        return Samples(torch.from_numpy(found.images_NHW).unsqueeze(1), torch.from_numpy(found.labels_N))

    def decode(self, inputs: Tensor) -> Tensor:
        """Map pixels 0 .. 16 to 0 .. 1."""
        return inputs.float().div_(16.0)

    def augmented(self, x_BCHW: Tensor) -> Tensor:
        """Shift every image by at most one pixel each way; the border is background."""
        return random_crop(x_BCHW, x_BCHW.new_zeros(1), padding=1, flip=False)
