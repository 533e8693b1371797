import functools
import hashlib
import http.server
import itertools
import os
import pickle
import shutil
import socket
import tarfile
import tempfile
import threading
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import transforms
from torchvision.datasets import CIFAR10

from datamodules import DataError
from datamodules import _download
from datamodules import cifar
from datamodules._augment import random_crop
from datamodules.cifar import CIFAR10DataModule
from datamodules.cifar import CIFAR100DataModule
from datamodules.cifar import CIFARDataModule
from tests.datamodules.conformance import DataModuleConformance
from tests.datamodules.conformance import inputs_of
from tests.datamodules.conformance import labels_of

FOLDER = "cifar-10-batches-py"
FOLDER_100 = "cifar-100-python"
MEAN_C11 = np.array([0.4914, 0.4822, 0.4465], dtype=np.float32).reshape(3, 1, 1)
STD_C11 = np.array([0.2470, 0.2435, 0.2616], dtype=np.float32).reshape(3, 1, 1)


class Layout(NamedTuple):
    """Files of a small data set: name and number of images of each, and how a file calls its classes."""

    train: dict[str, int]
    test: dict[str, int]
    meta: str
    meta_key: str
    label_key: str


LAYOUTS: dict[type[CIFARDataModule], Layout] = {
    CIFAR10DataModule: Layout(
        {"data_batch_1": 60, "data_batch_2": 60}, {"test_batch": 40}, "batches.meta", "label_names", "labels"
    ),
    CIFAR100DataModule: Layout({"train": 1200}, {"test": 200}, "meta", "fine_label_names", "fine_labels"),
}


def write_files(folder: Path, module_class: type[CIFARDataModule] = CIFAR10DataModule) -> type[CIFARDataModule]:
    """Write a small data set in the layout of a real one, and return a data module that knows its MD5 sums."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    layout, classes = LAYOUTS[module_class], module_class.num_classes
    files: dict[str, dict[str, Any]] = {layout.meta: {layout.meta_key: [f"class {k}" for k in range(classes)]}}
    for name, count in {**layout.train, **layout.test}.items():
        pixels = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        files[name] = {"data": pixels, layout.label_key: [i % classes for i in range(count)]}
    sums = {}
    for name, content in files.items():
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    members = {
        "url": "http://127.0.0.1:9/small.tar.gz",  # the discard port: refused at once
        "filename": "small.tar.gz",
        "train_list": [(name, sums[name]) for name in layout.train],
        "test_list": [(name, sums[name]) for name in layout.test],
        "meta": {"filename": layout.meta, "key": layout.meta_key, "md5": sums[layout.meta]},
    }
    source = type("Source", (module_class.source,), members)
    return type("SmallCIFAR", (module_class,), {"source": source})


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., CIFARDataModule]:
    """Build data modules over ``tmp_path/data``, which holds 120 training and 40 test images."""
    module_class = write_files(tmp_path / "data" / FOLDER)
    return lambda **options: module_class(**{"seed": 0, "root": str(tmp_path / "data"), **options})


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class CIFARConformance(DataModuleConformance):
    """Of a small data set, whose pixels take all values from 0 to 255."""

    module_class: type[CIFARDataModule]
    folder: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @pytest.fixture
    def build(self, tmp_path: Path) -> Callable[..., CIFARDataModule]:
        small_class = write_files(tmp_path / "data" / self.folder, self.module_class)
        options = {"seed": 0, "root": str(tmp_path / "data"), "augment": False, "batch_size": 16}
        return lambda **others: small_class(**{**options, **others})

    @pytest.fixture
    def everything(
        self, build: Callable[..., CIFARDataModule], tmp_path: Path
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        layout = LAYOUTS[self.module_class]
        images, labels = [], []
        for name in (*layout.train, *layout.test):
            content = pickle.loads((tmp_path / "data" / self.folder / name).read_bytes())
            images.append(content["data"].reshape(-1, 3, 32, 32))
            labels += content[layout.label_key]
        return np.concatenate(images), np.array(labels)

    def to_raw(self, x: Tensor) -> NDArray[np.uint8]:
        mean_C11, std_C11 = (np.array(values, np.float32).reshape(3, 1, 1) for values in (self.mean, self.std))
        raw_BCHW: NDArray[np.uint8] = np.rint((x.numpy() * std_C11 + mean_C11) * 255).astype(np.uint8)
        return raw_BCHW


class TestSmallCIFAR(CIFARConformance):
    module_class = CIFAR10DataModule
    folder = FOLDER
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    lowest = -0.4914 / 0.2470
    highest = (1 - 0.4822) / 0.2435


class TestSmallCIFAR100(CIFARConformance):
    module_class = CIFAR100DataModule
    folder = FOLDER_100
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
    lowest = -0.4865 / 0.2564
    highest = (1 - 0.4409) / 0.2762


def test_the_border_of_an_augmented_image_is_black_and_images_are_mirrored(
    small: Callable[..., CIFARDataModule],
) -> None:
    module = small()
    ramp_W = torch.arange(100, 132, dtype=torch.uint8)
    torch.manual_seed(0)
    x_BCHW = module.augmented(module.decode(ramp_W.expand(400, 3, 32, 32).contiguous()))
    raw_BHW = np.rint((x_BCHW[:, 0].numpy() * STD_C11[0] + MEAN_C11[0]) * 255)
    assert set(np.unique(raw_BHW)) == {0, *range(100, 132)}
    # 8 of 9 shifts leave a border on each axis; its widest is four pixels
    assert 0.93 < (raw_BHW == 0).any(axis=(1, 2)).mean() < 1
    assert (raw_BHW == 0).all(axis=1).sum(axis=1).max() == 4
    rises = [np.diff(image[16][image[16] > 0])[0] for image in raw_BHW]
    assert set(rises) == {1, -1}
    assert 150 < rises.count(-1) < 250  # 200 expected, standard deviation 10


def bytes_of(x_BCHW: Tensor) -> NDArray[np.float32]:
    """Undo the decoding, without rounding."""
    raw_BCHW: NDArray[np.float32] = (x_BCHW.numpy() * STD_C11 + MEAN_C11) * 255
    return raw_BCHW


def test_without_options_augmentation_crops_and_draws_nothing_more(small: Callable[..., CIFARDataModule]) -> None:
    module = small()
    x_BCHW = inputs_of(module.test_dataloader())
    torch.manual_seed(0)
    varied, next_draw = module.augmented(x_BCHW), torch.rand(1)
    torch.manual_seed(0)
    black_C = torch.from_numpy(-MEAN_C11 / STD_C11).flatten()
    torch.testing.assert_close(varied, random_crop(x_BCHW, black_C, padding=4, flip=True))
    assert torch.equal(next_draw, torch.rand(1))


def test_cutout_sets_a_square_to_the_mean(small: Callable[..., CIFARDataModule]) -> None:
    x_BCHW = inputs_of(small().test_dataloader())
    plain, cut = (small(cutout=size) for size in (0, 8))
    torch.manual_seed(0)
    expected = plain.augmented(x_BCHW)
    torch.manual_seed(0)
    varied = cut.augmented(x_BCHW)
    cut_BHW = (varied == 0).all(dim=1)
    assert set(cut_BHW.sum((1, 2)).tolist()) <= {rows * columns for rows in range(4, 9) for columns in range(4, 9)}
    assert torch.equal(varied, expected.where(~cut_BHW.unsqueeze(1), 0))


def test_randaugment_works_on_the_bytes_of_the_cropped_images(
    small: Callable[..., CIFARDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def invert(pixels_BCHW: Tensor, magnitude: int) -> Tensor:
        assert magnitude == 7
        seen.append(pixels_BCHW)
        return 255 - pixels_BCHW

    monkeypatch.setattr(cifar, "randaugment", invert)
    x_BCHW = inputs_of(small().test_dataloader())
    torch.manual_seed(0)
    cropped = bytes_of(small().augmented(x_BCHW))
    torch.manual_seed(0)
    varied = bytes_of(small(randaugment=7).augmented(x_BCHW))
    assert seen[0].dtype == torch.uint8
    np.testing.assert_allclose(seen[0].numpy(), cropped, atol=1e-3)
    np.testing.assert_allclose(varied, 255 - cropped, atol=1e-3)


def test_randaugment_changes_most_images_and_gives_bytes(small: Callable[..., CIFARDataModule]) -> None:
    x_BCHW = inputs_of(small().test_dataloader())
    torch.manual_seed(0)
    cropped = bytes_of(small().augmented(x_BCHW))
    torch.manual_seed(0)
    varied = bytes_of(small(randaugment=9).augmented(x_BCHW))
    np.testing.assert_allclose(varied, np.rint(varied), atol=1e-3)
    assert (np.abs(varied - cropped).max(axis=(1, 2, 3)) > 0.5).mean() > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutout": -1}, "cutout must be 0 or greater, found -1."),
        ({"randaugment": -1}, "randaugment must be 0 or greater, found -1."),
        ({"randaugment": 31}, "randaugment must be 30 or less, found 31."),
    ],
)
def test_options_out_of_range_are_refused(
    small: Callable[..., CIFARDataModule], options: dict[str, int], message: str
) -> None:
    assert message in refusal(lambda: small(**options))


def test_fit_needs_no_test_file(small: Callable[..., CIFARDataModule], tmp_path: Path) -> None:
    (tmp_path / "data" / FOLDER / "test_batch").unlink()
    module = small()
    module.setup("fit")
    assert len(labels_of(module.train_dataloader())) == 108
    assert "no such file at" in refusal(module.test_dataloader)


@pytest.mark.parametrize("name", ["data_batch_2", "batches.meta", "test_batch"])
def test_a_missing_file_is_named_before_anything_is_read(
    small: Callable[..., CIFARDataModule], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "data" / FOLDER / name
    path.unlink()
    assert f"found no such file at {path}. Unpack http" in refusal(small().prepare_data)


def test_a_truncated_file_is_named_with_its_size(small: Callable[..., CIFARDataModule], tmp_path: Path) -> None:
    path = tmp_path / "data" / FOLDER / "data_batch_2"
    path.write_bytes(path.read_bytes()[:1000])
    module = small()
    module.prepare_data()
    message = refusal(lambda: module.setup("fit"))
    assert "found 1000 bytes with MD5" in message
    assert f"at {path}. Unpack" in message
    assert path.stat().st_size == 1000  # not replaced behind the user's back


def test_a_foreign_pickle_is_refused_before_it_is_opened(small: Callable[..., CIFARDataModule], tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "opened",))

    for name in ("data_batch_1", "batches.meta"):
        (tmp_path / "data" / FOLDER / name).write_bytes(pickle.dumps(Hostile()))
        assert "with MD5" in refusal(lambda: small().setup("fit"))
    assert not (tmp_path / "opened").exists()


def test_an_unreadable_file_is_named(small: Callable[..., CIFARDataModule], tmp_path: Path) -> None:
    path = tmp_path / "data" / FOLDER / "data_batch_1"
    path.unlink()
    path.symlink_to(path)  # unreadable also for root
    assert f"symbolic links at {path}." in refusal(lambda: small().setup("fit"))


def test_a_file_in_place_of_the_folder_is_named(small: Callable[..., CIFARDataModule], tmp_path: Path) -> None:
    folder = tmp_path / "data" / FOLDER
    shutil.rmtree(folder)
    folder.touch()
    assert f"found Not a directory at {folder}." in refusal(small().prepare_data)


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Drop root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_folder_without_permission_is_named(small: Callable[..., CIFARDataModule], ordinary_user: None) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, FOLDER)
        folder.mkdir(mode=0)
        module = small(root=root)
        for act in (module.prepare_data, lambda: module.setup("fit")):
            message = refusal(act)
            assert "found Permission denied at " in message
            assert str(folder) in message
        folder.chmod(0o700)


def test_a_root_without_permission_is_named(small: Callable[..., CIFARDataModule], ordinary_user: None) -> None:
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o500)  # may be read, not written
        message = refusal(small(root=root).prepare_data)
        assert "cannot be downloaded" in message
        assert "Permission denied" in message


def test_without_a_network_the_missing_folder_is_named_and_nothing_is_left(
    small: Callable[..., CIFARDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    empty = tmp_path / "empty"
    message = refusal(small(root=str(empty)).prepare_data)
    assert f"not in {empty / FOLDER} and cannot be downloaded: found <urlopen error" in message
    assert f"Unpack http://127.0.0.1:9/small.tar.gz into {empty}" in message
    assert not empty.exists()


def test_a_missing_folder_is_named_when_it_was_not_prepared(
    small: Callable[..., CIFARDataModule], tmp_path: Path
) -> None:
    message = refusal(lambda: small(root=str(tmp_path / "empty")).setup("fit"))
    assert f"found no such file at {tmp_path / 'empty' / FOLDER / 'data_batch_1'}." in message


@pytest.fixture
def served(
    small: Callable[..., CIFARDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], CIFARDataModule]]:
    """Serve the archive of the small data set on this machine; build modules over a root that is empty."""
    site = tmp_path / "site"
    site.mkdir()
    with tarfile.open(site / "small.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "data" / FOLDER, arcname=FOLDER)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    source = small().source
    monkeypatch.setattr(source, "tgz_md5", hashlib.md5((site / "small.tar.gz").read_bytes()).hexdigest())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site))) as server:
        monkeypatch.setattr(source, "url", f"http://127.0.0.1:{server.server_port}/small.tar.gz")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield lambda: small(root=str(tmp_path / "fresh"))
        server.shutdown()


def test_a_missing_folder_is_downloaded_once_and_nothing_else_is_left(
    served: Callable[[], CIFARDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = served()
    module.prepare_data()
    assert [path.name for path in (tmp_path / "fresh").iterdir()] == [FOLDER]
    module.setup("fit")
    assert len(labels_of(module.test_dataloader())) == 40
    assert socket.getdefaulttimeout() is None
    monkeypatch.setattr(module.source, "url", "http://127.0.0.1:9/gone")
    module.prepare_data()


def test_what_a_killed_download_left_behind_does_not_count(
    served: Callable[[], CIFARDataModule], tmp_path: Path
) -> None:
    left = tmp_path / "fresh" / ".download-killed" / FOLDER
    left.mkdir(parents=True)
    (left / "data_batch_1").write_bytes(b"half")
    module = served()
    module.prepare_data()
    module.setup("fit")


@pytest.mark.parametrize("damaged", ["archive", "content"])
def test_a_damaged_download_is_refused_and_nothing_is_left(
    served: Callable[[], CIFARDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    archive = tmp_path / "site" / "small.tar.gz"
    module = served()
    if damaged == "archive":
        archive.write_bytes(archive.read_bytes()[:5000])
    else:
        monkeypatch.setattr(module.source, "test_list", [["test_batch", "0" * 32]])
    assert "cannot be downloaded" in refusal(module.prepare_data)
    assert not (tmp_path / "fresh").exists()


def test_a_download_that_another_process_finished_first_is_used(
    served: Callable[[], CIFARDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(source: Any, *args: Any, **options: Any) -> None:
        shutil.copytree(tmp_path / "data" / FOLDER, tmp_path / "fresh" / FOLDER)
        CIFAR10.__init__(source, *args, **options)

    module = served()
    with monkeypatch.context() as patch:
        patch.setattr(module.source, "__init__", race)
        module.prepare_data()
    module.setup("fit")
    assert [path.name for path in (tmp_path / "fresh").iterdir()] == [FOLDER]


def test_a_silent_server_ends_in_an_error(
    small: Callable[..., CIFARDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(_download, "DOWNLOAD_TIMEOUT_S", 0.2)
    module = small(root=str(tmp_path / "empty"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(module.source, "url", f"http://127.0.0.1:{silent.getsockname()[1]}/small.tar.gz")
        assert "timed out" in refusal(module.prepare_data)
    assert not (tmp_path / "empty").exists()


@pytest.fixture(scope="module")
def real(data_root: Path) -> CIFAR10DataModule:
    if not (data_root / FOLDER).is_dir():
        pytest.skip(f"{data_root} has no {FOLDER}")
    module = CIFAR10DataModule(seed=0, root=str(data_root))
    module.prepare_data()
    return module


@pytest.mark.data
def test_real_splits_have_the_official_sizes_with_every_class_alike(real: CIFAR10DataModule) -> None:
    loaders = real.train_dataloader(), real.val_dataloader(), real.test_dataloader()
    assert [np.bincount(labels_of(loader)).tolist() for loader in loaders] == [
        [4500] * 10,
        [500] * 10,
        [1000] * 10,
    ]


@pytest.mark.data
def test_real_training_pixels_have_mean_0_and_variance_1(real: CIFAR10DataModule) -> None:
    x_BCHW = torch.cat([x for x, _ in itertools.islice(real.train_dataloader(), 80)])[:10_000]  # before augmentation
    # 10,000 images: the mean of an image's channel spreads by about 0.5, so ours by about 0.005
    assert x_BCHW.mean(dim=(0, 2, 3)).abs().max() < 0.03
    assert (x_BCHW.std(dim=(0, 2, 3)) - 1).abs().max() < 0.03


@pytest.mark.data
def test_real_test_images_equal_those_of_torchvision(real: CIFAR10DataModule, data_root: Path) -> None:
    pipeline = transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ]
    )
    official = CIFAR10(data_root, train=False, transform=pipeline)
    x_BCHW, y_B = next(iter(real.test_dataloader()))
    assert y_B[:5].tolist() == [3, 8, 8, 0, 6]  # cat, ship, ship, airplane, frog
    for i in range(20):
        image_CHW, label = official[i]
        torch.testing.assert_close(x_BCHW[i], image_CHW, rtol=0, atol=1e-5)
        assert y_B[i] == label


@pytest.fixture(scope="module")
def real_100(data_root: Path) -> CIFAR100DataModule:
    """Only the test file and the names of the classes are needed."""
    if not (data_root / FOLDER_100 / "test").is_file():
        pytest.skip(f"{data_root} has no {FOLDER_100}")
    return CIFAR100DataModule(seed=0, root=str(data_root))


@pytest.mark.data
def test_real_cifar_100_has_a_hundred_test_images_of_each_class(real_100: CIFAR100DataModule) -> None:
    labels_N = labels_of(real_100.test_dataloader())
    assert np.bincount(labels_N).tolist() == [100] * 100
    assert labels_N[:5].tolist() == [49, 33, 72, 51, 71]  # mountain, forest, seal, mushroom, sea


@pytest.mark.data
def test_real_cifar_100_pixels_have_mean_0_and_variance_1(real_100: CIFAR100DataModule) -> None:
    x_BCHW = inputs_of(real_100.test_dataloader())
    # as for CIFAR-10: test images stand in for the training images that the constants are from
    assert x_BCHW.mean(dim=(0, 2, 3)).abs().max() < 0.03
    assert (x_BCHW.std(dim=(0, 2, 3)) - 1).abs().max() < 0.03


@pytest.mark.data
def test_real_cifar_100_without_its_training_file_is_refused(real_100: CIFAR100DataModule, tmp_path: Path) -> None:
    (tmp_path / FOLDER_100).mkdir()
    for name in ("test", "meta"):
        (tmp_path / FOLDER_100 / name).symlink_to((real_100.folder / name).resolve())
    module = CIFAR100DataModule(seed=0, root=str(tmp_path))
    path = tmp_path / FOLDER_100 / "train"
    for act in (module.prepare_data, lambda: module.setup("fit")):
        assert f"The cifar100 data cannot be read: found no such file at {path}. Unpack https://" in refusal(act)
    assert len(labels_of(module.test_dataloader())) == 10_000
