import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from datamodules.event_sets import CIFAR10DVSDataModule
from datamodules.event_sets import DVS128GestureDataModule
from datamodules.event_sets import NMNISTDataModule
from datamodules.event_sets import PublicEventsDataModule
from datamodules.recordings import RecordingError
from tests.datamodules import event_files as files
from tests.datamodules.conformance import DataModuleConformance
from tests.datamodules.conformance import labels_of
from tests.datamodules.event_conformance import EventDataModuleConformance
from tests.datamodules.event_files import write
from tests.datamodules.public_sets import Build
from tests.datamodules.public_sets import Everything
from tests.datamodules.public_sets import built
from tests.datamodules.public_sets import names_of
from tests.datamodules.public_sets import refusal
from tests.datamodules.public_sets import write_cifar
from tests.datamodules.public_sets import write_gestures
from tests.datamodules.public_sets import write_n_mnist


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of every set, which no test changes."""
    root = tmp_path_factory.mktemp("data")
    write_n_mnist(root / "NMNIST")
    write_gestures(root / "DVSGesture")
    write_cifar(root / "CIFAR10DVS")
    return root


class TestNMNIST(EventDataModuleConformance):
    highest = 9.0

    @pytest.fixture
    def build(self, root: Path, tmp_path: Path) -> Build:
        return lambda **options: built(NMNISTDataModule, root, tmp_path / "frames", **options)

    @pytest.fixture
    def everything(self) -> Everything:
        return np.stack([files.toy_frames(number, (34, 34)) for number in range(160)]), np.arange(160) % 10

    def test_official_split_is_that_of_the_folders(self, build: Build) -> None:
        module = build()
        assert {name.split("/")[0] for name in names_of(module, test=False)} == {"Train"}
        assert {name.split("/")[0] for name in names_of(module, test=True)} == {"Test"}
        source = module.sources(test=True)[0]
        assert (source.name, source.label) == ("Test/0/00120.bin", 0)


class SmallFrames(DataModuleConformance):
    lowest = 0.0
    highest = 9.0
    module: type[PublicEventsDataModule]

    @pytest.fixture
    def build(self, root: Path, tmp_path: Path) -> Build:
        return lambda **options: built(self.module, root, tmp_path / "frames", **{"size": 16, "roll": 2, **options})

    def to_raw(self, x: Tensor) -> NDArray[np.uint8]:
        raw: NDArray[np.uint8] = x.numpy().astype(np.uint8)
        return raw


class TestDVS128Gesture(SmallFrames):
    module = DVS128GestureDataModule

    @pytest.fixture
    def everything(self) -> Everything:
        return np.stack([files.toy_frames(number, (16, 16)) for number in range(165)]), np.arange(165) % 11

    def test_split_is_by_user(self, build: Build) -> None:
        module = build()
        assert len(names_of(module, test=False)) == 132
        assert names_of(module, test=True)[0] == "ibmGestureTest/user13_fluorescent_led/0.npy"
        users = [{name.split("/")[1] for name in names_of(module, test=test)} for test in (False, True)]
        assert not users[0] & users[1]

    def test_times_are_turned_into_microseconds(self, build: Build) -> None:
        [source] = [s for s in build().sources(test=False) if s.name == "ibmGestureTrain/user01_fluorescent_led/3.npy"]
        events, sensor_HW = source.read()
        assert np.array_equal(events, files.toy_events(3, (16, 16), pixels=8, tick_us=1000))
        assert (int(events["t"][0]), int(events["t"][-1])) == (0, 999_000)
        assert sensor_HW == (128, 128)


class TestCIFAR10DVS(SmallFrames):
    module = CIFAR10DVSDataModule

    @pytest.fixture
    def everything(self) -> Everything:
        return np.stack([files.toy_frames(number, (16, 16)) for number in range(200)]), np.arange(200) % 10

    def test_a_tenth_of_every_class_is_for_testing(self, build: Build) -> None:
        module = build()
        assert np.bincount([source.label for source in module.sources(test=True)]).tolist() == [2] * 10
        assert np.bincount([source.label for source in module.sources(test=False)]).tolist() == [18] * 10

    def test_another_seed_is_another_test_split(self, build: Build) -> None:
        assert set(names_of(build(seed=1), test=True)) != set(names_of(build(seed=2), test=True))

    def test_mirror_images_are_of_their_class(self, build: Build) -> None:
        assert build().flip is True


def test_gestures_and_digits_are_never_mirrored() -> None:
    assert not DVS128GestureDataModule.flip  # left and right are classes of their own
    assert not NMNISTDataModule.flip


class TestPlaces:
    @pytest.mark.parametrize(
        ("module", "folder"),
        [
            (NMNISTDataModule, "NMNIST"),
            (DVS128GestureDataModule, "DVSGesture"),
            (CIFAR10DVSDataModule, "CIFAR10DVS"),
        ],
    )
    def test_the_root_may_be_the_folder_itself(
        self, module: type[PublicEventsDataModule], folder: str, root: Path, tmp_path: Path
    ) -> None:
        above, itself = (built(module, place, tmp_path) for place in (root, root / folder))
        itself.prepare_data()
        assert itself.folder == above.folder == root / folder
        assert names_of(itself, test=False) == names_of(above, test=False)

    @pytest.fixture
    def own(self, root: Path, tmp_path: Path) -> Path:
        """A copy of N-MNIST that may be changed."""
        return shutil.copytree(root / "NMNIST", tmp_path / "own")

    def test_hidden_files_and_files_beside_the_folders_are_ignored(self, own: Path, tmp_path: Path) -> None:
        before = names_of(built(NMNISTDataModule, own, tmp_path), test=False)
        for name in (
            ".DS_Store",
            "README",
            "Train/.DS_Store",
            "Train/notes.txt",
            "Train/3/.DS_Store",
            "Train/3/._0.bin",
        ):
            write(own / name, b"?")
        (own / "Train" / "__MACOSX").mkdir()
        module = built(NMNISTDataModule, own, tmp_path)
        module.prepare_data()
        assert names_of(module, test=False) == before

    def test_a_file_is_told_by_its_content(self, own: Path, tmp_path: Path) -> None:
        module = built(NMNISTDataModule, own, tmp_path)
        before, contents = [source.digest for source in module.sources(test=False)], module.contents
        path = own / "Train" / "4" / "00004.bin"
        status, content = path.stat(), path.read_bytes()
        path.write_bytes(bytes(reversed(content)))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after = [source.digest for source in module.sources(test=False)]
        row = names_of(module, test=False).index("Train/4/00004.bin")
        assert [i for i, (one, two) in enumerate(zip(before, after, strict=True)) if one != two] == [row]
        assert module.contents != contents
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
        assert module.contents == contents == built(NMNISTDataModule, own, tmp_path).contents

    def test_fit_needs_no_test_folder(self, own: Path, tmp_path: Path) -> None:
        shutil.rmtree(own / "Test")
        module = built(NMNISTDataModule, own, tmp_path)
        module.setup("fit")
        assert len(labels_of(module.train_dataloader())) == 108
        assert "No such file or directory at" in refusal(module.test_dataloader)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda own: shutil.rmtree(own / "Test"), "found No such file or directory at {own}/Test."),
            (lambda own: shutil.rmtree(own / "Train"), "found No such file or directory at {own}/Train."),
            (lambda own: shutil.rmtree(own / "Test" / "7"), "found no folder {own}/Test/7, and the classes 0, 1,"),
            (lambda own: (own / "Train" / "ten").mkdir(), "found the folder {own}/Train/ten, and the classes 0, 1,"),
            (lambda own: write(own / "Train" / "3" / "a.txt", b""), "found {own}/Train/3/a.txt. Move it out"),
            (lambda own: (own / "Train" / "3" / "deep.bin").mkdir(), "found {own}/Train/3/deep.bin. Move it out"),
            (lambda own: write(own / "Train" / "3" / "a.npy", b""), "nothing else than .bin: found"),
            (
                lambda own: [path.unlink() for path in (own / "Test" / "3").iterdir()],
                "is empty: found {own}/Test/3.",
            ),
        ],
    )
    def test_what_is_missing_or_too_much_is_named_before_anything_is_read(
        self, change: Callable[[Path], object], expected: str, own: Path, tmp_path: Path
    ) -> None:
        change(own)
        assert expected.format(own=own) in refusal(built(NMNISTDataModule, own, tmp_path).prepare_data)

    @pytest.mark.parametrize("name", ["11.npy", "hello.npy", "-1.npy", "01.npy"])
    def test_a_gesture_of_an_unknown_class_is_named(self, name: str, root: Path, tmp_path: Path) -> None:
        own = shutil.copytree(root / "DVSGesture", tmp_path / "own")
        path = write(own / "ibmGestureTest" / "user13_fluorescent_led" / name, b"")
        assert f"0.npy to 10.npy: found {path}." in refusal(built(DVS128GestureDataModule, own, tmp_path).prepare_data)

    def test_a_bad_file_is_named_with_its_path_and_place(self, own: Path, tmp_path: Path) -> None:
        path = own / "Train" / "5" / "00005.bin"
        path.write_bytes(path.read_bytes()[:-2])
        message = refusal(built(NMNISTDataModule, own, tmp_path).prepare_data)
        assert f"{path} cannot be read: found 3 bytes of a record of 5 at byte 495" in message

    def test_a_bad_link_can_be_skipped(self, own: Path, tmp_path: Path) -> None:
        path = own / "Train" / "5" / "00005.bin"
        path.unlink()
        path.symlink_to("nowhere")
        module = built(NMNISTDataModule, own, tmp_path, on_bad_file="skip")
        with pytest.warns(UserWarning, match="skipped 1 of 120 recordings of nmnist: Train/5/00005.bin"):
            module.setup("fit")

    @pytest.mark.parametrize(
        ("array", "expected"),
        [
            (np.zeros((3, 5)), "an array of float64 and shape (3, 5)"),
            (np.array([[0, 0, 0, 0.5]]), "0.5 in event 0, which is no integer"),
            (np.array([[0, 0, 0, np.nan]]), "nan in event 0, which is no integer"),
            (np.array([[0, 0, 0, 2**60]]), "times of more than"),
            (np.array([[128, 0, 0, 0]]), "x = 128 in event 0"),
            (np.array([[0, 0, 2, 0]]), "polarity 2 in event 0"),
            (np.zeros((0, 4)), "no events"),
        ],
    )
    def test_a_bad_gesture_is_refused(self, array: NDArray[Any], expected: str, root: Path, tmp_path: Path) -> None:
        own = shutil.copytree(root / "DVSGesture", tmp_path / "own")
        files.write_array(own / "ibmGestureTrain" / "user01_fluorescent_led" / "0.npy", array)
        source = built(DVS128GestureDataModule, own, tmp_path).sources(test=False)[0]
        with pytest.raises(RecordingError) as caught:
            source.read()
        assert expected in str(caught.value)


@pytest.mark.data
class TestRealNMNIST:
    @pytest.fixture
    def real(self, data_root: Path, tmp_path: Path) -> PublicEventsDataModule:
        if not (data_root / "nmnist-small").is_dir():
            pytest.skip(f"{data_root} has no nmnist-small")
        return built(NMNISTDataModule, data_root / "nmnist-small", tmp_path, time_steps=5)

    def test_classes_have_the_sizes_of_mnist(self, real: PublicEventsDataModule) -> None:
        real.prepare_data()
        sizes = [np.bincount([source.label for source in real.sources(test=test)]).tolist() for test in (False, True)]
        # the first 1,000 training and the first 100 test images of MNIST
        assert sizes == [[97, 116, 99, 93, 105, 92, 94, 117, 87, 100], [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]]

    def test_frames_hold_all_events(self, real: PublicEventsDataModule) -> None:
        x_BTCHW, y_B = next(iter(real.test_dataloader()))
        assert x_BTCHW.shape == (100, 5, 2, 34, 34)
        assert 200_000 < int(x_BTCHW.sum()) < 600_000
        assert len(y_B) == 100
        for source, x_TCHW in zip(real.sources(test=True)[:5], x_BTCHW, strict=False):
            assert int(x_TCHW.sum()) == len(source.read().events)
