"""From the command line: networks that fold steps and batch are searched and pruned as those that do not.

They start from the same weights and hardly learn, since a training rounds otherwise in each of them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_snn import train
from search.cli import main
from tests.lightning_snn.folded import FAMILY

SETTINGS = {
    "threads": 1,
    "data.train_samples": 100,
    "data.validation_samples": 60,
    "data.test_samples": 80,
    "data.batch_size": 8,
    "network.time_steps": 2,
    "training.epochs": 1,
    "training.learning_rate": 1e-9,
    "finetuning.epochs": 1,
    "finetuning.learning_rate": 1e-9,
    "trainer.accelerator": "cpu",
}
SEARCH = [
    *("estimator.min_samples=3", "estimator.max_samples=3", "estimator.batch=1"),
    *("strategy=l1", "space.recalibration_batches=1"),
]
SHAPES = [[4, 8, 8], [4, 8, 8], [6], [10]]


def arguments(kind: type, runs: Path, *more: str) -> list[str]:
    settings = [f"{key}={value}" for key, value in SETTINGS.items()]
    return [*settings, f"runs={runs}", f"network._target_={kind.__module__}.{kind.__name__}", *more]


def result_of(runs: Path) -> Any:
    (file,) = runs.glob("*/result.json")
    return json.loads(file.read_text())


def test_a_search_has_the_same_figures(tmp_path: Path) -> None:
    dense = []
    for kind in FAMILY[1:]:  # the first is what every other test searches
        runs = tmp_path / kind.__name__
        assert main(arguments(kind, runs, *SEARCH)) in (0, 3)
        result = result_of(runs)
        layers = result["baseline"]["layers"].values()
        assert [layer["output_shape"] for layer in layers] == SHAPES
        assert [layer["output_shape"][1:] for layer in result["result"]["layers"].values()] == [x[1:] for x in SHAPES]
        dense.append([result["baseline"]["synops"], *(layer["input_rate"] for layer in layers)])
    assert dense[0] == pytest.approx(dense[1], rel=1e-6)


@pytest.mark.parametrize("pruner", ["slamp", "spike_nm"])
def test_a_pruner_has_the_same_figures(pruner: str, tmp_path: Path) -> None:
    found = []
    for kind in FAMILY:
        runs = tmp_path / kind.__name__
        options = ["pruning.options.sparsity=0.5"] if pruner == "slamp" else ["pruning.options.every=1"]
        assert train.main(arguments(kind, runs, f"pruning={pruner}", *options)) in (0, 3)
        notes = result_of(runs)["notes"]
        found.append(list(notes["gain"].values()) if pruner == "slamp" else [notes["pattern"]])
    assert found[0] == (found[1] if pruner == "spike_nm" else pytest.approx(found[1], rel=1e-6))
    assert found[0] == (found[2] if pruner == "spike_nm" else pytest.approx(found[2], rel=1e-6))
    if pruner == "slamp":
        assert max(found[0]) > 1.2  # else it would be LAMP
