"""Frames of all recordings of a split in one file on disk: made once, never stale, never half there.

A set of frames lies in a folder of its own, named by a hash of everything that shapes them, so that other settings are
another folder. ``frames.bin`` holds the frames of one recording after the other; ``manifest.json`` what they are, how
many bytes, their checksum, and which recordings were left out and why. Any of these folders may be deleted.

A set is built beside its place under a lock, flushed to disk and renamed: several processes build it once, and what
a killed one leaves is removed by the next. It is checked whole whenever it is opened (4 GB a second, measured).
Axes: N recordings, T time steps, C channels, H rows, W columns.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from typing import Any
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from datamodules._loading import Samples
from datamodules._source import Source
from datamodules.errors import DataError
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError

FRAMES, MANIFEST = "frames.bin", "manifest.json"
FORMAT = 1
"""Raise it when the files come to mean something else."""


class CachedFrames(NamedTuple):
    """Frames of the recordings that could be read."""

    samples: Samples
    """Frames ``[N, T, C, H, W]``, uint8, mapped from disk: read them, never write to them; and their classes."""
    rows_N: NDArray[np.int64]
    """Place of each recording among the sources."""
    skipped: list[tuple[str, str]]
    """Name of each recording that could not be read, and why."""


def cached_frames(
    folder: Path,
    key: Mapping[str, Any],
    sources: Sequence[Source],
    make: Callable[[Recording], NDArray[np.uint8]],
    *,
    shape: tuple[int, ...],
    skip: bool,
    progress: Callable[[int, int], None],
) -> CachedFrames:
    """Return the frames of all recordings, from disk where they lie there and are sound.

    Args:
        folder: Where sets of frames lie. Made where it is missing.
        key: All that shapes the frames besides the recordings, in JSON's plain values.
        sources: The recordings; their names and digests are part of the key.
        make: Turns a recording into frames of shape ``shape``.
        shape: ``(T, C, H, W)``.
        skip: Leave out recordings that raise ``RecordingError``. Which ones is remembered, until the key changes.
        progress: Called with the recordings done and their number, before the first and after each; not called
            where nothing is built.

    Raises:
        RecordingError: If a recording cannot be read, and ``skip`` is off.
        DataError: If no recording can be read, or the folder cannot be written to.
    """
    full_key = _full_key(key, sources, shape)
    digest = hashlib.sha256(_canonical(full_key)).hexdigest()
    place, partial = folder / digest, folder / f".{digest}.partial"
    found = _open(place, full_key, sources, skip=skip)
    if found is not None:
        return found
    with contextlib.ExitStack() as held:
        with _writing(folder, len(sources) * math.prod(shape)):
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / f".{digest}.lock"))
        found = _open(place, full_key, sources, skip=skip)  # another process may have been faster
        if found is not None:
            return found
        try:
            _build(partial, full_key, sources, make, skip=skip, progress=progress)
            with _writing(folder, 0):
                _remove(place)
                os.rename(partial, place)
                _flush_folder(folder)
        finally:
            _remove(partial)
        found = _open(place, full_key, sources, skip=skip)
    if found is None:
        raise DataError(
            f"The frames in {place} are not what was written there. The disk may be failing: name another folder "
            "as cache."
        )
    return found


def _full_key(key: Mapping[str, Any], sources: Sequence[Source], shape: tuple[int, ...]) -> dict[str, Any]:
    listing = [[source.name, source.digest] for source in sources]
    return {
        **key,
        "format": FORMAT,
        "shape": list(shape),
        "recordings": len(sources),
        "recordings_sha256": hashlib.sha256(_canonical(listing)).hexdigest(),
    }


def _canonical(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True).encode()


def _open(place: Path, key: Mapping[str, Any], sources: Sequence[Source], *, skip: bool) -> CachedFrames | None:
    """Return the frames in ``place``; None where there are none, or they are damaged, foreign, or not complete."""
    try:
        manifest = json.loads((place / MANIFEST).read_bytes())
        # read-only, for a private copy would have to fit into memory; so PyTorch warns that writing would crash
        content = np.memmap(place / FRAMES, np.uint8, mode="r")
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("key") != key or manifest.get("bytes") != len(content):
        return None
    checksum = manifest.pop("crc32", None)
    if checksum != _checksum(zlib.crc32(content.data), manifest):
        return None
    skipped = {row: (name, reason) for row, name, reason in manifest["skipped"]}
    if skipped and not skip:
        return None  # read them again: they may have been mended, and if not, their error is what is wanted
    rows_N = np.array([row for row in range(len(sources)) if row not in skipped])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        frames_NTCHW = torch.from_numpy(content).view(len(rows_N), *key["shape"])
    labels_N = torch.tensor([sources[row].label for row in rows_N])
    return CachedFrames(Samples(frames_NTCHW, labels_N), rows_N, list(skipped.values()))


def _build(
    partial: Path,
    key: Mapping[str, Any],
    sources: Sequence[Source],
    make: Callable[[Recording], NDArray[np.uint8]],
    *,
    skip: bool,
    progress: Callable[[int, int], None],
) -> None:
    """Write frames and manifest into the folder ``partial``, and flush both to disk."""
    size = len(sources) * math.prod(key["shape"])
    checksum, written = 0, 0
    skipped: list[tuple[int, str, str]] = []
    with _writing(partial.parent, size):
        _remove(partial)  # what a killed process left
        partial.mkdir()
    with contextlib.ExitStack() as opened:
        with _writing(partial.parent, size):
            file = opened.enter_context(open(partial / FRAMES, "wb"))
        progress(0, len(sources))
        for row, source in enumerate(sources):
            try:
                frames_TCHW = make(source.read())
            except RecordingError as error:
                if not skip:
                    raise
                skipped.append((row, source.name, str(error)))
            else:
                assert (frames_TCHW.dtype.name, list(frames_TCHW.shape)) == ("uint8", key["shape"])
                content = frames_TCHW.tobytes()
                with _writing(partial.parent, size):
                    written += file.write(content)
                checksum = zlib.crc32(content, checksum)
            progress(row + 1, len(sources))
        if not written:
            raise DataError(
                f"None of {len(sources)} recordings can be read, not even {skipped[0][1]}: {skipped[0][2]} "
                "Check that the folder holds the data set that was named."
            )
        manifest = {"key": key, "bytes": written, "skipped": skipped}
        manifest["crc32"] = _checksum(checksum, manifest)
        with _writing(partial.parent, size):
            _flush(file)
            with open(partial / MANIFEST, "wb") as described:
                described.write(json.dumps(manifest, indent=2).encode())
                _flush(described)
            _flush_folder(partial)


def _checksum(frames: int, manifest: Mapping[str, Any]) -> str:
    """Return the CRC-32 of the frames and, after them, of what the manifest says besides."""
    return f"{zlib.crc32(_canonical(manifest), frames):08x}"


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Have the names in a folder written to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Remove a folder, or whatever lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(folder: Path, size: int) -> Iterator[None]:
    """Say what to do where the disk refuses; ``size`` is what the frames need, in bytes."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"Frames cannot be written to {folder}: found {error.strerror}. "
            f"Name as cache a folder of your own with {max(1, size // 10**6):,} MB free."
        ) from error
