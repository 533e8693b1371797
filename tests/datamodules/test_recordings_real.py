from pathlib import Path

import numpy as np
import pytest

from datamodules.recordings import Recording
from datamodules.recordings import read_recording
from tests.datamodules.event_files import write
from tests.datamodules.recording_formats import acceptable
from tests.datamodules.recording_formats import refusal


@pytest.fixture
def samples(data_root: Path) -> Path:
    folder = data_root / "event-samples"
    if not folder.is_dir():
        pytest.skip(f"{data_root} has no event-samples")
    return folder


def recordings_in(data_root: Path, folder: str, suffix: str) -> list[tuple[Path, Recording]]:
    paths = sorted((data_root / folder).glob(f"[!.]*/**/*{suffix}"))  # not in the hidden folder of cached frames
    if not paths:
        pytest.skip(f"{data_root} has no {folder}")
    return [(path, read_recording(path)) for path in paths]


@pytest.mark.data
class TestRealFiles:
    @pytest.mark.parametrize(
        ("name", "count", "sensor_HW", "seconds"),
        [
            ("sample_nmnist.bin", 4325, (34, 34), 0.31),
            ("sample_ncars.dat", 2009, (42, 78), 0.1),
            ("sample.aedat4", 111_954, (240, 320), 0.59),
            ("dv_processing_sample_data.aedat4", 9193, (260, 346), 3.8),
        ],
    )
    def test_samples_have_the_published_number_of_events(
        self, name: str, count: int, sensor_HW: tuple[int, int], seconds: float, samples: Path
    ) -> None:
        stated = sensor_HW if name.endswith(".dat") else None  # N-CARS states no sensor
        events, found_HW = read_recording(samples / name, sensor_HW=stated)
        assert len(events) == count
        assert found_HW == sensor_HW
        assert (events["t"][-1] - events["t"][0]) / 1e6 == pytest.approx(seconds, abs=0.05)
        assert 0.2 < events["p"].mean() <= (1 if name.startswith("dv_") else 0.8)  # that one has on events only

    def test_all_of_n_mnist_is_read(self, data_root: Path) -> None:
        found = [recording for _, recording in recordings_in(data_root, "nmnist-small", ".bin")]
        counts = [len(events) for events, _ in found]
        assert (len(counts), min(counts), max(counts), round(np.mean(counts))) == (1100, 1069, 7152, 4108)
        ends = [int(events["t"][-1]) for events, _ in found]
        assert min(ends) >= 296_500
        assert max(ends) <= 336_500
        assert np.mean([events["p"].mean() for events, _ in found]) == pytest.approx(0.4997, abs=0.01)
        assert max(int(events["x"].max()) for events, _ in found) == 33
        assert max(int(events["y"].max()) for events, _ in found) == 33

    def test_all_of_a_dvs128_is_read(self, data_root: Path) -> None:
        found = recordings_in(data_root, "dvs128-objects", ".aedat")
        assert len(found) == 14
        for path, (events, sensor_HW) in found:
            low, high, shortest, longest = (
                (126e3, 352e3, 17, 21) if "session1" in str(path) else (249e3, 519e3, 32.5, 36.5)
            )
            assert low <= len(events) <= high
            assert shortest <= (events["t"][-1] - events["t"][0]) / 1e6 <= longest
            assert sensor_HW == (128, 128)
            assert 0.41 <= events["p"].mean() <= 0.46
            assert (int(events["x"].max()), int(events["y"].max())) == (127, 127)

    def test_events_equal_those_of_tonic(self, samples: Path, data_root: Path) -> None:
        from tonic import io as tonic_io

        plain = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
        paths = [samples / "sample_nmnist.bin", *sorted((data_root / "nmnist-small").glob("Test/7/*.bin"))]
        for path in paths:
            assert read_recording(path).events.astype(plain).tolist() == tonic_io.read_mnist_file(path, plain).tolist()
        for path in sorted((data_root / "dvs128-objects").glob("session1/*.aedat"))[:2]:
            version, start, _ = tonic_io.read_aedat_header_from_file(str(path))
            raw = tonic_io.get_aer_events_from_file(str(path), version, start)
            events = read_recording(path).events
            assert np.array_equal(events["t"], raw["timeStamp"])
            assert np.array_equal(events["x"] * 2 + events["y"] * 256 + events["p"], raw["address"])

    def test_events_equal_those_of_expelliarmus(self, samples: Path) -> None:
        from expelliarmus import Wizard

        path = samples / "sample_ncars.dat"
        theirs, ours = Wizard(encoding="dat").read(path), read_recording(path, sensor_HW=(42, 78)).events
        assert all(np.array_equal(theirs[name], ours[name]) for name in ("x", "y", "t", "p"))

    @pytest.mark.parametrize("name", ["sample.aedat4", "dv_processing_sample_data.aedat4"])
    def test_a_real_aedat4_with_damage_ends_in_an_error_or_sound_events(
        self, name: str, samples: Path, tmp_path: Path
    ) -> None:
        content = (samples / name).read_bytes()
        generator = np.random.default_rng(0)
        path = tmp_path / name
        for place in [*generator.integers(0, 3000, 25), *generator.integers(0, len(content), 10)]:
            damaged = bytearray(content)
            damaged[place] ^= int(generator.integers(1, 256))
            acceptable(write(path, bytes(damaged)), None)
        for end in generator.integers(0, len(content), 10):
            refusal(write(path, content[:end]))
