import io
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules import DataError
from datamodules.recordings import EVENT
from datamodules.recordings import SUFFIXES
from datamodules.recordings import RecordingError
from datamodules.recordings import read_recording
from tests.datamodules import event_files as files
from tests.datamodules.event_files import events_of
from tests.datamodules.event_files import write
from tests.datamodules.recording_formats import ENCODERS
from tests.datamodules.recording_formats import ROWS
from tests.datamodules.recording_formats import SMALL_HW
from tests.datamodules.recording_formats import npy
from tests.datamodules.recording_formats import npz
from tests.datamodules.recording_formats import refusal


def advised_line(message: str) -> str:
    """Return the line of NumPy at the end of a refusal."""
    return re.split(r"[iI]n NumPy[^:]*: ", message)[1].partition("; else name")[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "a.bin")


def test_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    assert "Is a directory" in refusal(tmp_path / "a.bin")


def test_it_is_an_error_of_data(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_recording(tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["a.mat", "a", "a.raw"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    message = refusal(write(tmp_path / name, b"1234"))
    assert all(suffix in message for suffix in SUFFIXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(suffix: str, tmp_path: Path) -> None:
    assert "an empty file" in refusal(write(tmp_path / f"a{suffix}", b""))


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "n-mnist"])
def test_a_file_without_events_says_so(name: str, tmp_path: Path) -> None:
    suffix, encode = ENCODERS[name]
    path = write(tmp_path / f"a{suffix}", encode(np.empty(0, EVENT)))
    assert "found no events" in refusal(path, sensor_HW=SMALL_HW)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_file_cut_anywhere_is_refused_or_ends_earlier_with_a_whole_record(name: str, tmp_path: Path) -> None:
    suffix, encode = ENCODERS[name]
    events = events_of(*ROWS)
    whole = encode(events)
    path = tmp_path / f"a{suffix}"
    lengths = []
    for end in sorted({*range(0, len(whole), 7), *range(max(0, len(whole) - 40), len(whole))}):
        write(path, whole[:end])
        try:
            found = read_recording(path, sensor_HW=SMALL_HW).events
        except RecordingError:
            continue
        assert found.tolist() == ROWS[: len(found)]
        lengths.append((len(whole) - end, len(found)))
    record = {".bin": 5, ".aedat": 8, ".dat": 8}.get(suffix)  # nothing else shows where these end
    assert lengths == ([(2 * record, 1), (record, 2)] if record else [])


@pytest.mark.parametrize(
    ("suffix", "content", "expected"),
    [
        (".bin", files.n_mnist(events_of(*ROWS))[:-2], "3 bytes of a record of 5 at byte 10"),
        (".aedat", b"#!AER-DAT2.0\r\n" + bytes(13), "5 bytes of a record of 8 at byte 22"),
        (".dat", b"% Version 2\n\x00\x08" + bytes(9), "1 bytes of a record of 8 at byte 22"),
    ],
)
def test_a_cut_record_is_named_by_its_place(suffix: str, content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path / f"a{suffix}", content))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        (name, suffix)
        for name, (own, _) in ENCODERS.items()
        for suffix in SUFFIXES
        if name != "n-mnist" and suffix != own
    ],
)
def test_another_format_under_a_suffix_is_recognised(name: str, suffix: str, tmp_path: Path) -> None:
    own, encode = ENCODERS[name]
    message = refusal(write(tmp_path / f"a{suffix}", encode(events_of(*ROWS))))
    assert f"the mark of a {own} file at byte 0" in message
    assert f"rename it to {own}" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", b"\xff" * 40])
def test_foreign_content_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    refusal(write(tmp_path / f"a{suffix}", content))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0, 0, 0), (30, 0, 1, 0)], "x = 30 in event 1, outside a sensor of 20 rows and 30 columns"),
        ([(0, 0, 0, 0), (0, 0, 1, 0), (0, 20, 1, 0)], "y = 20 in event 2, outside a sensor of 20 rows"),
        ([(0, -1, 0, 0)], "y = -1 in event 0"),
        ([(0, 0, 5, 0), (0, 0, 4, 0)], "time going back from 5 to 4 us in event 1"),
        ([(0, 0, 5, 2)], "polarity 2 in event 0 instead of 0 or 1"),
        ([(0, 0, 5, 1), (0, 0, 5, 0), (0, 0, 5, -1)], "polarity 0 in event 1 instead of -1 or 1"),
        ([(0, 0, -(2**62), 1), (0, 0, 2**62, 0)], "times from"),
        ([(0, 0, -(2**63), 1), (0, 0, 2**63 - 1, 0)], "times from"),
        ([(0, 0, 2**63 - 1, 1), (0, 0, -(2**63), 0)], "time going back"),
    ],
)
def test_an_impossible_event_is_named(rows: list[tuple[int, int, int, int]], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path / "a.npy", npy(events_of(*rows))), sensor_HW=SMALL_HW)


@pytest.mark.parametrize("name", ENCODERS)
def test_time_that_goes_back_is_refused_in_every_format(name: str, tmp_path: Path) -> None:
    suffix, encode = ENCODERS[name]
    path = write(tmp_path / f"a{suffix}", encode(events_of((0, 0, 10, 1), (0, 0, 20, 1), (0, 0, 19, 1))))
    assert "time going back from 20 to 19 us in event 2" in refusal(path, sensor_HW=SMALL_HW)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_event_off_the_sensor_is_refused_in_every_format(name: str, tmp_path: Path) -> None:
    suffix, encode = ENCODERS[name]
    path = write(tmp_path / f"a{suffix}", encode(events_of((0, 0, 1, 1), (30, 0, 2, 1))))
    assert "x = 30 in event 1" in refusal(path, sensor_HW=SMALL_HW)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", "b'#!AER-DAT3.1\\r\\n#F' at byte 0 instead of #!AER-DAT2.0"),
        (b"#!AER-DAT2.0\r\n# never ending", "a header line without an end at byte 14"),
        (b"#!AER-DAT2.0\r\n" + struct.pack(">II", 0x80000401, 3), "the address 0x80000401 at byte 14"),
        (b"#!AER-DAT2.0\r\n", "no events"),
    ],
)
def test_aedat2_of_another_version_or_camera_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path / "a.aedat", content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (files.prophesee(events_of(*ROWS), SMALL_HW, version=1), "no line '% Version 2'"),
        (files.prophesee(events_of(*ROWS), SMALL_HW, kind=14), "events of type 14 and 8 bytes at byte"),
        (b"% Version 2", "a header line without an end at byte 0"),
        (b"% Version 2\n\x0c", "no type and size of events at byte 12"),
        (b"% Version 2\n\x0c\x08", "no events"),
    ],
)
def test_prophesee_of_another_version_or_kind_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path / "a.dat", content), sensor_HW=SMALL_HW)


def test_prophesee_polarity_has_four_bits_and_must_be_0_or_1(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat", files.prophesee(events_of((0, 0, 1, 2)), SMALL_HW))
    assert "polarity 2 in event 0" in refusal(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (files.aedat4([events_of(*ROWS)], SMALL_HW, type_identifier="FRME"), "no stream of events"),
        (files.aedat4([events_of(*ROWS)], SMALL_HW).replace(b"EVTS<", b"EVTS?"), "XML in the header"),
        (files.aedat4([events_of(*ROWS)], SMALL_HW).replace(b'"sizeX"', b'"sizeZ"'), "XML in the header"),
        (files.aedat4([events_of(*ROWS)], SMALL_HW).replace(b"<dv ver", b"<!ENTI "), "a document type"),
        (files.aedat4([events_of(*ROWS)], SMALL_HW, compression=9), "compression 9 in the header"),
    ],
)
def test_a_damaged_aedat4_header_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path / "a.aedat4", content))


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_a_packet_that_promises_gigabytes_is_refused_before_memory_is_taken(compression: int, tmp_path: Path) -> None:
    start = files.aedat4([], SMALL_HW, compression=compression, with_table=False)
    bomb = files.compressor(compression)(struct.pack("<I", 2**31) + bytes(1000))
    path = write(tmp_path / "a.aedat4", start + struct.pack("<iI", 0, len(bomb)) + bomb)
    assert f"a packet at byte {len(start)} that promises 2147483648 bytes" in refusal(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros(3, [("x", "i2"), ("y", "i2"), ("t", "i8")]),
        np.zeros(3, [("x", "i2"), ("y", "i2"), ("t", "f8"), ("p", "i1")]),
        np.zeros((2, 2), EVENT),
        np.zeros((), EVENT),
        np.zeros(3, [("x", "i2", 2), ("y", "i2"), ("t", "i8"), ("p", "i1")]),
        np.array([(0, 0, 2**64 - 1, 0)], [("x", "i2"), ("y", "i2"), ("t", "u8"), ("p", "i1")]),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_other_arrays_are_refused(array: NDArray[Any], suffix: str, tmp_path: Path) -> None:
    content = npy(array) if suffix == ".npy" else npz(events=array)
    assert "Save x, y, t (microseconds) and p" in refusal(write(tmp_path / f"a{suffix}", content), sensor_HW=(9, 9))


def test_other_npz_are_refused_with_the_names_of_their_arrays(tmp_path: Path) -> None:
    events = events_of(*ROWS)
    for arrays, expected in (
        ({"frames": np.zeros(3)}, "the arrays 'frames'"),
        ({"a": events, "b": events}, "the arrays 'a', 'b'"),
        ({}, "the arrays (none)"),
        ({"x": events["x"], "y": events["y"], "t": events["t"]}, "the arrays 't', 'x', 'y'"),
        ({"x": [1], "y": [1, 2], "t": [1], "p": [1]}, "int64 of shape (2,) for y"),
    ):
        assert expected in refusal(write(tmp_path / "a.npz", npz(**arrays)), sensor_HW=SMALL_HW)


@pytest.mark.parametrize(
    ("change", "advised"),
    [
        ({"p": [1, 2, 1]}, "if 2 is brighter: p = p == 2"),
        ({"p": [0, 255, 0]}, "if 255 is brighter: p = p == 255"),
        ({"p": [-1, 0, 1]}, "if all above 0 are brighter: p = p > 0"),
        ({"t": [7, 5, 6]}, "Sort the events by time."),
        ({"t": [2**32 - 2, 2**32 - 1, 4]}, "If a clock of 32 bits ran over, in NumPy: t = np.unwrap("),
        ({"t": [0.0, 0.5, 1.25]}, "If t is in seconds, in NumPy: t = np.round(1e6 * t)"),
        ({"x": [0.0, 1.0, 2.0]}, "In NumPy: x = x.astype(np.int64)"),
        ({"x": [1, 2, 30], "y": [1, 2, 20]}, "if these count from 1, in NumPy: x, y = x - 1, y - 1"),
        ({"x": [1, 2, 19], "y": [1, 2, 29]}, "if they are exchanged, in NumPy: x, y = y, x"),
    ],
)
def test_the_line_that_is_advised_mends_what_a_user_saved(
    change: dict[str, list[float]], advised: str, tmp_path: Path
) -> None:
    columns = {"x": [0, 5, 9], "y": [0, 5, 9], "t": [1, 2, 3], "p": [0, 1, 0], **change}
    arrays: dict[str, Any] = {name: np.array(values) for name, values in columns.items()}
    message = refusal(write(tmp_path / "a.npz", npz(**arrays)), sensor_HW=SMALL_HW)
    assert advised in message
    assert "et the file again" not in message
    names = {**arrays, "np": np}
    exec(advised_line(message), names)
    mended = read_recording(
        write(tmp_path / "a.npz", npz(**{name: names[name] for name in "xytp"})), sensor_HW=SMALL_HW
    ).events
    assert len(mended) == 3
    assert mended["t"].tolist() == sorted(mended["t"].tolist())


@pytest.mark.parametrize(
    "events",
    [
        np.array([(3, 0, 1, 1)], [("timestamp", "i8"), ("x", "i2"), ("y", "i2"), ("polarity", "i1")]),
        np.array([(0, 1, 3, 1)], [("X", "i2"), ("Y", "i2"), ("ts", "i8"), ("pol", "i1")]),
        np.array([[0, 1, 3, 1]]),
    ],
)
def test_fields_by_other_names_are_renamed_by_the_line_that_is_advised(events: NDArray[Any], tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.npy", npy(events)), sensor_HW=SMALL_HW)
    names = {"events": events, "np": np}
    exec(advised_line(message), names)
    mended = read_recording(write(tmp_path / "a.npy", npy(names["events"])), sensor_HW=SMALL_HW)
    assert mended.events.tolist() == [(0, 1, 3, 1)]


def test_a_dictionary_saved_as_npy_is_refused_with_what_makes_it_an_npz(tmp_path: Path) -> None:
    columns = {name: np.arange(2) for name in "xytp"}
    message = refusal(write(tmp_path / "NAME.npy", npy(np.array(columns, dtype=object))), sensor_HW=SMALL_HW)
    assert "found an array of Python objects, which may hold code" in message
    exec(advised_line(message).replace("NAME", str(tmp_path / "NAME")), {"np": np})
    assert len(read_recording(tmp_path / "NAME.npz", sensor_HW=SMALL_HW).events) == 2


def test_a_file_that_no_user_saved_is_to_be_got_again(tmp_path: Path) -> None:
    events = events_of((0, 0, 9, 1), (0, 0, 5, 1))
    assert "Get the file again" in refusal(write(tmp_path / "a.dat", files.prophesee(events, SMALL_HW)))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_pickle_is_refused_unopened(suffix: str, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "opened",))

    hostile = np.array([Hostile()], dtype=object)
    contents = [pickle.dumps(Hostile()), npy(hostile) if suffix == ".npy" else npz(events=hostile)]
    for content in contents:
        refusal(write(tmp_path / f"a{suffix}", content), sensor_HW=SMALL_HW)
    assert not (tmp_path / "opened").exists()


def test_an_npz_with_a_damaged_member_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.npy", npy(files.random_events(500, SMALL_HW)))
    content = bytearray(stream.getvalue())
    content[len(content) // 2] ^= 0xFF
    assert "a damaged .npz" in refusal(write(tmp_path / "a.npz", bytes(content)), sensor_HW=SMALL_HW)
