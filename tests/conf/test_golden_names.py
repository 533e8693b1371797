"""Names and hashes of runs never change by moving or renaming code: else nobody's runs would be found again.

``tests/golden/run_names.json`` was printed by version 0.1.0. Where a test fails here, change the code, not the file.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from conf.identity import dense_folder
from conf.identity import digest
from conf.identity import identity
from conf.loading import load
from conf.schema import ContentConfig
from conf.schema import SearchConfig
from conf.schema import TrainConfig
from lightning_snn._train_tracking import train_run_name
from search.configuration import run_name
from search.configuration import shared_folders

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "run_names.json").read_text(encoding="utf-8"))
CONTENT = ContentConfig(data="d", network="n", baseline=None)


@pytest.mark.parametrize("golden", GOLDEN["search"], ids=lambda golden: " ".join(golden["arguments"]) or "defaults")
def test_searches_are_called_and_recorded_as_ever(golden: dict[str, Any]) -> None:
    config = dataclasses.replace(load(SearchConfig, "search", golden["arguments"]), content=CONTENT)
    dense, samples = shared_folders(config)
    assert {
        "name": run_name(config),
        "dense": dense.name,
        "samples": samples.name,
        "settings": digest(identity(config)),
    } == {key: golden[key] for key in ("name", "dense", "samples", "settings")}


@pytest.mark.parametrize("golden", GOLDEN["train"], ids=lambda golden: " ".join(golden["arguments"]) or "defaults")
def test_trainings_are_called_and_recorded_as_ever(golden: dict[str, Any]) -> None:
    config = dataclasses.replace(load(TrainConfig, "train", golden["arguments"]), content=CONTENT)
    assert {
        "name": train_run_name(config),
        "dense": dense_folder(config).name,
        "settings": digest(identity(config)),
    } == {key: golden[key] for key in ("name", "dense", "settings")}


def test_settings_are_recorded_under_the_keys_that_they_ever_had() -> None:
    """A whole record, not only its digest: it says which key has changed."""
    config = dataclasses.replace(load(SearchConfig, "search", []), content=CONTENT)
    assert identity(config) == GOLDEN["default_settings"]
