"""Tables and picture of the rows of ``rivals.py`` that are there."""

from pathlib import Path


def write_report(out: Path) -> None:
    """Write ``tables.md`` and ``rivals.svg`` from ``out/rows``."""
