"""The real command in two processes (DDP over gloo), and what each of them noted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOG, KILL = "TEST_DDP_LOG", "TEST_DDP_KILL_AT"
"""Environment variables: the folder for notes, and the step at which the first process is to kill itself."""


def train_in_two(folder: Path, *settings: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m lightning_snn.train`` with runs in ``folder/runs``, and return how it ended."""
    (folder / "log").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lightning_snn.train", f"runs={folder / 'runs'}", *settings]
    command += ["trainer.devices=2", "trainer.accelerator=cpu"]
    clean = {key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    clean |= {"OMP_NUM_THREADS": "1", LOG: str(folder / "log"), **environment}
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=300)


def train_well(folder: Path, done: "subprocess.CompletedProcess[str]") -> Path:
    """Return the folder of a command that ended well and quietly."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("| test accuracy") == 1  # one process speaks
    return folder


def notes(folder: Path) -> list[list[dict[str, Any]]]:
    """What each process noted, step by step."""
    files = [folder / "log" / f"rank{rank}.jsonl" for rank in (0, 1)]
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
