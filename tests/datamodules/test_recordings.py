import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.recordings import EVENT
from datamodules.recordings import SUFFIXES
from datamodules.recordings import read_recording
from tests.datamodules import event_files as files
from tests.datamodules.event_files import events_of
from tests.datamodules.event_files import write
from tests.datamodules.recording_formats import ENCODERS
from tests.datamodules.recording_formats import ROWS
from tests.datamodules.recording_formats import SMALL_HW
from tests.datamodules.recording_formats import STATES_SMALL
from tests.datamodules.recording_formats import Encode
from tests.datamodules.recording_formats import npy
from tests.datamodules.recording_formats import npz
from tests.datamodules.recording_formats import refusal


@pytest.mark.parametrize("name", ENCODERS)
def test_known_events_come_back_equal(name: str, tmp_path: Path) -> None:
    suffix, encode = ENCODERS[name]
    events = events_of(*ROWS)
    recording = read_recording(write(tmp_path / f"a{suffix}", encode(events)), sensor_HW=SMALL_HW)
    assert recording.events.dtype == EVENT
    assert recording.events.tolist() == ROWS
    assert recording.sensor_HW == SMALL_HW
    assert recording.events.flags.writeable


@pytest.mark.parametrize("name", ENCODERS)
def test_many_events_come_back_equal(name: str, tmp_path: Path) -> None:
    suffix, encode = ENCODERS[name]
    events = files.random_events(2000, SMALL_HW)
    found = read_recording(write(tmp_path / f"a{suffix.upper()}", encode(events)), sensor_HW=SMALL_HW).events
    assert np.array_equal(found, events)


def test_every_suffix_is_tested() -> None:
    assert {suffix for suffix, _ in ENCODERS.values()} == set(SUFFIXES)


@pytest.mark.parametrize(
    ("suffix", "content", "row"),
    [
        # x 7, y 15, on, 654 us = 0x00028e: the first five bytes of a genuine file
        (".bin", b"\x07\x0f\x80\x02\x8e", (7, 15, 654, 1)),
        # 0x00000c83: y 12, x 65, on; 0x80000001 us: as jAER stores it, a negative number
        (".aedat", b"#!AER-DAT2.0\r\n\x00\x00\x0c\x83\x80\x00\x00\x01", (65, 12, 2**31 + 1, 1)),
        # word 0x1006c038: x 0x38, y 0x1b, on
        (".dat", b"% Version 2\n\x0c\x08\xca\x00\x00\x00\x38\xc0\x06\x10", (0x38, 0x1B, 0xCA, 1)),
    ],
)
def test_bytes_mean_what_the_formats_say(suffix: str, content: bytes, row: tuple[int, ...], tmp_path: Path) -> None:
    path = write(tmp_path / f"a{suffix}", content)
    assert read_recording(path, sensor_HW=(128, 128)).events.tolist() == [row]


class TestSensor:
    @pytest.mark.parametrize("name", STATES_SMALL)
    def test_it_is_what_the_file_states(self, name: str, tmp_path: Path) -> None:
        suffix, encode = ENCODERS[name]
        path = write(tmp_path / f"a{suffix}", encode(events_of(*ROWS)))
        assert read_recording(path).sensor_HW == SMALL_HW

    @pytest.mark.parametrize(("name", "expected"), [("aedat2", (128, 128)), ("n-mnist", (34, 34))])
    def test_it_is_what_the_format_implies(self, name: str, expected: tuple[int, int], tmp_path: Path) -> None:
        suffix, encode = ENCODERS[name]
        assert read_recording(write(tmp_path / f"a{suffix}", encode(events_of(*ROWS)))).sensor_HW == expected

    @pytest.mark.parametrize(
        ("suffix", "content"),
        [
            (".npy", npy(events_of(*ROWS))),
            (".npz", npz(events=events_of(*ROWS))),
            (".dat", files.prophesee(events_of(*ROWS), None)),
        ],
    )
    def test_it_must_be_named_where_nothing_states_it(self, suffix: str, content: bytes, tmp_path: Path) -> None:
        path = write(tmp_path / f"a{suffix}", content)
        assert "no size of the sensor" in refusal(path)
        assert read_recording(path, sensor_HW=(20, 40)).sensor_HW == (20, 40)

    def test_what_the_caller_names_comes_first(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.dat", files.prophesee(events_of(*ROWS), SMALL_HW))
        assert read_recording(path, sensor_HW=(200, 300)).sensor_HW == (200, 300)
        assert "x = 29 in event 1, outside a sensor of 20 rows and 29 columns" in refusal(path, sensor_HW=(20, 29))

    @pytest.mark.parametrize("stated", [{"height": 20}, {"height": 20, "width": 3.5}, {"height": [20], "width": [30]}])
    def test_half_a_statement_is_refused(self, stated: dict[str, Any], tmp_path: Path) -> None:
        path = write(tmp_path / "a.npz", npz(events=events_of(*ROWS), **stated))
        assert "height and width that are not two whole numbers" in refusal(path, sensor_HW=SMALL_HW)

    @pytest.mark.parametrize("stated", [(0, 30), (20, 2**15 + 1), (-1, 30)])
    def test_an_impossible_one_is_refused(self, stated: tuple[int, int], tmp_path: Path) -> None:
        path = write(tmp_path / "a.npz", npz(events=events_of(*ROWS), height=stated[0], width=stated[1]))
        assert f"a sensor of {stated[0]} x {stated[1]} pixels" in refusal(path)


class TestGenuineFeatures:
    @pytest.mark.parametrize(("suffix", "encode"), [(".aedat", files.aedat2), (".dat", ENCODERS["prophesee"][1])])
    def test_a_clock_of_32_bits_that_runs_over_goes_on(self, suffix: str, encode: Encode, tmp_path: Path) -> None:
        times = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 7, 2**33 - 2**31, 2**33 - 1, 2**33 + 5]
        path = write(tmp_path / f"a{suffix}", encode(events_of(*((0, 0, t, 1) for t in times))))
        assert read_recording(path).events["t"].tolist() == times

    def test_pulses_on_the_input_pin_are_no_events(self, tmp_path: Path) -> None:
        pulse = struct.pack(">II", 0x8000, 5)
        content = files.aedat2(events_of((1, 2, 3, 0))) + pulse + files.aedat2(events_of((4, 5, 6, 1)), header=b"")
        path = write(tmp_path / "a.aedat", content)
        assert read_recording(path).events.tolist() == [(1, 2, 3, 0), (4, 5, 6, 1)]
        assert "no events" in refusal(write(path, files.JAER_HEADER + pulse))

    def test_n_mnist_overflow_marks_move_later_times(self, tmp_path: Path) -> None:
        content = files.n_mnist(
            events_of((1, 1, 8000, 0), (0, 240, 0, 0), (2, 2, 5, 1), (0, 240, 0, 0), (0, 240, 0, 0), (3, 3, 0, 0))
        )
        found = read_recording(write(tmp_path / "a.bin", content)).events
        assert found.tolist() == [(1, 1, 8000, 0), (2, 2, 8192 + 5, 1), (3, 3, 3 * 8192, 0)]

    def test_n_mnist_of_nothing_but_overflow_marks_is_refused_in_no_time(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.bin", b"\x00\xf0\x00\x00\x00" * 200_000)
        start = time.monotonic()
        assert "no events" in refusal(path)
        assert time.monotonic() - start < 2  # tonic's reader takes 200,000 steps over 200,000 events

    def test_polarity_minus_one_is_off(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.npy", npy(events_of((0, 0, 1, -1), (0, 0, 2, 1))))
        assert read_recording(path, sensor_HW=(1, 1)).events["p"].tolist() == [0, 1]

    @pytest.mark.parametrize("compression", [0, 1])
    def test_of_two_cameras_the_first_is_read(self, compression: int, tmp_path: Path) -> None:
        content = files.aedat4([events_of((1, 2, 3, 1))], (9, 9), compression=compression, with_table=False)
        other = content.replace(b"IMUS", b"EVTS")  # stream 1 states no sensor, and is not asked for one
        assert read_recording(write(tmp_path / "a.aedat4", other)).events.tolist() == [(1, 2, 3, 1)]

    @pytest.mark.parametrize("order", [["p", "t", "y", "x"], ["t", "x", "y", "p", "extra"]])
    def test_fields_may_come_in_any_order_and_size(self, order: list[str], tmp_path: Path) -> None:
        array = np.zeros(2, [(name, "?" if name == "p" else ">u8") for name in order])
        array["x"], array["y"], array["t"], array["p"] = [1, 2], [3, 4], [5, 2**40], [True, False]
        path = write(tmp_path / "a.npy", npy(array))
        assert read_recording(path, sensor_HW=(9, 9)).events.tolist() == [(1, 3, 5, 1), (2, 4, 2**40, 0)]


def test_reading_imports_neither_tonic_nor_torch(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aedat4", files.aedat4([events_of(*ROWS)], SMALL_HW, compression=1))
    code = (
        "import sys, pathlib; from datamodules.recordings import read_recording; "
        f"read_recording(pathlib.Path({str(path)!r})); print(sorted({{'tonic', 'torch'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
