"""N-MNIST, DVS128 Gesture and CIFAR10-DVS: downloaded by tonic, read by us, so that a part of a set works as well.

Each set lies where tonic puts it, in a folder below ``root``; or ``root`` itself is that folder.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import ClassVar

from datamodules import _arrays
from datamodules._class_folders import Listed
from datamodules._class_folders import as_sources
from datamodules._class_folders import list_classes
from datamodules._class_folders import list_recordings
from datamodules._class_folders import subfolders
from datamodules._download import DownloadError
from datamodules._download import download_beside
from datamodules._held_out import held_out
from datamodules._source import Source
from datamodules.errors import DataError
from datamodules.events import EventDataModule
from datamodules.recordings import Recording
from datamodules.recordings import parsed
from datamodules.recordings import read_recording

SHARE = 10
"""One recording of CIFAR10-DVS in ten is for testing: 9:1, usual in the literature."""


class PublicEventsDataModule(EventDataModule):
    """A public set in tonic's layout. Subclasses name it and list its files."""

    tonic_name: ClassVar[str]
    """Of tonic's class, and of the folder it makes."""
    parts: ClassVar[Sequence[str]]
    """Folders that a complete set has."""
    halves: ClassVar[Sequence[dict[str, Any]]] = ({"train": True}, {"train": False})
    """Arguments of tonic's class, which downloads one half at a time."""

    @abstractmethod
    def listed(self, *, test: bool) -> list[Listed]:
        """List the files of a split, and nothing of the other."""

    def read(self, path: Path) -> Recording:
        """Read one file of the set."""
        return read_recording(path, sensor_HW=self.sensor_HW)

    @property
    def folder(self) -> Path:
        """Return the folder of the set."""
        there = any((self.root / part).is_dir() for part in self.parts)
        return self.root if there else self.root / self.tonic_name

    def prepare_data(self) -> None:
        """Download the set if it is missing, and make its frames; a folder that is there is never changed.

        Raises:
            DataError: If the set is missing and cannot be downloaded, a folder of it is missing or misplaced, or a
                recording cannot be read.
        """
        if not self.folder.exists():
            self._download()
        for test in (False, True):
            self.listed(test=test)
        super().prepare_data()

    def sources(self, *, test: bool) -> list[Source]:
        """List the recordings of a split."""
        return as_sources(self.folder, self.listed(test=test), self.read, self.digests)

    def _download(self) -> None:
        from tonic import datasets  # GPL, and slow to import

        source = getattr(datasets, self.tonic_name)

        def fetch(staging: Path) -> None:
            for half in self.halves:
                source(str(staging), **half)
            for part in self.parts:
                if not any((staging / self.tonic_name / part).glob("*")):
                    raise RuntimeError(f"an archive without {part}")

        try:
            download_beside(self.folder, fetch)
        except DownloadError as error:
            addresses = [getattr(source, name) for name in ("url", "train_url", "test_url") if hasattr(source, name)]
            raise DataError(
                f"The {self.name} data are not in {self.folder} and cannot be downloaded: found {error}. "
                f"Unpack {' and '.join(addresses)} into {self.folder}, or name as root the folder that has them."
            ) from error


class NMNISTDataModule(PublicEventsDataModule):
    """Handwritten digits filmed in three saccades: 60,000 training recordings, 10,000 for testing.

    Source:
        G. Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using saccades" (2015).
    """

    name = "nmnist"
    num_classes = 10
    sensor_HW = (34, 34)
    version = "1"
    split_policy = "test: the official folder Test; validation: carved from the folder Train, by class and seed"
    tonic_name = "NMNIST"
    parts = ("Train", "Test")

    def listed(self, *, test: bool) -> list[Listed]:
        """List ``Train/<digit>/*.bin``, or ``Test``."""
        return list_classes(self.folder / ("Test" if test else "Train"), [str(digit) for digit in range(10)], (".bin",))


class DVS128GestureDataModule(PublicEventsDataModule):
    """Eleven gestures of 29 people under three lights, cut into single gestures by tonic's authors.

    Testing is on people who are not in the training recordings.

    Source:
        A. Amir et al., "A low power, fully event-based gesture recognition system" (2017).
    """

    name = "dvs128_gesture"
    num_classes = 11
    sensor_HW = (128, 128)
    version = "1"
    split_policy = "test: the official one, users 24 to 29; validation: carved from users 1 to 23, by class and seed"
    tonic_name = "DVSGesture"
    parts = ("ibmGestureTrain", "ibmGestureTest")

    def listed(self, *, test: bool) -> list[Listed]:
        """List ``ibmGestureTrain/<user>_<light>/<class>.npy``, or ``ibmGestureTest``."""
        half = self.folder / self.parts[int(test)]
        return [
            Listed(path, self._label(path)) for takes in subfolders(half) for path in list_recordings(takes, (".npy",))
        ]

    def _label(self, path: Path) -> int:
        classes = [str(label) for label in range(self.num_classes)]
        if path.stem not in classes:
            raise DataError(
                f"The name of a recording of {self.name} is its class, 0.npy to {classes[-1]}.npy: found {path}. "
                "Move it out."
            )
        return int(path.stem)

    def read(self, path: Path) -> Recording:
        """Read one file; tonic distributes plain arrays with times in milliseconds."""
        return parsed(path, _arrays.parse_gesture, sensor_HW=self.sensor_HW)


class CIFAR10DVSDataModule(PublicEventsDataModule):
    """10,000 images of CIFAR-10 filmed from a moving screen, 1,000 a class, without an official split.

    The files may be AEDAT 2.0, as published, or AEDAT 4.0, as tonic downloads them.

    Source:
        H. Li et al., "CIFAR10-DVS: an event-stream dataset for object classification" (2017).
    """

    name = "cifar10_dvs"
    num_classes = 10
    sensor_HW = (128, 128)
    version = "1"
    flip = True
    split_policy = (
        "test: a tenth of every class, drawn by seed and kept in split-9to1-seed<seed>.json beside the data (there is "
        "no official split; 9:1 is usual in the literature, the draw is ours); validation: carved from the other nine "
        "tenths, by class and seed"
    )
    tonic_name = "CIFAR10DVS"
    parts = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    halves = ({},)

    def listed(self, *, test: bool) -> list[Listed]:
        """List ``<class>/*.aedat4`` (or ``.aedat``), as far as the split has them."""
        listed = list_classes(self.folder, self.parts, (".aedat", ".aedat4"))
        twice = {path.with_suffix("") for path, _ in listed}
        if len(twice) < len(listed):
            raise DataError(
                f"A recording of {self.name} must be there once: found {len(listed) - len(twice)} both as .aedat and "
                f"as .aedat4 in {self.folder}. Keep one kind, for both could come to lie on either side of the split."
            )
        return held_out(self.folder, listed, share=SHARE, seed=self.seed)[int(test)]
