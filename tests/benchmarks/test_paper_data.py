"""Archives of official files give them back bit by bit, and a damaged or missing one is a sentence."""

import hashlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from _paper_data import official_files
from _paper_data import pack
from _paper_data import unpack

from datamodules.errors import DataError

IMAGES = {"data_batch_1": 24, "data_batch_2": 1030, "test_batch": 13}
"""The second one needs two mosaics; 13 tiles are no rectangle but a row."""


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A folder like CIFAR-10's, with images of random noise."""
    folder, noise = tmp_path / "official", np.random.default_rng(0)
    folder.mkdir()
    for name, images in IMAGES.items():
        pixels = noise.integers(0, 256, (images, 3072), dtype=np.uint8)
        content = {b"labels": list(range(images)), b"data": pixels.tobytes(), b"filenames": [b"x.png"] * images}
        (folder / name).write_bytes(pickle.dumps(content, protocol=3))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"cat", b"dog"]}, protocol=3))
    return folder


def sums(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def test_files_come_back_bit_by_bit(official: Path, tmp_path: Path) -> None:
    pack(official, tmp_path / "packed", sums(official))
    assert unpack(tmp_path / "packed", tmp_path / "back", sums(official)) == []
    assert sums(tmp_path / "back") == sums(official)


def test_archives_hold_images_and_no_pickle_of_pixels(official: Path, tmp_path: Path) -> None:
    pack(official, tmp_path / "packed", sums(official))
    with zipfile.ZipFile(tmp_path / "packed" / "data_batch_2.zip") as archive:
        assert sorted(archive.namelist()) == ["000.webp", "001.webp", "head", "tail"]
        assert len(archive.read("head")) + len(archive.read("tail")) < 3072 * 5
    with zipfile.ZipFile(tmp_path / "packed" / "batches.meta.zip") as archive:
        assert sorted(archive.namelist()) == ["head", "tail"]


def test_archives_may_come_one_by_one_and_go_again(official: Path, tmp_path: Path) -> None:
    pack(official, tmp_path / "packed", sums(official))
    missing = sorted(sums(official))
    for name in list(missing):
        bag = tmp_path / f"bag-{name}" / "deeper"
        bag.mkdir(parents=True)
        (tmp_path / "packed" / f"{name}.zip").rename(bag / f"{name}.zip")
        missing.remove(name)
        assert sorted(unpack(bag.parent, tmp_path / "back", sums(official))) == missing
    assert sums(tmp_path / "back") == sums(official)


def test_a_damaged_archive_is_a_sentence_and_leaves_no_file(official: Path, tmp_path: Path) -> None:
    pack(official, tmp_path / "packed", sums(official))
    for name in ("data_batch_2", "test_batch"):
        file = tmp_path / "packed" / f"{name}.zip"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content if name == "data_batch_2" else content[:99])
        with pytest.raises(DataError, match=f"{name}.zip is damaged.*Bring it again"):
            unpack(tmp_path / "packed", tmp_path / "back", sums(official))
        file.unlink()
    assert unpack(tmp_path / "packed", tmp_path / "back", sums(official)) == ["data_batch_2", "test_batch"]
    assert sorted(file.name for file in (tmp_path / "back").iterdir()) == ["batches.meta", "data_batch_1"]


def test_what_is_not_the_official_file_is_refused_on_both_ways(official: Path, tmp_path: Path) -> None:
    pack(official, tmp_path / "packed", sums(official))
    others = dict.fromkeys(sums(official), "0" * 32)
    with pytest.raises(DataError, match=r"found MD5 .* instead of 0000"):
        unpack(tmp_path / "packed", tmp_path / "back", others)
    with pytest.raises(DataError, match=r"found MD5 .* instead of 0000"):
        pack(official, tmp_path / "other", others)
    assert not list((tmp_path / "other").iterdir())
    (official / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch cannot be read"):
        pack(official, tmp_path / "other", sums(official) | {"test_batch": "0"})


def test_official_files_are_those_of_torchvision() -> None:
    files = official_files()
    assert sorted(files) == ["batches.meta", *(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    assert files["test_batch"] == "40351d587109b95175f43aff81a1287e"


@pytest.mark.data
@pytest.mark.slow
def test_the_real_test_file_comes_back(data_root: Path, tmp_path: Path) -> None:
    folder, name = data_root / "cifar-10-batches-py", "test_batch"
    if not (folder / name).exists():
        pytest.skip(f"no {name} in {folder}")
    wanted = {name: official_files()[name]}
    pack(folder, tmp_path / "packed", wanted)
    assert (tmp_path / "packed" / f"{name}.zip").stat().st_size < 17 * 2**20
    assert unpack(tmp_path / "packed", tmp_path / "back", wanted) == []
