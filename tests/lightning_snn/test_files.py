"""Files are whole or not there, and a folder belongs to one process at a time."""

import json
import math
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.files import write_text

HOLDER = """
import sys, time
from pathlib import Path
from lightning_snn.files import locked
with locked(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_by_another_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_text_is_written_as_it_is_and_folders_are_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "report.html"
    write_text(file, "Größe → 50 %\n")
    assert file.read_bytes() == "Größe → 50 %\n".encode()
    write_text(file, "new")
    assert file.read_text() == "new"
    assert os.listdir(file.parent) == ["report.html"]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        RunError, match=r"file/report\.html cannot be written \(.+\)\. Make its folder writable"
    ) as error:
        write_text(tmp_path / "file" / "report.html", "text")
    assert "\n" not in str(error.value)


def test_others_may_read_a_file(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_an_exception_on_the_way_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "x", "old")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "x", "new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_the_new_text_is_on_disk_before_the_old_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    replace, fsync = os.replace, os.fsync

    def synced(handle: int) -> None:
        fsync(handle)
        steps.append("fsync")

    def replaced(new: str, old: Path) -> None:
        steps.append(Path(new).read_text())
        replace(new, old)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_text(tmp_path / "x", "new")
    assert steps == ["fsync", "new"]


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}])
def test_what_json_cannot_hold_leaves_the_old_file(value: object, tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", value)
    assert os.listdir(tmp_path) == ["x.json"]
    assert read_json(tmp_path / "x.json") == {"old": 1}


def test_values_come_back_and_what_is_no_number_comes_back_as_null(tmp_path: Path) -> None:
    values = {
        "list": [1, 2.5, math.nan, "text", None, True],
        "tuple": (math.inf, -math.inf, 0.1 + 0.2),
        "nested": {"a": {"b": np.float64("nan"), "c": np.float64(1.5)}},
    }
    write_json(tmp_path / "x.json", values)
    assert read_json(tmp_path / "x.json") == {
        "list": [1, 2.5, None, "text", None, True],
        "tuple": [None, None, 0.1 + 0.2],
        "nested": {"a": {"b": None, "c": 1.5}},
    }
    json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)  # NaN is not JSON, says its standard


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1,"])
def test_a_broken_file_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RunError, match=r"x\.json cannot be read .* Delete it; the command that made it makes it again"):
        read_json(tmp_path / "x.json")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"x\.json cannot be read"):
        read_json(tmp_path / "x.json")


def test_a_folder_that_another_process_holds_is_refused_until_that_is_dead(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path / "run") as holder:
        with (
            pytest.raises(RunError, match=r"Another process is working in .*run\. Wait for it, or give"),
            locked(tmp_path / "run", wait=False),
        ):
            pytest.fail("the folder is taken")
        holder.kill()  # without a chance to let go
        holder.wait()
        with locked(tmp_path / "run", wait=False):
            pass


def test_waiting_ends_when_the_other_process_is_done(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as holder:
        assert holder.stdin is not None
        subprocess.Popen(["sh", "-c", "sleep 0.5; kill $0", str(holder.pid)])
        started = time.perf_counter()
        with locked(tmp_path, wait=True):
            assert 0.3 < time.perf_counter() - started < 20.0


def test_a_folder_is_held_once_within_a_process_too_and_free_after_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with locked(tmp_path, wait=False):
            with pytest.raises(RunError, match="Another process"), locked(tmp_path, wait=False):
                pytest.fail("the folder is taken")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with locked(tmp_path, wait=False):
        pass


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(RunError, match=r"cannot be written to \(.*--runs"),
        locked(tmp_path / "file" / "x", wait=True),
    ):
        pass
