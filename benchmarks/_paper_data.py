"""CIFAR's official files in half the bytes, one archive each, and back again bit by bit.

    python benchmarks/_paper_data.py data/cifar-10-batches-py packed

An archive ``NAME.zip`` holds what stands before and after the pixels of an official pickle, and the pixels between as
lossless WebP mosaics of up to 1,000 images. Nothing is unpickled: the pixels are the longest argument in the stream.
A file without pixels is all ``head``. Archives may come one by one; each works alone.

Axes: N images, R rows and K columns of tiles in a mosaic, C channels, H rows, W columns.
"""

import hashlib
import io
import os
import pickletools
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datamodules.errors import DataError

C, H, W = 3, 32, 32
MOSAIC = 1000
"""Images of a mosaic: with ten times as many, the files are 3 % larger (measured on the official test file)."""
COLUMNS = 40
LEAST_PIXELS = 10
"""Images from which on the longest argument of a pickle is taken for pixels."""


def official_files() -> dict[str, str]:
    """Return name and MD5 sum of every file of CIFAR-10."""
    from torchvision.datasets import CIFAR10

    return dict([*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])])


def pack(folder: Path, packed: Path, sums: Mapping[str, str]) -> None:
    """Write one archive for each official file.

    Args:
        folder: Holds the files.
        packed: Folder of the archives, made where it is missing.
        sums: Name and MD5 sum of each file.

    Raises:
        DataError: If a file is missing or not the official one.
    """
    packed.mkdir(parents=True, exist_ok=True)
    for name, expected in sums.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / name} cannot be read: {error.strerror}. Name its folder.") from error
        _check(content, folder / name, expected)
        start, end = _pixels(content)
        parts = {"head": content[:start], "tail": content[end:]}
        parts |= {f"{index:03d}.webp": image for index, image in enumerate(_mosaics(content[start:end]))}
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for part, data in parts.items():
                how = zipfile.ZIP_STORED if part.endswith(".webp") else zipfile.ZIP_LZMA
                file.writestr(zipfile.ZipInfo(part), data, how)
        assert _rebuild(archive) == content
        _write(packed / f"{name}.zip", archive.getvalue())


def unpack(packed: Path, folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Rebuild those official files whose archives lie anywhere below ``packed``.

    Args:
        packed: Folder to look in.
        folder: Where the official files go, made where it is missing; a file that is there is left alone.
        sums: Name and MD5 sum of each file.

    Returns:
        Names of the files that are still missing.

    Raises:
        DataError: If an archive is damaged; those before it stay unpacked.
    """
    for archive in sorted(packed.rglob("*.zip")):
        name = archive.name.removesuffix(".zip")
        if name in sums and not (folder / name).exists():
            try:
                content = _rebuild(archive)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
                raise DataError(f"{archive} is damaged ({error}). Bring it again.") from error
            _check(content, archive, sums[name])
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / name, content)
    return [name for name in sums if not (folder / name).exists()]


def _pixels(content: bytes) -> tuple[int, int]:
    """Return where the pixels begin and end; both 0 where there are none."""
    best, longest, length = (0, 0), LEAST_PIXELS * C * H * W - 1, 0
    for _, argument, position in pickletools.genops(content):
        assert position is not None
        if length > longest:  # the argument before ends where this operation begins
            best, longest = (position - length, position), length
        length = len(argument) if isinstance(argument, bytes | str) else 0  # Python 2 wrote bytes as text
    return best


def _mosaics(pixels: bytes) -> list[bytes]:
    images_NCHW = np.frombuffer(pixels, np.uint8).reshape(-1, C, H, W)
    files = []
    for first in range(0, len(images_NCHW), MOSAIC):
        part_NCHW = images_NCHW[first : first + MOSAIC]
        K = next(k for k in range(COLUMNS, 0, -1) if len(part_NCHW) % k == 0)
        tiles_RKCHW = part_NCHW.reshape(-1, K, C, H, W)
        mosaic = tiles_RKCHW.transpose(0, 3, 1, 4, 2).reshape(-1, K * W, C)
        file = io.BytesIO()
        Image.fromarray(mosaic).save(file, "WEBP", lossless=True)
        files.append(file.getvalue())
    return files


def _rebuild(archive: Path | io.BytesIO) -> bytes:
    with zipfile.ZipFile(archive) as file:
        mosaics = sorted(name for name in file.namelist() if name.endswith(".webp"))
        pixels = [_tiles(file.read(name)).tobytes() for name in mosaics]
        return b"".join([file.read("head"), *pixels, file.read("tail")])


def _tiles(webp: bytes) -> NDArray[np.uint8]:
    mosaic = np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))
    R, K = mosaic.shape[0] // H, mosaic.shape[1] // W
    return mosaic.reshape(R, H, K, W, C).transpose(0, 2, 4, 1, 3)


def _check(content: bytes, file: Path, expected: str) -> None:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise DataError(
            f"{file} does not give the official file: found MD5 {found} instead of {expected}. Bring it again."
        )


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = file.with_name(f".{file.name}-partial")
    partial.write_bytes(content)
    os.replace(partial, file)


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]), official_files())
