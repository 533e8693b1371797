"""Search channel keep ratios of a spiking network under a budget of synaptic operations.

A folder ``search/`` of a user's own, with an ``__init__.py``, or a file ``search.py`` in the current folder is started
by ``python -m search`` in place of this package: ``python -P -m search`` has Python not look there first.
"""

import runpy
import sys
from pathlib import Path

if sys.argv[:1] == ["-m"]:  # so Python calls itself while it locates a command of this package
    runpy.run_path(str(Path(__file__).parents[1] / "lightning_snn" / "_shadowed.py"), run_name="__main__")
