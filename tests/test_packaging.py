"""A wheel built from the checkout is complete, and runs where the checkout is not."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("conf", "datamodules", "lightning_snn", "search")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel, unpacked."""
    source, built, unpacked = (tmp_path_factory.mktemp(name) for name in ("source", "built", "unpacked"))
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(built),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(unpacked)
    return unpacked


def test_wheel_holds_every_source_file(wheel: Path) -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*"):
            if file.suffix in (".py", ".yaml") or file.name == "py.typed":
                assert (wheel / file.relative_to(ROOT)).read_bytes() == file.read_bytes()


def test_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(wheel)!r}); import search; print(search.__file__); "
    script += "from search.cli import main; sys.exit(main(['--help']))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(wheel))
    assert "vgg16" in done.stdout


def test_wheel_composes_its_configuration(wheel: Path, tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(wheel)!r}); from search.configuration import load_config; "
    script += "print(load_config(['--data', 'cifar10', '--network', 'vgg16']).network.name)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "vgg16"
