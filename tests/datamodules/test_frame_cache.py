import contextlib
import errno
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from typing import BinaryIO

import h5py  # type: ignore[import-untyped]  # comes with tonic
import numpy as np
import pytest
import tonic
from numpy.typing import NDArray

from datamodules import DataError
from datamodules import frame_cache
from datamodules._source import Source
from datamodules.frame_cache import CachedFrames
from datamodules.frame_cache import cached_frames
from datamodules.recordings import EVENT
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError

SHAPE = (2, 1, 3, 4)
BYTES = 24  # of one recording, 2 * 1 * 3 * 4
fork = multiprocessing.get_context("fork")


class Sources:
    """Recordings of one event, whose time is the number of the recording; every reading is noted in a file."""

    def __init__(self, notes: Path, count: int = 6, *, bad: tuple[int, ...] = ()) -> None:
        self.notes, self.count, self.bad = notes, count, bad

    def read(self, row: int) -> Recording:
        with open(self.notes, "ab") as file:
            file.write(b".")
        if row in self.bad:
            raise RecordingError(f"The recording r{row} cannot be read: found rust.")
        events_E = np.zeros(1, EVENT)
        events_E["t"] = row
        return Recording(events_E, (3, 4))

    @property
    def all(self) -> list[Source]:
        return [Source(f"r{row}", row % 3, f"print{row}", partial(self.read, row)) for row in range(self.count)]

    @property
    def readings(self) -> int:
        return self.notes.stat().st_size if self.notes.exists() else 0


def frames_of(row: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    """Return bytes that name the recording and the place."""
    return ((np.arange(np.prod(shape)) + 31 * row) % 251).astype(np.uint8).reshape(shape)


def make(recording: Recording) -> NDArray[np.uint8]:
    return frames_of(int(recording.events["t"][0]))


def silent(done: int, total: int) -> None:
    pass


def opened(folder: Path, sources: Sources, **options: Any) -> CachedFrames:
    defaults: dict[str, Any] = {"shape": SHAPE, "skip": False, "progress": silent, "make": make}
    return cached_frames(folder, options.pop("key", {"data": "toy"}), sources.all, **{**defaults, **options})


def check(found: CachedFrames, rows: list[int]) -> None:
    """Compare with what was recorded."""
    assert found.rows_N.tolist() == rows
    assert found.samples.labels_N.tolist() == [row % 3 for row in rows]
    assert np.array_equal(found.samples.inputs.numpy(), np.stack([frames_of(row) for row in rows]))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path / "notes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def only_set(folder: Path) -> Path:
    """Return the one set of frames, asserting that nothing but locks lies beside it."""
    [found] = [path for path in folder.iterdir() if path.suffix != ".lock"]
    return found


def test_frames_are_made_once_and_then_read_from_disk(folder: Path, sources: Sources) -> None:
    check(opened(folder, sources), [0, 1, 2, 3, 4, 5])
    assert sources.readings == 6
    check(opened(folder, sources), [0, 1, 2, 3, 4, 5])
    assert sources.readings == 6


def test_the_files_are_plain_bytes_and_plain_text(folder: Path, sources: Sources) -> None:
    opened(folder, sources, key={"data": "toy", "T": 2})
    place = only_set(folder)
    assert sorted(path.name for path in place.iterdir()) == ["frames.bin", "manifest.json"]
    assert (place / "frames.bin").read_bytes() == b"".join(frames_of(row).tobytes() for row in range(6))
    manifest = json.loads((place / "manifest.json").read_text())
    assert (manifest["key"]["data"], manifest["key"]["T"], manifest["key"]["shape"]) == ("toy", 2, [2, 1, 3, 4])
    assert (manifest["key"]["recordings"], manifest["bytes"], manifest["skipped"]) == (6, 6 * BYTES, [])


def test_all_that_shapes_frames_is_another_set(folder: Path, sources: Sources) -> None:
    def renamed(change: Callable[[Source], Source]) -> list[Source]:
        return [change(source) if source.name == "r4" else source for source in sources.all]

    keys: list[tuple[dict[str, Any], list[Source]]] = [
        ({"data": "toy"}, sources.all),
        ({"data": "toy", "T": 2}, sources.all),
        ({"data": "toy", "T": 3}, sources.all),
        ({"data": "tox"}, sources.all),
        ({"data": "toy"}, renamed(lambda source: source._replace(name="r9"))),
        ({"data": "toy"}, renamed(lambda source: source._replace(digest="changed"))),
        ({"data": "toy"}, sources.all[:5]),
        ({"data": "toy"}, sources.all[::-1]),
    ]
    for number, (key, recordings) in enumerate(keys):
        cached_frames(folder, key, recordings, make, shape=SHAPE, skip=False, progress=silent)
        assert len(list(folder.glob("*/manifest.json"))) == number + 1
    found = cached_frames(folder, {"data": "toy"}, sources.all[::-1], make, shape=SHAPE, skip=False, progress=silent)
    assert found.samples.labels_N.tolist() == [2, 1, 0, 2, 1, 0]
    assert np.array_equal(found.samples.inputs[0].numpy(), frames_of(5))


def test_another_shape_is_another_set(folder: Path, sources: Sources) -> None:
    opened(folder, sources)
    found = opened(folder, sources, shape=(4, 6), make=lambda r: frames_of(int(r.events["t"][0]), (4, 6)))
    assert found.samples.inputs.shape == (6, 4, 6)


def test_labels_come_from_the_sources(folder: Path, sources: Sources) -> None:
    opened(folder, sources)
    relabelled = [source._replace(label=7) for source in sources.all]
    found = cached_frames(folder, {"data": "toy"}, relabelled, make, shape=SHAPE, skip=False, progress=silent)
    assert found.samples.labels_N.tolist() == [7] * 6
    assert sources.readings == 6


def rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def edit(place: Path, **values: Any) -> None:
    file = place / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def swap_for_empty(place: Path) -> None:
    shutil.rmtree(place)
    place.mkdir()


def swap_for_file(place: Path) -> None:
    shutil.rmtree(place)
    place.write_text("not a folder")


def swap_for_link(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("nowhere")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "frames cut by a byte": lambda place: rewrite(place / "frames.bin", lambda b: b[:-1]),
    "frames cut by a recording": lambda place: rewrite(place / "frames.bin", lambda b: b[:-BYTES]),
    "frames longer": lambda place: rewrite(place / "frames.bin", lambda b: b + b"0"),
    "frames empty": lambda place: rewrite(place / "frames.bin", lambda b: b""),
    "frames missing": lambda place: (place / "frames.bin").unlink(),
    "first bit flipped": lambda place: rewrite(place / "frames.bin", lambda b: flip(b, 0)),
    "last bit flipped": lambda place: rewrite(place / "frames.bin", lambda b: flip(b, 8 * len(b) - 1)),
    "two recordings swapped": lambda place: rewrite(
        place / "frames.bin", lambda b: b[BYTES : 2 * BYTES] + b[:BYTES] + b[2 * BYTES :]
    ),
    "manifest missing": lambda place: (place / "manifest.json").unlink(),
    "manifest empty": lambda place: rewrite(place / "manifest.json", lambda b: b""),
    "manifest cut": lambda place: rewrite(place / "manifest.json", lambda b: b[:-9]),
    "manifest a list": lambda place: rewrite(place / "manifest.json", lambda b: b"[]"),
    "manifest null": lambda place: rewrite(place / "manifest.json", lambda b: b"null"),
    "manifest not text": lambda place: rewrite(place / "manifest.json", lambda b: b"\x80\x04\xff"),
    "manifest of a key alone": lambda place: rewrite(
        place / "manifest.json", lambda b: json.dumps({"key": json.loads(b)["key"]}).encode()
    ),
    "another key": lambda place: edit(place, key={"data": "toy"}),
    "another count of bytes": lambda place: edit(place, bytes=5 * BYTES),
    "another checksum": lambda place: edit(place, crc32="00000000"),
    "another recording skipped": lambda place: edit(place, skipped=[[0, "r0", "rust"]]),
    "unknown fields": lambda place: edit(place, more=1),
    "a file in place of the folder": swap_for_file,
    "a dead link in place of the folder": swap_for_link,
    "an empty folder": swap_for_empty,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("skip", [False, True])
def test_what_is_damaged_is_made_anew(
    folder: Path, sources: Sources, damage: Callable[[Path], object], skip: bool
) -> None:
    opened(folder, sources, skip=skip)
    damage(only_set(folder))
    check(opened(folder, sources, skip=skip), [0, 1, 2, 3, 4, 5])
    assert sources.readings == 12
    check(opened(folder, sources, skip=skip), [0, 1, 2, 3, 4, 5])
    assert sources.readings == 12


def test_any_flipped_bit_is_found(folder: Path, sources: Sources) -> None:
    opened(folder, sources)
    file = only_set(folder) / "frames.bin"
    sound = file.read_bytes()
    generator = np.random.default_rng(0)
    for bit in generator.choice(8 * len(sound), 20, replace=False):
        file.write_bytes(flip(sound, int(bit)))
        check(opened(folder, sources), [0, 1, 2, 3, 4, 5])
        assert file.read_bytes() == sound


def test_the_frames_of_another_set_are_not_taken_for_these(folder: Path, sources: Sources) -> None:
    opened(folder, sources)
    mine = only_set(folder)
    opened(folder, sources, key={"data": "other"}, make=lambda recording: 250 - make(recording))
    [other] = [path for path in folder.glob("*/") if path != mine and not path.name.startswith(".")]
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    check(opened(folder, sources), [0, 1, 2, 3, 4, 5])


def test_bad_recordings_are_skipped_and_stay_skipped(folder: Path, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "notes", bad=(1, 4))
    for _ in range(2):
        found = opened(folder, sources, skip=True)
        check(found, [0, 2, 3, 5])
        reason = "The recording {} cannot be read: found rust."
        assert found.skipped == [("r1", reason.format("r1")), ("r4", reason.format("r4"))]
        assert sources.readings == 6
    sources.bad = ()  # mended, but its digest says that it is the same file
    check(opened(folder, sources, skip=True), [0, 2, 3, 5])


def test_without_skipping_the_first_bad_recording_ends_it_and_nothing_is_kept(folder: Path, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "notes", bad=(1, 4))
    for _ in range(2):
        with pytest.raises(RecordingError, match="r1 cannot be read"):
            opened(folder, sources)
    assert sources.readings == 4
    assert [path for path in folder.iterdir() if path.suffix != ".lock"] == []


def test_what_was_skipped_is_an_error_again_when_nothing_may_be_skipped(folder: Path, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "notes", bad=(4,))
    opened(folder, sources, skip=True)
    with pytest.raises(RecordingError, match="r4 cannot be read"):
        opened(folder, sources)
    before = sources.readings
    check(opened(folder, sources, skip=True), [0, 1, 2, 3, 5])  # still there
    assert sources.readings == before
    sources.bad = ()
    for skip in (False, True):
        check(opened(folder, sources, skip=skip), [0, 1, 2, 3, 4, 5])
    assert sources.readings == before + 6


def test_nothing_but_bad_recordings_is_an_error_and_nothing_is_kept(folder: Path, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "notes", bad=tuple(range(6)))
    with pytest.raises(DataError, match=r"^None of 6 recordings can be read, not even r0: .* found rust\. Check"):
        opened(folder, sources, skip=True)
    assert [path for path in folder.iterdir() if path.suffix != ".lock"] == []


def test_an_error_of_the_program_passes_and_leaves_nothing(folder: Path, sources: Sources) -> None:
    def stop(recording: Recording) -> NDArray[np.uint8]:
        if recording.events["t"][0] == 3:
            raise KeyboardInterrupt
        return make(recording)

    with pytest.raises(KeyboardInterrupt):
        opened(folder, sources, make=stop)
    assert [path for path in folder.iterdir() if path.suffix != ".lock"] == []
    check(opened(folder, sources), [0, 1, 2, 3, 4, 5])


def test_progress_is_told_of_a_build_and_of_nothing_else(folder: Path, tmp_path: Path) -> None:
    sources, told = Sources(tmp_path / "notes", count=3, bad=(1,)), []
    for _ in range(2):
        opened(folder, sources, skip=True, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_set_larger_than_memory_can_be_built(folder: Path, tmp_path: Path) -> None:
    shape = (4, 2, 64, 64)  # 32 kB
    sources = Sources(tmp_path / "notes", count=200)
    tracemalloc.start()
    found = opened(folder, sources, shape=shape, make=lambda r: frames_of(int(r.events["t"][0]), shape))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.samples.inputs.numel() == 200 * 2**15
    assert peak < 40 * 2**15


def killed_build(folder: Path, sources: Sources, reached: Path) -> None:
    """Start a build in another process, and kill it in the middle."""

    def stall(recording: Recording) -> NDArray[np.uint8]:
        if recording.events["t"][0] == 3:
            reached.touch()
            time.sleep(600)
        return make(recording)

    process = fork.Process(daemon=True, target=opened, args=(folder, sources), kwargs={"make": stall})
    process.start()
    wait_for(reached.exists)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_killed_build_leaves_nothing_that_is_read_and_the_next_one_removes_it(
    folder: Path, sources: Sources, tmp_path: Path
) -> None:
    killed_build(folder, sources, tmp_path / "reached")
    left = only_set(folder)
    assert left.name.startswith(".")
    assert left.name.endswith(".partial")
    check(opened(folder, sources), [0, 1, 2, 3, 4, 5])
    assert not left.exists()
    assert only_set(folder).name == left.name[1:].removesuffix(".partial")


def kill_at(step: str, call: int, folder: Path, sources: Sources) -> None:
    """Build, and be killed at the given call of a function of the module."""
    function, calls = getattr(frame_cache, step), itertools.count()

    def die(*args: Any) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)

    setattr(frame_cache, step, die)  # in this process alone, which ends here
    opened(folder, sources)


@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("step", ["_flush", "_checksum", "_flush_folder", "_remove"])
def test_a_build_killed_at_any_step_leaves_nothing_wrong(
    folder: Path, sources: Sources, tmp_path: Path, step: str, call: int
) -> None:
    process = fork.Process(daemon=True, target=kill_at, args=(step, call, folder, sources))
    process.start()
    process.join()
    assert process.exitcode in (-signal.SIGKILL, 0)
    check(opened(folder, sources), [0, 1, 2, 3, 4, 5])
    only_set(folder)


def test_another_process_takes_over_when_the_builder_is_killed(folder: Path, sources: Sources, tmp_path: Path) -> None:
    waiting = fork.Process(daemon=True, target=opened, args=(folder, sources))

    def stall(recording: Recording) -> NDArray[np.uint8]:
        (tmp_path / "reached").touch()
        time.sleep(600)
        return make(recording)

    builder = fork.Process(daemon=True, target=opened, args=(folder, sources), kwargs={"make": stall})
    builder.start()
    wait_for((tmp_path / "reached").exists)
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    assert sources.readings == 1
    builder.kill()
    waiting.join(30)
    assert waiting.exitcode == 0
    assert sources.readings == 7
    builder.join()


def build_and_check(barrier: Any, folder: Path, sources: Sources) -> None:
    barrier.wait(30)
    check(opened(folder, sources), list(range(sources.count)))


@pytest.mark.parametrize("damaged", [False, True])
def test_several_processes_at_once_build_once(folder: Path, tmp_path: Path, damaged: bool) -> None:
    sources = Sources(tmp_path / "notes", count=300)
    if damaged:
        opened(folder, sources)
        rewrite(only_set(folder) / "frames.bin", lambda b: flip(b, 12_345))
    before = sources.readings
    barrier = fork.Barrier(4)
    processes = [fork.Process(daemon=True, target=build_and_check, args=(barrier, folder, sources)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sources.readings == before + 300
    only_set(folder)


def test_frames_in_use_outlive_their_replacement(folder: Path, sources: Sources) -> None:
    used = opened(folder, sources)
    (only_set(folder) / "manifest.json").unlink()
    opened(folder, sources)
    check(used, [0, 1, 2, 3, 4, 5])


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Drop root's right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_finished_set_needs_no_right_to_write(ordinary_user: None) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder, sources = Path(root, "cache"), Sources(Path(root, "notes"))
        opened(folder, sources)
        place = only_set(folder)
        for path in (*place.iterdir(), place, folder):
            path.chmod(0o555)
        try:
            check(opened(folder, sources), [0, 1, 2, 3, 4, 5])
            assert sources.readings == 6
            with pytest.raises(DataError, match=r"^Frames cannot be written to .*: found Permission denied\. Name as"):
                opened(folder, sources, key={"data": "other"})
        finally:
            for path in (folder, place):
                path.chmod(0o755)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, sources: Sources) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^Frames cannot be written to .*file: found (File exists|Not a directory)\."):
        opened(tmp_path / "file", sources)


@pytest.mark.parametrize("step", ["_flush", "_flush_folder"])
def test_a_full_disk_is_one_sentence_and_nothing_is_left(
    folder: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(file: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(frame_cache, step, full)
        with pytest.raises(DataError, match=r"found No space left on device\. Name as cache .* with 1 MB free\.$"):
            opened(folder, sources)
    assert [path for path in folder.iterdir() if path.suffix != ".lock"] == []


def test_an_error_of_reading_is_not_taken_for_one_of_writing(folder: Path, sources: Sources) -> None:
    def fail(recording: Recording) -> NDArray[np.uint8]:
        raise OSError(errno.EIO, "of the data")

    with pytest.raises(OSError, match="of the data"):
        opened(folder, sources, make=fail)


class Recorded:
    """A data set as tonic takes it."""

    def __init__(self, shape: tuple[int, ...] = SHAPE, first: int = 0) -> None:
        self.shape, self.first = shape, first

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        return frames_of(self.first + index, self.shape), index % 3

    def __len__(self) -> int:
        return 6


def unless_mended(right: bool) -> None:
    if right:
        pytest.skip("tonic does this right now")


class TestAgainstTonic:
    """Faults of tonic's ``DiskCachedDataset`` and ``MemoryCachedDataset``, each beside what is done here."""

    def test_other_settings_give_old_frames(self, folder: Path, sources: Sources, tmp_path: Path) -> None:
        shape = (5, 1, 3, 4)
        opened(folder, sources)
        ours = opened(folder, sources, shape=shape, make=lambda r: frames_of(int(r.events["t"][0]), shape))
        assert ours.samples.inputs.shape[1:] == shape

        tonic.DiskCachedDataset(Recorded(), str(tmp_path / "theirs"))[0]
        frames, _ = tonic.DiskCachedDataset(Recorded(shape), str(tmp_path / "theirs"))[0]
        unless_mended(frames.shape == shape)

    def test_another_data_set_gives_the_frames_of_the_first(
        self, folder: Path, sources: Sources, tmp_path: Path
    ) -> None:
        opened(folder, sources)
        changed = [source._replace(digest="new", read=partial(sources.read, 9)) for source in sources.all]
        ours = cached_frames(folder, {"data": "toy"}, changed, make, shape=SHAPE, skip=False, progress=silent)
        assert np.array_equal(ours.samples.inputs[0].numpy(), frames_of(9))

        tonic.DiskCachedDataset(Recorded(), str(tmp_path / "theirs"))[0]
        frames, _ = tonic.DiskCachedDataset(Recorded(first=9), str(tmp_path / "theirs"))[0]
        unless_mended(np.array_equal(frames, frames_of(9)))

    def test_an_empty_valid_file_is_an_error_for_ever(self, folder: Path, sources: Sources, tmp_path: Path) -> None:
        opened(folder, sources)
        (only_set(folder) / "manifest.json").write_text("{}")
        check(opened(folder, sources), [0, 1, 2, 3, 4, 5])

        theirs = tonic.DiskCachedDataset(Recorded(), str(tmp_path / "theirs"))
        theirs[0]
        [file] = (tmp_path / "theirs").iterdir()
        h5py.File(file, "w").close()
        for _ in range(2):
            error = None
            try:
                theirs[0]
            except KeyError as found:
                error = found
            unless_mended(error is None)

    def test_a_flipped_bit_is_served(self, folder: Path, sources: Sources, tmp_path: Path) -> None:
        opened(folder, sources)
        rewrite(only_set(folder) / "frames.bin", lambda content: flip(content, 8))
        check(opened(folder, sources), [0, 1, 2, 3, 4, 5])

        theirs = tonic.DiskCachedDataset(Recorded(), str(tmp_path / "theirs"), compress=False)
        theirs[0]
        [file] = (tmp_path / "theirs").iterdir()
        start = file.read_bytes().index(frames_of(0).tobytes())
        rewrite(file, lambda content: flip(content, 8 * start + 8))
        with contextlib.suppress(OSError):
            unless_mended(np.array_equal(theirs[0][0], frames_of(0)))

    def test_a_change_of_what_was_returned_is_kept(self, folder: Path, sources: Sources) -> None:
        found = opened(folder, sources).samples.inputs.index_select(0, opened(folder, sources).samples.labels_N[:1])
        found += 1
        check(opened(folder, sources), [0, 1, 2, 3, 4, 5])

        theirs = tonic.MemoryCachedDataset(Recorded())
        frames, _ = theirs[0]
        frames += 1
        unless_mended(np.array_equal(theirs[0][0], frames_of(0)))
