"""A user's own recordings: one folder a class, with or without a split of their own."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from datamodules._class_folders import Listed
from datamodules._class_folders import as_sources
from datamodules._class_folders import list_classes
from datamodules._class_folders import subfolders
from datamodules._held_out import held_out
from datamodules._held_out import split_file
from datamodules._source import Source
from datamodules.base import at_least
from datamodules.errors import DataError
from datamodules.events import EventDataModule
from datamodules.framing import rows_and_columns
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError
from datamodules.recordings import read_recording

TEST_SHARE = 5
"""Ours, as for digits: one recording in five is for testing where the user has not split them."""
TRAINING = re.compile(r"(train|training|trn|trainval)[ _-]?(set|data|split)?", re.IGNORECASE)
HELD_OUT = re.compile(
    r"(test|testing|tst|holdout|val|valid|validation|dev|eval|evaluation)[ _-]?(set|data|split)?", re.IGNORECASE
)
"""What folders of a split are usually called: two classes of such names are not believed."""


class EventFolderDataModule(EventDataModule):
    """Recordings in ``root/<class>/``, or in ``root/train/<class>/`` and ``root/test/<class>/``, in any capitals.

    Classes are the folders' names in alphabetical order. Formats may be mixed, all of one sensor.
    """

    name = "event_folder"
    version = "1"

    def __init__(
        self,
        *,
        seed: int,
        time_steps: int,
        root: str = "data",
        batch_size: int = 16,
        eval_batch_size: int = 64,
        validation_fraction: float = 0.2,
        train_samples: int | None = None,
        validation_samples: int | None = None,
        test_samples: int | None = None,
        augment: bool = False,
        on_bad_file: str = "error",
        sensor: int | Sequence[int] | None = None,
        size: int | Sequence[int] | None = None,
        frames_by: str = "time",
        denoise_us: float | None = None,
        merge_polarities: bool = False,
        max_count: int | None = None,
        drop: float = 0.0,
        jitter: float = 0.0,
        flip: bool | None = None,
        roll: int | None = None,
        cutout: int | None = None,
        cache: str | None = None,
    ) -> None:
        """See :class:`~datamodules.events.EventDataModule`; new is ``sensor``, one number, or rows and columns.

        Without it the first training recording that can be read says what the sensor is.
        """
        super().__init__(
            seed=seed,
            time_steps=time_steps,
            root=root,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            validation_fraction=validation_fraction,
            train_samples=train_samples,
            validation_samples=validation_samples,
            test_samples=test_samples,
            augment=augment,
            on_bad_file=on_bad_file,
            size=size,
            frames_by=frames_by,
            denoise_us=denoise_us,
            merge_polarities=merge_polarities,
            max_count=max_count,
            drop=drop,
            jitter=jitter,
            flip=flip,
            roll=roll,
            cutout=cutout,
            cache=cache,
        )
        self.sensor = rows_and_columns("sensor", sensor)
        if self.sensor is not None:
            at_least(1, sensor=min(self.sensor))

    def prepare_data(self) -> None:
        """Check that the folders of both splits hold recordings, each class in its own, and make their frames.

        Raises:
            DataError: If they do not.
        """
        for test in (False, True):
            self._listed(test=test)
        super().prepare_data()

    @property
    def split_policy(self) -> str:  # type: ignore[override]  # it is for the folder to say
        """Say how the recordings are split."""
        drawn = f"a fifth of every class, drawn by seed and kept in {split_file(TEST_SHARE, self.seed)} beside the data"
        test = drawn if self._split is None else f"the folder {self._split[1].name}"
        return f"test: {test}; validation: carved from the others, by class and seed"

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of their numbers."""
        folder = self.root if self._split is None else self._split[0]
        names = tuple(path.name for path in subfolders(folder))
        if len(names) < 2:
            raise DataError(
                f"Recordings must lie in a folder for each class, two or more: found {len(names)} in {folder}. "
                "Put those of each class into a folder of its own, and name as root the folder that holds these."
            )
        return names

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]  # a folder has as many as it has
        """Return the number of folders."""
        return len(self.class_names)

    @cached_property
    def _split(self) -> tuple[Path, Path] | None:
        """Return the folders of training and test recordings; None where the user has not split them."""
        folders = subfolders(self.root)
        training = [path for path in folders if TRAINING.fullmatch(path.name)]
        held_out = [path for path in folders if HELD_OUT.fullmatch(path.name)]
        if not training or not held_out:
            return None
        if [path.name.lower() for path in (*training, *held_out)] != ["train", "test"]:
            found = ", ".join(path.name for path in sorted((*training, *held_out)))
            raise DataError(
                f"A split of your own is two folders, train and test, in {self.root}: found {found}. Call the two so, "
                "with all that is not for testing in train, where validation data are carved from; if these folders "
                "are classes, give one of them another name."
            )
        if others := [path for path in folders if path not in (*training, *held_out)]:
            raise DataError(
                f"Folders train and test must be alone where they are the split: found {others[0]} beside them. Move "
                "it out, or rename classes of these names."
            )
        return training[0], held_out[0]

    def _listed(self, *, test: bool) -> list[Listed]:
        if self._split is not None:
            return list_classes(self._split[int(test)], self.class_names)
        listed = list_classes(self.root, self.class_names)
        return held_out(self.root, listed, share=TEST_SHARE, seed=self.seed)[int(test)]

    def sources(self, *, test: bool) -> list[Source]:
        """List the recordings of a split."""
        return as_sources(self.root, self._listed(test=test), self._read, self.digests)

    @cached_property
    def _first(self) -> tuple[Path | None, tuple[int, int]]:
        """Return the sensor, and the recording that it is known from."""
        if self.sensor is not None:
            return None, self.sensor
        problem: RecordingError | None = None
        for path, _ in self._listed(test=False):
            try:
                return path, read_recording(path).sensor_HW
            except RecordingError as error:
                problem = problem or error
                if self.on_bad_file == "error":
                    break
        assert problem is not None
        raise problem

    @cached_property
    def sensor_HW(self) -> tuple[int, int]:  # type: ignore[override]  # read from the recordings
        """Return rows and columns of the sensor."""
        return self._first[1]

    def _read(self, path: Path) -> Recording:
        recording = read_recording(path, sensor_HW=self.sensor)
        if recording.sensor_HW != self.sensor_HW:
            first, expected = self._first
            raise RecordingError(
                f"All recordings must come from one sensor: found {list(recording.sensor_HW)} as [rows, columns] in "
                f"{path} and {list(expected)} in {first}. Take one kind out, or name the sensor of all as sensor."
            )
        return recording
