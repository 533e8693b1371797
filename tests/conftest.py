"""One OpenMP thread, set before torch is imported: two busy processes on two cores would crawl otherwise."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "disabled")

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real data sets; the test is skipped where there is none."""
    root = os.environ.get("LIGHTNING_SNN_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("LIGHTNING_SNN_DATA does not name a folder with real data sets")
    return Path(root)
