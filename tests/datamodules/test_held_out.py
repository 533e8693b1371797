import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datamodules.event_sets import CIFAR10DVSDataModule
from tests.datamodules import event_files as files
from tests.datamodules.event_conformance import watched
from tests.datamodules.event_files import write
from tests.datamodules.public_sets import CLASSES
from tests.datamodules.public_sets import Build
from tests.datamodules.public_sets import built
from tests.datamodules.public_sets import names_of
from tests.datamodules.public_sets import refusal
from tests.datamodules.public_sets import write_cifar


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of CIFAR10-DVS, which no test changes."""
    root = tmp_path_factory.mktemp("data")
    write_cifar(root / "CIFAR10DVS")
    return root


class TestKeptSplit:
    @pytest.fixture
    def own(self, root: Path, tmp_path: Path) -> Path:
        """A copy of CIFAR10-DVS that may be changed, without a split."""
        return shutil.copytree(root / "CIFAR10DVS", tmp_path / "own", ignore=shutil.ignore_patterns("split-*"))

    @pytest.fixture
    def build(self, own: Path, tmp_path: Path) -> Build:
        return lambda **options: built(CIFAR10DVSDataModule, own, tmp_path / "frames", **{"size": 16, **options})

    def test_it_is_written_beside_the_data_once_and_nothing_else_is(self, own: Path, build: Build) -> None:
        before = set(own.iterdir())
        build(seed=3).prepare_data()
        [path] = set(own.iterdir()) - before
        assert path.name == "split-9to1-seed3.json"
        kept = json.loads(path.read_text())
        module = build(seed=3)
        assert (names_of(module, test=False), names_of(module, test=True)) == (kept["train"], kept["test"])
        assert (len(kept["train"]), len(kept["test"])) == (180, 20)
        assert path.stat().st_mode & 0o777 == 0o644

    def test_it_is_used_where_it_is_there(self, own: Path, build: Build) -> None:
        build().prepare_data()
        path = own / "split-9to1-seed0.json"
        kept = json.loads(path.read_text())
        swapped = {"train": [*kept["train"][1:], kept["test"][0]], "test": [*kept["test"][1:], kept["train"][0]]}
        path.write_text(json.dumps({"schema": 1, **swapped}))
        module = build()
        assert names_of(module, test=True) == swapped["test"]
        assert names_of(module, test=False) == swapped["train"]
        assert all(CLASSES[source.label] == source.name.split("/")[0] for source in module.sources(test=True))

    def test_the_draw_depends_on_the_seed_alone(self, own: Path, build: Build) -> None:
        module = build()
        module.prepare_data()
        kept = (own / "split-9to1-seed0.json").read_text()
        (own / "split-9to1-seed0.json").unlink()
        np.random.seed(1)
        build(batch_size=3, augment=True).prepare_data()
        assert (own / "split-9to1-seed0.json").read_text() == kept

    def test_the_published_format_is_read_as_well(self, own: Path, build: Build) -> None:
        build().prepare_data()
        for name in CLASSES:
            for number, path in enumerate(sorted((own / name).iterdir())):
                path.unlink()
                write(path.with_suffix(".aedat"), files.aedat2(files.toy_events(number, (16, 16), pixels=8)))
        assert "which is not in it" in refusal(build().prepare_data)
        (own / "split-9to1-seed0.json").unlink()
        source = build().sources(test=True)[0]
        assert source.name.endswith(".aedat")
        events, sensor_HW = source.read()
        assert (len(events), sensor_HW) == (100, (128, 128))

    def test_a_recording_in_both_formats_is_refused(self, own: Path, build: Build) -> None:
        shutil.copy(own / "cat" / "cifar10_cat_0.aedat4", own / "cat" / "cifar10_cat_0.aedat")
        assert "found 1 both as .aedat and as .aedat4" in refusal(build().prepare_data)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (
                lambda own: (own / "cat/cifar10_cat_0.aedat4").unlink(),
                "found cat/cifar10_cat_0.aedat4, which is no longer",
            ),
            (lambda own: write(own / "cat/new.aedat4", b""), "found cat/new.aedat4, which is not in it"),
            (lambda own: write(own / "split-9to1-seed0.json", b"{"), "found no JSON"),
            (lambda own: write(own / "split-9to1-seed0.json", b"[" * 100_000), "found no JSON"),
            (lambda own: write(own / "split-9to1-seed0.json", b"[]"), "found no lists train and test"),
            (
                lambda own: write(own / "split-9to1-seed0.json", b'{"train": ["a"], "test": [1]}'),
                "found no lists train",
            ),
            (lambda own: write(own / "split-9to1-seed0.json", b'{"train": ["a"]}'), "found no lists train"),
            (lambda own: repeat_a_name(own / "split-9to1-seed0.json"), "found a recording that is in it twice"),
        ],
    )
    def test_one_that_does_not_fit_is_refused(
        self, change: Callable[[Path], object], expected: str, own: Path, build: Build
    ) -> None:
        build().prepare_data()
        change(own)
        message = refusal(build().prepare_data)
        assert f"The split in {own}/split-9to1-seed0.json does not fit" in message
        assert expected in message
        assert refusal(lambda: build().setup("fit")) == message

    def test_a_folder_that_cannot_be_written_to_is_named(self, own: Path, build: Build) -> None:
        (own / "split-9to1-seed0.json").symlink_to(own / "split-9to1-seed0.json")  # unreadable also for root
        assert "Too many levels of symbolic links" in refusal(build().prepare_data)

    def test_too_few_recordings_for_a_tenth_are_refused(self, own: Path, build: Build) -> None:
        for number in range(9, 20):
            (own / "dog" / f"cifar10_dog_{number}.aedat4").unlink()
        message = refusal(build().prepare_data)
        assert (
            f"must have 10 recordings or more, so that one in 10 can be held out for testing: found 9 in {own}/dog."
            in message
        )

    def test_fit_reads_no_test_recording(self, build: Build) -> None:
        module = build()
        read = watched(module)
        module.setup("fit")
        assert sorted(read) == sorted(names_of(module, test=False))


def repeat_a_name(path: Path) -> None:
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "train": [*kept["train"], kept["test"][0]]}))
