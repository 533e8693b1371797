"""A row of a published table: what to run, what the paper did, what it reports. One JSON file each in ``paper/``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from conf.schema import SearchConfig
from lightning_snn.errors import RunError
from lightning_snn.errors import nearest
from search.configuration import load_config

ROWS: Final = Path(__file__).resolve().parent / "paper"


@dataclass(frozen=True)
class Row:
    """What one JSON file says."""

    name: str
    """Of the file."""
    about: str
    settings: Mapping[str, Any]
    """Of ``python -m search``, for every strategy."""
    strategies: Mapping[str, Mapping[str, Any]]
    """Name -> further settings; they share the dense network and the estimator's samples."""
    round_dense: bool
    """Whether the dense network's weights are rounded to bfloat16 after training, before anything is measured."""
    expected_seconds: Mapping[str, float]
    """``epoch`` and ``evaluation``: used in estimates until they were measured."""
    published: Mapping[str, Any]
    """``accuracy``, ``synops`` and ``parameters`` in percent (of the dense network), and their ``source``."""
    paper: Mapping[str, Any]
    """Setting -> the paper's value. What differs from it is listed in the record."""

    def configs(self, runs: Path, data: Path) -> dict[str, SearchConfig]:
        """Return the configuration of each strategy's search.

        Args:
            runs: Folder of the runs.
            data: Folder of the data sets.

        Raises:
            ConfigError: If a setting is wrong.
        """
        places = {"runs": runs, "data.root": data}
        return {
            strategy: load_config(_words({"strategy": strategy, "name": f"{self.name}-{strategy}", **each, **places}))
            for strategy, more in self.strategies.items()
            for each in [{**self.settings, **more}]
        }


def load_row(name: str) -> Row:
    """Read a row by its name, or from a file of one's own.

    Raises:
        RunError: If there is none.
    """
    file = Path(name) if name.endswith(".json") else ROWS / f"{name}.json"
    try:
        return Row(file.stem, **json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        known = sorted(each.stem for each in ROWS.glob("*.json"))
        raise RunError(f"No row is called {name!r}. {nearest(name, known, 'rows')}") from error
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file} is no row: {error}. Imitate one of {ROWS}.") from error


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_text(value)}" for key, value in settings.items()]


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
