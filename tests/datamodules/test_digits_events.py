import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from datamodules import digits
from datamodules._saccades import saccade_events
from datamodules.digits import DigitsDataModule
from datamodules.digits_events import DigitsEventsDataModule
from tests.datamodules.conformance import inputs_of
from tests.datamodules.conformance import labels_of
from tests.datamodules.event_conformance import EventDataModuleConformance

FEW = 160


@functools.cache
def few_frames() -> NDArray[np.uint8]:
    """Return four frames of each of the first digits, event by event."""
    frames_NTCHW = np.zeros((FEW, 4, 2, 16, 16), np.uint8)
    for row, events_E in enumerate(saccade_events(load_digits().images[:FEW].astype(np.uint8))):
        start, end = int(events_E["t"][0]), int(events_E["t"][-1]) + 1
        for x, y, t, p in events_E.tolist():
            frames_NTCHW[row, 4 * (t - start) // (end - start), p, y, x] += 1
    return frames_NTCHW


class TestDigitsEvents(EventDataModuleConformance):
    """On the first digits only: simulating all of them takes about a second, in every one of these tests."""

    highest = 4.0

    @pytest.fixture
    def build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DigitsEventsDataModule]:
        pixels, labels = load_digits(return_X_y=True)
        monkeypatch.setattr(digits, "load_digits", lambda return_X_y: (pixels[:FEW], labels[:FEW]))
        return lambda **options: DigitsEventsDataModule(
            **{"seed": 0, "time_steps": 4, "root": str(tmp_path), "batch_size": 16, **options}
        )

    @pytest.fixture
    def everything(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return few_frames(), load_digits().target[:FEW]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DigitsEventsDataModule:
    return DigitsEventsDataModule(seed=0, time_steps=4, root=str(tmp_path_factory.mktemp("data")))


def test_needs_no_data_folder(whole: DigitsEventsDataModule) -> None:
    whole.prepare_data()
    whole.setup("fit")
    # 1797 / 5 = 359.4; 1438 / 10 = 143.8
    loaders = whole.train_dataloader(), whole.val_dataloader(), whole.test_dataloader()
    assert [len(labels_of(loader)) for loader in loaders] == [1294, 144, 359]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_test_split_has_the_images_of_the_digits_with_the_same_seed(seed: int) -> None:
    module = DigitsEventsDataModule(seed=seed, time_steps=4)
    listed = module.sources(test=True)
    images_NHW = load_digits().images[[int(source.name.split()[1]) for source in listed]]
    assert np.array_equal(images_NHW, DigitsDataModule(seed=seed).read_test().inputs[:, 0].numpy())


def test_a_recording_is_the_one_of_its_image() -> None:
    for source in DigitsEventsDataModule(seed=0, time_steps=4).sources(test=True)[::50]:
        row = int(source.name.split()[1])
        (events_E,) = saccade_events(load_digits().images[row : row + 1].astype(np.uint8))
        assert source.label == load_digits().target[row]
        assert source.read().events.tolist() == events_E.tolist()
        assert source.read().sensor_HW == (16, 16)


def test_no_two_images_share_a_digest(whole: DigitsEventsDataModule) -> None:
    listed = whole.sources(test=False) + whole.sources(test=True)
    distinct = len(np.unique(load_digits().data, axis=0))
    assert len({source.digest for source in listed}) == distinct
    assert len({source.name for source in listed}) == 1797


def test_recordings_have_as_many_events_as_the_docstring_says(whole: DigitsEventsDataModule) -> None:
    events_N = [len(source.read().events) for source in whole.sources(test=False)]
    assert min(events_N) > 620
    assert max(events_N) < 1140


def test_classes_can_be_told_apart(whole: DigitsEventsDataModule) -> None:
    train, test = whole.read_train(), whole.read_test()
    nearest = KNeighborsClassifier(1).fit(train.inputs.flatten(1), train.labels_N)
    assert nearest.score(test.inputs.flatten(1), test.labels_N) > 0.9


def test_augmentation_never_mirrors(whole: DigitsEventsDataModule) -> None:
    x_BTCHW = inputs_of(whole.test_dataloader())[:50]
    profile_BW = x_BTCHW.sum((1, 2, 3))
    for before_W, after_W in zip(profile_BW, whole.augmented(x_BTCHW).sum((1, 2, 3)), strict=True):
        assert any(before_W.roll(shift).equal(after_W) for shift in range(-2, 3))
