"""Spiking networks under Lightning: train, measure synaptic operations, prune, save. Knows nothing of search."""

import runpy
import sys
from pathlib import Path

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # so Python calls itself while it locates a command of this package
    runpy.run_path(str(Path(__file__).parent / "_shadowed.py"), run_name="__main__")
