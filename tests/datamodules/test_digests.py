"""Content is told apart whatever a file is called, and however its times lie; what is known is not read again."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datamodules import _digests
from datamodules._digests import FileDigests
from datamodules._digests import digest_of_arrays


def settled(path: Path, content: bytes) -> Path:
    """Write a file, and wait until its last change is old enough to be trusted."""
    path.write_bytes(content)
    while path.stat().st_ctime_ns >= time.time_ns() - _digests.SETTLED_NS:
        time.sleep(0.01)
    return path


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_digests, "SETTLED_NS", 20_000_000)


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []

    def digest(file: object, name: str) -> object:
        seen.append(str(file.name))  # type: ignore[attr-defined]
        return file_digest(file, name)  # type: ignore[arg-type]

    file_digest = _digests.hashlib.file_digest
    monkeypatch.setattr(_digests.hashlib, "file_digest", digest)
    return seen


def test_content_decides_not_name_size_or_times(tmp_path: Path) -> None:
    digests, one, two = FileDigests(), settled(tmp_path / "one", b"abc"), settled(tmp_path / "two", b"abc")
    before = digests(one)
    assert before == digests(two)
    status = one.stat()
    settled(one, b"abd")
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests(one) != before, "size and time of the change are those of before"


def test_a_file_is_read_once_in_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, seen = settled(tmp_path / "file", b"abc"), reads(monkeypatch)
    first = FileDigests(tmp_path / "store")
    assert first(file) == first(file)
    first.save()
    later = FileDigests(tmp_path / "store")
    before = later(file)
    assert before == first(file)
    assert len(seen) == 1
    settled(file, b"abd")
    assert later(file) != before
    assert len(seen) == 2


def test_a_file_that_was_changed_a_moment_ago_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_digests, "SETTLED_NS", 10**12)
    file, seen, digests = tmp_path / "file", reads(monkeypatch), FileDigests()
    file.write_bytes(b"abc")
    assert digests(file) == digests(file)
    assert len(seen) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"/a": 3}'])
def test_a_damaged_store_is_no_store(content: bytes, tmp_path: Path) -> None:
    (tmp_path / _digests.STORE).write_bytes(content)
    file = settled(tmp_path / "file", b"abc")
    assert FileDigests(tmp_path)(file) == FileDigests()(file)


def test_a_file_that_is_not_there_says_so_when_it_is_read(tmp_path: Path) -> None:
    assert "No such file" in FileDigests()(tmp_path / "none")


@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 3))), st.data())
def test_arrays_are_told_by_type_shape_and_values(array: np.ndarray, data: st.DataObject) -> None:
    digest = digest_of_arrays([array])
    assert digest == digest_of_arrays([array.copy(order="F")])
    changed = array.copy()
    changed[data.draw(st.integers(0, len(array) - 1))] ^= 1
    assert digest != digest_of_arrays([changed])
    assert digest != digest_of_arrays([array.astype(np.int16)])
    if array.shape[0] != array.shape[1]:
        assert digest != digest_of_arrays([array.reshape(array.shape[::-1])])
