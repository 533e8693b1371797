from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

from datamodules.digits import DigitsDataModule
from tests.datamodules.conformance import DataModuleConformance
from tests.datamodules.conformance import inputs_of
from tests.datamodules.conformance import labels_of


class TestDigits(DataModuleConformance):
    lowest = 0.0
    highest = 1.0

    @pytest.fixture
    def build(self) -> Callable[..., DigitsDataModule]:
        def make(**options: Any) -> DigitsDataModule:
            return DigitsDataModule(**{"seed": 0, **options})

        return make

    @pytest.fixture
    def everything(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        digits = load_digits()
        return digits.images[:, np.newaxis].astype(np.uint8), digits.target

    def to_raw(self, x_BCHW: Tensor) -> NDArray[np.uint8]:
        raw_BCHW: NDArray[np.uint8] = np.rint(x_BCHW.numpy() * 16).astype(np.uint8)
        return raw_BCHW


def test_sizes_are_a_fifth_and_a_fifth_of_the_rest() -> None:
    module = DigitsDataModule(seed=0)
    loaders = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    # 1797 / 5 = 359.4; 1438 / 5 = 287.6
    assert [len(labels_of(loader)) for loader in loaders] == [1150, 288, 359]


def test_inputs_are_the_pixels_over_sixteen() -> None:
    x_BCHW = inputs_of(DigitsDataModule(seed=0).test_dataloader())
    known = {image.tobytes() for image in load_digits().images / 16}
    assert all(image.tobytes() in known for image in x_BCHW[:, 0].double().numpy())


def test_the_test_split_depends_on_the_seed() -> None:
    one, other = (inputs_of(DigitsDataModule(seed=seed).test_dataloader()) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_augmentation_never_mirrors() -> None:
    x_1CHW = torch.zeros(1, 1, 8, 8)
    x_1CHW[0, 0, 3, 2:5] = torch.tensor([0.25, 0.5, 0.75])
    torch.manual_seed(0)
    for image in DigitsDataModule(seed=0, augment=True).augmented(x_1CHW.expand(200, 1, 8, 8)):
        assert image[image > 0].tolist() == [0.25, 0.5, 0.75]
