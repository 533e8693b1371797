import functools
import hashlib
import http.server
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datamodules import _download
from datamodules.event_sets import CIFAR10DVSDataModule
from datamodules.event_sets import DVS128GestureDataModule
from datamodules.event_sets import NMNISTDataModule
from datamodules.event_sets import PublicEventsDataModule
from tests.datamodules.event_files import write
from tests.datamodules.public_sets import CLASSES
from tests.datamodules.public_sets import built
from tests.datamodules.public_sets import names_of
from tests.datamodules.public_sets import refusal
from tests.datamodules.public_sets import write_cifar
from tests.datamodules.public_sets import write_gestures
from tests.datamodules.public_sets import write_n_mnist


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of every set, which no test changes."""
    root = tmp_path_factory.mktemp("data")
    write_n_mnist(root / "NMNIST")
    write_gestures(root / "DVSGesture")
    write_cifar(root / "CIFAR10DVS")
    return root


@pytest.fixture(scope="module")
def archives(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archives of the small sets, which no test changes."""
    archives, inner = tmp_path_factory.mktemp("archives"), tmp_path_factory.mktemp("inner")
    for half in ("train", "test"):
        shutil.make_archive(str(archives / f"NMNIST-{half}"), "zip", root / "NMNIST", half.title())
        shutil.make_archive(
            str(archives / f"DVSGesture-{half}"), "gztar", root / "DVSGesture", f"ibmGesture{half.title()}"
        )
    for name in CLASSES:
        shutil.make_archive(str(inner / name), "zip", root / "CIFAR10DVS", name)
    shutil.make_archive(str(archives / "CIFAR10DVS"), "zip", inner)
    return archives


class TestDownload:
    @pytest.fixture
    def site(self, archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Serve copies of the archives on this machine in place of tonic's addresses."""
        from tonic import datasets

        site = shutil.copytree(archives, tmp_path / "site")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

        monkeypatch.setenv("no_proxy", "*")
        handler = functools.partial(Handler, directory=str(site))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            for name, url, md5 in (
                ("NMNIST-train.zip", "train_url", "train_md5"),
                ("NMNIST-test.zip", "test_url", "test_md5"),
                ("DVSGesture-train.tar.gz", "train_url", "train_md5"),
                ("DVSGesture-test.tar.gz", "test_url", "test_md5"),
                ("CIFAR10DVS.zip", "url", "file_md5"),
            ):
                source = getattr(datasets, re.split(r"[-.]", name)[0])
                monkeypatch.setattr(source, url, f"http://127.0.0.1:{server.server_port}/{name}")
                monkeypatch.setattr(source, md5, hashlib.md5((site / name).read_bytes()).hexdigest())
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield site
            server.shutdown()

    @pytest.mark.parametrize("module", [NMNISTDataModule, DVS128GestureDataModule, CIFAR10DVSDataModule])
    def test_a_missing_set_is_downloaded_once_and_nothing_else_is_left(
        self, module: type[PublicEventsDataModule], site: Path, root: Path, tmp_path: Path
    ) -> None:
        fresh = tmp_path / "fresh"
        downloaded, given = (built(module, place, tmp_path / "frames") for place in (fresh, root))
        downloaded.prepare_data()
        assert [path.name for path in fresh.iterdir()] == [module.tonic_name]
        for test in (False, True):
            assert names_of(downloaded, test=test) == names_of(given, test=test)
        assert socket.getdefaulttimeout() is None
        shutil.rmtree(site)
        downloaded.prepare_data()

    @pytest.mark.parametrize("module", [NMNISTDataModule, DVS128GestureDataModule, CIFAR10DVSDataModule])
    @pytest.mark.parametrize("damage", ["empty", "cut", "gone"])
    def test_a_download_that_fails_is_one_sentence_and_leaves_nothing(
        self, module: type[PublicEventsDataModule], damage: str, site: Path, tmp_path: Path
    ) -> None:
        for archive in site.glob(f"{module.tonic_name}*"):
            archive.write_bytes(b"" if damage == "empty" else archive.read_bytes()[:1000])
            if damage == "gone":
                archive.unlink()
        message = refusal(built(module, tmp_path / "fresh", tmp_path).prepare_data)
        assert f"data are not in {tmp_path}/fresh/{module.tonic_name} and cannot be downloaded: found" in message
        assert ("404" if damage == "gone" else "File not found or corrupted.") in message
        assert "Unpack http://127.0.0.1" in message
        assert not (tmp_path / "fresh").exists()

    def test_an_archive_without_the_promised_folder_is_refused(
        self, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tonic import datasets

        content = (site / "NMNIST-train.zip").read_bytes()
        (site / "NMNIST-test.zip").write_bytes(content)
        monkeypatch.setattr(datasets.NMNIST, "test_md5", hashlib.md5(content).hexdigest())
        assert "found an archive without Test" in refusal(
            built(NMNISTDataModule, tmp_path / "fresh", tmp_path).prepare_data
        )
        assert not (tmp_path / "fresh").exists()

    def test_a_silent_server_ends_in_an_error(
        self, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tonic import datasets

        monkeypatch.setattr(_download, "DOWNLOAD_TIMEOUT_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setattr(datasets.NMNIST, "train_url", f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip")
            assert "timed out" in refusal(built(NMNISTDataModule, tmp_path / "fresh", tmp_path).prepare_data)
        assert not (tmp_path / "fresh").exists()

    def test_a_set_that_another_process_finished_first_is_used(
        self, site: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tonic import datasets

        fresh = tmp_path / "fresh"

        class Slower(datasets.NMNIST):  # type: ignore[misc]  # tonic is untyped
            def __init__(self, *args: Any, **options: Any) -> None:
                if not (fresh / "NMNIST").is_dir():
                    shutil.copytree(root / "NMNIST", fresh / "NMNIST")
                super().__init__(*args, **options)

        Slower.__name__ = "NMNIST"
        monkeypatch.setattr(datasets, "NMNIST", Slower)
        module = built(NMNISTDataModule, fresh, tmp_path)
        module.prepare_data()
        assert [path.name for path in fresh.iterdir()] == ["NMNIST"]
        assert len(module.sources(test=True)) == 40

    def test_what_a_killed_download_left_behind_does_not_count(self, site: Path, tmp_path: Path) -> None:
        write(tmp_path / "fresh" / ".download-killed" / "NMNIST" / "Train" / "0" / "00000.bin", b"half")
        module = built(NMNISTDataModule, tmp_path / "fresh", tmp_path)
        module.prepare_data()
        assert len(module.sources(test=False)) == 120
