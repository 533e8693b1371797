"""What every data module of event recordings shares: frames made once and cached, and what to do with bad files.

Axes: N recordings, B batch, T time steps, C channels (polarities), H rows, W columns.
"""

import functools
import warnings
from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules._announcement import Announcement
from datamodules._digests import FileDigests
from datamodules._digests import digest_of
from datamodules._event_augment import augment_frames
from datamodules._event_variation import CountingSampler
from datamodules._event_variation import Variation
from datamodules._event_variation import VariedSplit
from datamodules._loading import Batch
from datamodules._loading import Samples
from datamodules._source import Source
from datamodules._streams import Stream
from datamodules._streams import generator_for
from datamodules.base import BaseDataModule
from datamodules.base import at_least
from datamodules.errors import DataError
from datamodules.frame_cache import CachedFrames
from datamodules.frame_cache import cached_frames
from datamodules.framing import Framing
from datamodules.framing import rows_and_columns
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError

__all__ = ["EventDataModule", "Source"]

LISTED = 10
"""Bad recordings that a warning names; the attribute ``skipped`` names all."""


class EventDataModule(BaseDataModule, ABC):
    """Batches ``(x_BTCHW, y_B)``: counts of events as float32, and classes as int64.

    A subclass names the data set and lists its recordings (:meth:`sources`). Their frames are made once, by
    :class:`~datamodules.framing.Framing`, and kept on disk (:mod:`datamodules.frame_cache`); with ``drop`` or
    ``jitter``, training recordings are read again and varied anew in every epoch instead.
    """

    sensor_HW: tuple[int, int]
    """Rows and columns of the sensor; known when ``setup`` is called, and the same for all recordings."""
    version: str
    """Changes when recordings come to be read otherwise: of that, the digests of their files show nothing."""
    flip: bool = False
    """Default of the option: whether a mirror image is still of its class."""
    roll: int = 2
    """Default of the option. Ours."""
    cutout: int = 0
    """Default of the option."""

    def __init__(
        self,
        *,
        seed: int,
        time_steps: int,
        root: str = "data",
        batch_size: int = 64,
        eval_batch_size: int = 128,
        validation_fraction: float = 0.1,
        train_samples: int | None = None,
        validation_samples: int | None = None,
        test_samples: int | None = None,
        augment: bool = False,
        on_bad_file: str = "error",
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
        """Check and keep the options. Nothing is read yet.

        Beside those of :class:`~datamodules.base.BaseDataModule`, whose ``seed`` also decides how recordings are
        varied, and whose ``augment`` switches ``flip``, ``roll`` and ``cutout``:

        - ``time_steps``, ``size`` (one number, or rows and columns), ``frames_by``, ``denoise_us``,
          ``merge_polarities``, ``max_count``: see :class:`~datamodules.framing.Framing`.
        - ``drop``, ``jitter``: see :class:`~datamodules._event_variation.Variation`; with either above 0, training
          recordings are varied event by event, with ``augment`` or without.
        - ``flip``, ``roll``, ``cutout``: see :func:`~datamodules._event_augment.augment_frames`; None: the class
          attribute of that name, as suits the data set.
        - ``on_bad_file``: what to do with a recording that cannot be read, ``"error"``, or ``"skip"`` it with a
          warning that lists them; ``skipped`` then holds their names.
        - ``cache``: folder that frames are kept in; None: ``.frames`` below ``root``.

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
        if on_bad_file not in ("error", "skip"):
            raise DataError(
                f"on_bad_file must be error or skip, found {on_bad_file!r}. Use error to stop at a recording that "
                "cannot be read, skip to leave it out."
            )
        _check("a whole number", int, time_steps=time_steps, max_count=max_count, roll=roll, cutout=cutout)
        _check("a number", (int, float), denoise_us=denoise_us, drop=drop, jitter=jitter)
        _check("true or false", bool, merge_polarities=merge_polarities, flip=flip)
        _check("the path of a folder", str, cache=cache)
        at_least(0, roll=roll, cutout=cutout)
        self.framing = Framing(
            time_steps=time_steps,
            size_HW=rows_and_columns("size", size),
            by=frames_by,
            denoise_us=denoise_us,
            merge_polarities=merge_polarities,
            max_count=max_count,
        )
        self.variation = Variation(drop=drop, jitter=jitter)
        self.on_bad_file = on_bad_file
        self.flip = self.flip if flip is None else flip
        self.roll = self.roll if roll is None else roll
        self.cutout = self.cutout if cutout is None else cutout
        self.cache = self.root / ".frames" if cache is None else Path(cache).expanduser()
        self.skipped: list[str] = []

    @abstractmethod
    def sources(self, *, test: bool) -> list[Source]:
        """List the recordings of the test split, or of the training split, always in the same order.

        Nothing is decoded; for the training split, nothing at all of the test split.

        Raises:
            DataError: If the data set is not there.
        """

    def prepare_data(self) -> None:
        """Make the frames of both splits: better to hear of a recording that cannot be read now than after a search.

        Raises:
            DataError: If one cannot be read, unless they are to be skipped.
        """
        for test in (False, True):
            self._cached(self.sources(test=test), test=test)

    @property
    def contents(self) -> str:
        """Return a digest of the recordings of each split: names, classes and content."""
        listed = [[source[:3] for source in self.sources(test=test)] for test in (False, True)]
        self.digests.save()
        return digest_of(listed)

    @functools.cached_property
    def digests(self) -> FileDigests:
        """Return the digests of files, as far as they are known from earlier."""
        return FileDigests(self.cache)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return ``(T, C, H, W)``."""
        return self.framing.shape(self.sensor_HW)

    def read_train(self) -> Samples:
        """Return the frames of the training split."""
        return self._training[1].samples

    def read_test(self) -> Samples:
        """Return the frames of the test split."""
        return self._frames_of(self.sources(test=True), test=True).samples

    def decode(self, inputs: Tensor) -> Tensor:
        """Turn bytes into float32 counts."""
        return inputs.float()

    def augmented(self, x_BTCHW: Tensor) -> Tensor:
        """Mirror, shift and blank every sample at random, all its steps and channels alike."""
        return augment_frames(x_BTCHW, flip=self.flip, roll=self.roll, cutout=self.cutout)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, of frames from the cache, or of recordings varied as the epoch has them."""
        if not self.variation:
            return super().train_dataloader()
        split = VariedSplit(self._development[0].labels_M, self._varied)
        return self._training_loader(split, CountingSampler(split, seed=self.seed))

    def _varied(self, position: int, epoch: int) -> Tensor:
        """Return one training input as its epoch has it, whichever process asks, and however often."""
        sources, cached = self._training
        row = int(cached.rows_N[self._development[0].rows_M[position]])
        generator = generator_for(self.seed, Stream.EVENT_VARIATION, epoch, row)
        varied = self.variation(self._checked(sources[row].read()), generator)
        return self.decode(torch.from_numpy(self.framing.frames(varied)))

    @functools.cached_property
    def _training(self) -> tuple[list[Source], CachedFrames]:
        sources = self.sources(test=False)
        return sources, self._frames_of(sources, test=False)

    def _cached(self, sources: list[Source], *, test: bool) -> CachedFrames:
        """Return the frames of a split from disk; make them where they are missing."""
        split = "test" if test else "training"
        if not sources:
            raise DataError(
                f"The {split} split of {self.name} has no recordings below {self.root}. "
                "Name as root the folder that holds the data set."
            )
        return cached_frames(
            self.cache,
            {"data": self.name, "version": self.version, "split": split, "framing": self.framing.key()},
            sources,
            lambda recording: self.framing.frames(self._checked(recording)),
            shape=self.framing.shape(self.sensor_HW),
            skip=self.on_bad_file == "skip",
            progress=Announcement(f"building frames of {self.name}", f"built frames of {self.name}"),
        )

    def _frames_of(self, sources: list[Source], *, test: bool) -> CachedFrames:
        """Return the frames of a split, and say what was left out."""
        found = self._cached(sources, test=test)
        if found.skipped:
            self._report(found.skipped, len(sources))
        lost = sorted({source.label for source in sources} - set(found.samples.labels_N.tolist()))
        if lost:
            raise DataError(
                "Every class needs a recording that can be read: found none of class "
                f"{lost[0]} in the {'test' if test else 'training'} split of {self.name}, {len(found.skipped)} of "
                f"{len(sources)} recordings being unreadable. "
                "Replace the files that the warning lists."
            )
        return found

    def _checked(self, recording: Recording) -> Recording:
        if tuple(recording.sensor_HW) != tuple(self.sensor_HW):
            raise RecordingError(
                f"The recordings of {self.name} come from a sensor of {list(self.sensor_HW)} as [rows, columns], "
                f"found one of {list(recording.sensor_HW)}. Take it out of the data set."
            )
        return recording

    def _report(self, skipped: list[tuple[str, str]], total: int) -> None:
        self.skipped += [name for name, _ in skipped]
        listed = "; ".join(f"{name} ({reason})" for name, reason in skipped[:LISTED])
        more = f"; and {len(skipped) - LISTED:,} more" if len(skipped) > LISTED else ""
        warnings.warn(f"skipped {len(skipped):,} of {total:,} recordings of {self.name}: {listed}{more}", stacklevel=2)


def _check(kind: str, types: type | tuple[type, ...], **options: object) -> None:
    """Refuse values of another type: these options reach us as a user typed them."""
    for option, value in options.items():
        fits = isinstance(value, types) and isinstance(value, bool) == (types is bool)  # True is an int to Python
        if value is not None and not fits:
            raise DataError(f"{option} must be {kind}, found {value!r}. Use a value of that kind.")
