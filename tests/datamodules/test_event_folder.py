import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules import DataError
from datamodules.event_folder import EventFolderDataModule
from tests.datamodules import event_files as files
from tests.datamodules.conformance import labels_of
from tests.datamodules.event_conformance import EventDataModuleConformance
from tests.datamodules.event_conformance import watched
from tests.datamodules.event_files import write
from tests.datamodules.event_files import write_array

SENSOR_HW = (10, 12)
CLASSES = ("clap", "point", "wave left", "wave right")
Build = Callable[..., EventFolderDataModule]


def write_recording(folder: Path, number: int) -> Path:
    """Write a recording in one of three formats that state their sensor."""
    events = files.toy_events(number, SENSOR_HW)
    if number // 4 % 3 == 0:
        return write(folder / f"{number:03}.aedat4", files.aedat4([events], SENSOR_HW, compression=3))
    if number // 4 % 3 == 1:
        return write(folder / f"{number:03}.dat", files.prophesee(events, SENSOR_HW))
    return write_array(folder / f"{number:03}.npz", events, height=SENSOR_HW[0], width=SENSOR_HW[1])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 200 recordings, which no test changes; number n is of class n % 4."""
    root = tmp_path_factory.mktemp("plain")
    for number in range(200):
        write_recording(root / CLASSES[number % 4], number)
    return root


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, divided by the user: 150 to train on, 50 to test on."""
    root = tmp_path_factory.mktemp("divided")
    for number in range(200):
        write_recording(root / ("train" if number < 150 else "test") / CLASSES[number % 4], number)
    return root


def built(root: Path, cache: Path, /, **options: Any) -> EventFolderDataModule:
    fixed = {"seed": 0, "time_steps": 4, "batch_size": 16, "root": str(root), "cache": str(cache)}
    return EventFolderDataModule(**{**fixed, **options})


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_of(module: EventFolderDataModule, *, test: bool) -> list[str]:
    return [source.name for source in module.sources(test=test)]


class TestPlainFolder(EventDataModuleConformance):
    highest = 9.0

    @pytest.fixture
    def build(self, plain: Path, tmp_path: Path) -> Build:
        return lambda **options: built(plain, tmp_path / "frames", **options)

    @pytest.fixture
    def everything(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return np.stack([files.toy_frames(number, SENSOR_HW) for number in range(200)]), np.arange(200) % 4

    def test_a_fifth_of_every_class_is_for_testing(self, build: Build) -> None:
        assert np.bincount(labels_of(build().test_dataloader())).tolist() == [10] * 4

    def test_the_test_split_depends_on_the_seed(self, build: Build) -> None:
        assert names_of(build(seed=0), test=True) != names_of(build(seed=1), test=True)

    def test_classes_are_the_folders_in_alphabetical_order(self, build: Build) -> None:
        module = build()
        assert module.class_names == CLASSES
        assert module.num_classes == 4
        assert module.sample_shape == (4, 2, *SENSOR_HW)
        assert all(CLASSES[source.label] == source.name.split("/")[0] for source in module.sources(test=False))


def test_a_split_of_the_user_is_kept_for_every_seed(divided: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        module = built(divided, tmp_path, seed=seed)
        module.prepare_data()
        assert (module.class_names, len(module.sources(test=False))) == (CLASSES, 150)
        assert {name.split("/")[0] for name in names_of(module, test=False)} == {"train"}
        assert {name.split("/")[0] for name in names_of(module, test=True)} == {"test"}
        assert len(labels_of(module.test_dataloader())) == 50


def test_the_sensor_is_learned_without_a_test_recording(divided: Path, tmp_path: Path) -> None:
    own = shutil.copytree(divided, tmp_path / "own")
    for path in own.glob("test/*/*"):
        path.write_bytes(b"")
    module = built(own, tmp_path)
    module.setup("fit")
    assert module.sensor_HW == SENSOR_HW
    assert "an empty file" in refusal(module.test_dataloader)


def test_the_policy_says_which_split_it_is(plain: Path, divided: Path, tmp_path: Path) -> None:
    assert built(divided, tmp_path).split_policy.startswith("test: the folder test; validation: ")
    drawn = (
        "test: a fifth of every class, drawn by seed and kept in split-4to1-seed3.json beside the data; validation: "
    )
    assert built(plain, tmp_path, seed=3).split_policy.startswith(drawn)


class TestOwnFolder:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        """Two classes of five recordings each, which state a sensor of 10 x 12, and may be changed."""
        for number in range(10):
            write_recording(tmp_path / "own" / ("left", "right")[number % 2], number)
        return tmp_path / "own"

    def test_hidden_files_and_files_beside_the_folders_are_ignored(self, own: Path, tmp_path: Path) -> None:
        before = names_of(built(own, tmp_path), test=False)
        for name in (".DS_Store", "README.md", "left/.DS_Store", ".frames/a.bin"):
            write(own / name, b"?")
        module = built(own, tmp_path)
        module.prepare_data()
        assert names_of(module, test=False) == before

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda own: shutil.rmtree(own), "found No such file or directory at {own}."),
            (lambda own: shutil.rmtree(own / "left"), "two or more: found 1 in {own}."),
            (lambda own: own.rename(own.parent / "moved").parent.joinpath("own").mkdir(), "found 0 in {own}."),
            (lambda own: (own / "middle").mkdir(), "is empty: found {own}/middle."),
            (lambda own: write(own / "middle" / ".hidden.npy", b"?"), "is empty: found {own}/middle."),
            (lambda own: write(own / "left" / "notes.txt", b"?"), "found {own}/left/notes.txt. Move it out, or hide"),
            (lambda own: (own / "left" / "deeper").mkdir(), "found {own}/left/deeper. Move it out, or hide"),
            (lambda own: next((own / "left").iterdir()).unlink(), "one in 5 can be held out for testing: found 4 in"),
        ],
    )
    def test_what_is_missing_or_too_much_is_named_before_anything_is_read(
        self, change: Callable[[Path], object], expected: str, own: Path, tmp_path: Path
    ) -> None:
        change(own)
        assert expected.format(own=own) in refusal(built(own, tmp_path).prepare_data)
        assert refusal(lambda: built(own, tmp_path).setup("fit"))

    def test_a_split_must_stand_alone(self, own: Path, tmp_path: Path) -> None:
        for half in ("train", "test"):
            shutil.copytree(own / "left", own / half / "left")
            shutil.copytree(own / "right", own / half / "right")
        assert f"found {own}/left beside them" in refusal(built(own, tmp_path).prepare_data)

    def test_both_halves_of_a_split_need_all_classes(self, own: Path, tmp_path: Path) -> None:
        for half in ("train", "test"):
            shutil.copytree(own, tmp_path / "split" / half)
        shutil.rmtree(tmp_path / "split" / "test" / "left")
        module = built(tmp_path / "split", tmp_path)
        assert f"found no folder {tmp_path}/split/test/left, and the classes left, right." in refusal(
            module.prepare_data
        )
        module.setup("fit")

    @pytest.mark.parametrize("halves", [("Train", "Test"), ("TRAIN", "TEST"), ("train", "Test")])
    def test_a_split_is_known_in_any_capitals(self, halves: tuple[str, str], own: Path, tmp_path: Path) -> None:
        for half in halves:
            shutil.copytree(own, tmp_path / "split" / half)
        module = built(tmp_path / "split", tmp_path)
        assert module.class_names == ("left", "right")
        assert module.split_policy.startswith(f"test: the folder {halves[1]}; ")
        for test in (False, True):
            assert {name.split("/")[0] for name in names_of(module, test=test)} == {halves[test]}

    @pytest.mark.parametrize(
        "halves",
        [
            ("train", "val"),
            ("train", "validation"),
            ("training", "testing"),
            ("Train_set", "Test_set"),
            ("train", "test", "val"),
            ("Train", "test", "train"),
        ],
    )
    @pytest.mark.parametrize("deep", [True, False])
    def test_a_split_by_other_names_is_refused_and_not_taken_for_classes(
        self, halves: tuple[str, ...], deep: bool, own: Path, tmp_path: Path
    ) -> None:
        for half in halves:
            shutil.copytree(own if deep else own / "left", tmp_path / "split" / half)
        message = refusal(built(tmp_path / "split", tmp_path).prepare_data)
        assert f"in {tmp_path}/split: found {', '.join(sorted(halves))}. Call the two so" in message
        assert not (tmp_path / "split" / "split-4to1-seed0.json").exists()

    def test_train_may_be_the_name_of_a_class(self, own: Path, tmp_path: Path) -> None:
        (own / "left").rename(own / "train")
        assert built(own, tmp_path).class_names == ("right", "train")

    def test_recordings_of_two_sensors_are_refused_with_a_file_of_each(self, own: Path, tmp_path: Path) -> None:
        other = write(own / "right" / "zz.dat", files.prophesee(files.toy_events(1, (8, 8)), (8, 8)))
        modules = [built(own, tmp_path, seed=seed) for seed in range(20)]
        module = next(each for each in modules if "right/zz.dat" in names_of(each, test=False))
        first = own / names_of(module, test=False)[0]
        message = refusal(lambda: module.setup("fit"))
        assert f"found [8, 8] as [rows, columns] in {other} and [10, 12] in {first}." in message

    def test_the_sensor_can_be_named_for_formats_that_do_not_state_it(self, own: Path, tmp_path: Path) -> None:
        for path in own.glob("*/*"):
            path.unlink()
            write_array(path.with_suffix(".npy"), files.toy_events(int(path.stem), SENSOR_HW))
        assert "no size of the sensor" in refusal(lambda: built(own, tmp_path).setup("fit"))
        module = built(own, tmp_path, sensor=[20, 24])
        module.setup("fit")
        assert module.sample_shape == (4, 2, 20, 24)
        assert "outside a sensor of 5 rows and 12 columns" in refusal(
            lambda: built(own, tmp_path, sensor=[5, 12]).setup("fit")
        )

    @pytest.mark.parametrize("sensor", [[], [5], [1, 2, 3], [1.5, 2], "34", True])
    def test_an_impossible_sensor_is_refused_at_once(self, sensor: object, own: Path, tmp_path: Path) -> None:
        expected = f"sensor must be a whole number, or two as [rows, columns], found {sensor!r}."
        assert expected in refusal(lambda: built(own, tmp_path, sensor=sensor))

    def test_a_sensor_has_pixels(self, own: Path, tmp_path: Path) -> None:
        assert "sensor must be 1 or greater, found 0." in refusal(lambda: built(own, tmp_path, sensor=[0, 5]))

    def test_a_square_sensor_is_one_number(self, own: Path, tmp_path: Path) -> None:
        assert built(own, tmp_path, sensor=34).sensor_HW == (34, 34)

    def test_a_recording_that_says_no_sensor_says_what_to_do(self, own: Path, tmp_path: Path) -> None:
        for path in own.glob("*/*"):
            path.unlink()
        for number in range(10):
            write_array(own / ("left", "right")[number % 2] / f"{number}.npy", files.toy_events(number, SENSOR_HW))
        assert "data.options.sensor=[rows,columns]" in refusal(built(own, tmp_path).prepare_data)

    def test_the_split_is_kept_and_recordings_that_come_or_go_are_noticed(self, own: Path, tmp_path: Path) -> None:
        """A new draw would test on recordings that a training has seen."""
        first = built(own, tmp_path)
        first.prepare_data()
        [tested] = {name for name in names_of(first, test=True) if name.startswith("left")}
        [other] = sorted(name for name in names_of(first, test=False) if name.startswith("left"))[:1]
        assert (own / "split-4to1-seed0.json").is_file()
        (own / other).unlink()
        assert f"found {other}, which is no longer in {own}" in refusal(built(own, tmp_path).prepare_data)
        write_recording(own / "left", 0)
        write_recording(own / "left", 100)
        assert "left/100.dat, which is not in it" in refusal(built(own, tmp_path).prepare_data)
        (own / "left" / "100.dat").unlink()
        again = built(own, tmp_path)
        again.prepare_data()
        assert tested in names_of(again, test=True)
        assert again.contents == first.contents
        assert built(own, tmp_path, seed=1).contents != first.contents

    def test_a_test_recording_that_cannot_be_read_is_named_before_a_training(self, own: Path, tmp_path: Path) -> None:
        bad = own / names_of(built(own, tmp_path), test=True)[0]
        bad.write_bytes(b"")
        assert f"{bad} cannot be read: found an empty file" in refusal(built(own, tmp_path).prepare_data)
        skipping = built(own, tmp_path, on_bad_file="skip")
        skipping.prepare_data()
        assert skipping.skipped == []  # they count where they are used

    def test_a_bad_first_recording_is_an_error_or_skipped(self, own: Path, tmp_path: Path) -> None:
        bad = own / names_of(built(own, tmp_path), test=False)[0]
        bad.write_bytes(b"")
        assert f"{bad} cannot be read: found an empty file" in refusal(lambda: built(own, tmp_path).setup("fit"))
        module = built(own, tmp_path, on_bad_file="skip")
        with pytest.warns(UserWarning, match="skipped 1 of 8 recordings of event_folder"):
            module.setup("fit")
        assert module.sensor_HW == SENSOR_HW

    def test_where_no_recording_can_be_read_the_first_is_named(self, own: Path, tmp_path: Path) -> None:
        for path in own.glob("*/*"):
            path.write_bytes(b"")
        module = built(own, tmp_path, on_bad_file="skip")
        first = own / names_of(module, test=False)[0]
        assert f"The recording {first} cannot be read" in refusal(lambda: module.setup("fit"))

    def test_recordings_are_read_once_when_data_are_prepared(self, own: Path, tmp_path: Path) -> None:
        module = built(own, tmp_path)
        read = watched(module)
        module.prepare_data()
        assert sorted(read) == sorted(names_of(module, test=False) + names_of(module, test=True))
        module.setup("fit")
        module.test_dataloader()
        assert len(read) == 10


@pytest.mark.data
def test_real_recordings_of_a_dvs128_become_frames(data_root: Path, tmp_path: Path) -> None:
    if not (data_root / "dvs128-objects").is_dir():
        pytest.skip(f"{data_root} has no dvs128-objects")
    root = shutil.copytree(data_root / "dvs128-objects", tmp_path / "own")  # its two sessions serve as classes
    module = built(root, tmp_path, size=32, time_steps=5, validation_fraction=0.4)
    module.prepare_data()
    assert module.class_names == ("session1", "session2")
    assert module.sensor_HW == (128, 128)
    module.setup("fit")
    assert module.sample_shape == (5, 2, 32, 32)
    assert len(labels_of(module.train_dataloader())) + len(labels_of(module.val_dataloader())) == 11
    assert len(labels_of(module.test_dataloader())) == 3  # 14 / 5 = 2.8
