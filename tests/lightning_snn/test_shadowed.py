"""What lies in the current folder under one of our names is one sentence, before anything of it or of ours is run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_snn

OURS = Path(lightning_snn.__file__).parents[1]
COMMANDS = [
    "search",
    "search.compare",
    "search.ablate",
    "search.report",
    "lightning_snn.train",
    "lightning_snn.measure",
]
THEIRS = "raise ValueError('not to be run')"


def run(folder: Path, *arguments: str, ask: str | None = "--help") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(OURS)}
    command = [sys.executable, *arguments, *([ask] if ask else [])]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_shadows_what_is_one_sentence_for_every_command(command: str, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "__init__.py").write_text(THEIRS)
    found = run(tmp_path, "-m", command)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        f"error: The folder {tmp_path / 'conf'} shadows the package conf of lightning-snn in {OURS}. Rename it, work "
        "in another folder, or have Python look into the current one last: "
        f"{Path(sys.executable).name} -P -m {command} --help\n"
    )
    assert run(tmp_path, "-P", "-m", command).returncode == 0


@pytest.mark.parametrize(
    ("theirs", "command", "said"),
    [
        ("conf.py", "search", "The file {}/conf.py shadows the package conf"),
        ("datamodules/__init__.py", "search.report", "The folder {}/datamodules shadows the package datamodules"),
        ("datamodules.py", "lightning_snn.train", "The file {}/datamodules.py shadows the package datamodules"),
        ("lightning_snn/__init__.py", "search", "The folder {}/lightning_snn shadows the package lightning_snn"),
        ("search/__init__.py", "lightning_snn.measure", "The folder {}/search shadows the package search"),
    ],
)
def test_every_package_and_module_of_our_names_is_seen(theirs: str, command: str, said: str, tmp_path: Path) -> None:
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text(THEIRS)
    found = run(tmp_path, "-m", command)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith(f"error: {said.format(tmp_path)} of lightning-snn in ")
    assert found.stderr.count("\n") == 1


def test_networks_of_the_current_folder_are_found_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(THEIRS)
    (tmp_path / "mine.py").write_text("def net():\n    raise OSError('found')\n")
    found = run(tmp_path, "-P", "-m", "lightning_snn.train", "--network._target_", "mine.net", ask=None)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: mine.net raised OSError in mine.py, line 2: found.\n"


@pytest.mark.parametrize("name", ["conf", "search", "runs"])
def test_folders_without_code_are_in_nobodys_way(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.yaml").write_text("a: 1")
    assert run(tmp_path, "-m", "search").returncode == 0
