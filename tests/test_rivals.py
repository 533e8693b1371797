"""Every pruner at two strengths on images and events: trained, pruned, fine-tuned and measured by the command itself.

Everything is tiny: these tests say that the parts fit, not that anything is learned.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datamodules import cifar
from datamodules.cifar import CIFAR10DataModule
from lightning_snn.pruners import PRUNERS
from lightning_snn.train import main
from tests.datamodules.test_cifar import write_files as write_cifar

TINY = {
    "network.time_steps": 2,
    "data.batch_size": 16,
    "training.epochs": 2,
    "training.warmup_epochs": 0,
    "finetuning.epochs": 1,
    "finetuning.warmup_epochs": 0,
    "pruning.calibration_batches": 1,
    "pruning.calibration_batch_size": 16,
}
FEW = {"data.train_samples": 64, "data.validation_samples": 32, "data.test_samples": 32}
SMALL = {"network": "vgg_small", "network.options.plan": "[8,M,12,M,16,M]"}
DATA: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits", **SMALL, **FEW},
    "digits_events": {"data": "digits_events", **SMALL, **FEW},
    "cifar10": {"data": "cifar10", "network": "vgg_compact", "network.options.plan": "[8,M,12,M,16,M,16,M]"},
}
BY_PATTERN = ("magnitude_nm", "random_nm", "spike_nm", "sr_ste")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for all runs, so that they share their dense networks, with CIFAR-10 in small."""
    folder = tmp_path_factory.mktemp("rivals")
    written = write_cifar(folder / "data" / CIFAR10DataModule.source.base_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar, "CIFAR10DataModule", written)
        yield folder


@pytest.mark.parametrize("strength", [0, 1])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("pruner", sorted(PRUNERS))
def test_pruner_on_data(pruner: str, data: str, strength: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    given = {**TINY, **DATA[data], "pruning": pruner, "name": f"{pruner}-{data}-{strength}"}
    if pruner in BY_PATTERN:
        given["pruning.options.n"] = (2, 1)[strength]
    else:
        given["pruning.target"] = (0.6, 0.4)[strength]
    assert main([f"--{key}={value}" for key, value in given.items()]) in (0, 3)  # so little training may well miss it
    result = json.loads((folder / "runs" / given["name"] / "result.json").read_text())
    before, after = result["baseline"], result["result"]
    assert after["synops_share_before_finetuning"] <= given.get("pruning.target", 1.0)
    assert 0.0 < after["connectivity"] < 1.0
    assert after["synops_share"] == pytest.approx(after["synops"] / before["synops"])
    assert after["synops_share"] == pytest.approx(after["connectivity_factor"] * (after["rate_factor"] or 0.0))
    if pruner in BY_PATTERN:
        pruned = 1.0 - (2, 1)[strength] / 4
        assert 0.0 < after["sparsity"] <= pruned  # the first layer is whole
        assert result["budget"] is None
    else:
        assert result["budget"]["target_fraction"] == given["pruning.target"]
        assert (after["sparsity"] > 0.0) != (after["parameters"] < before["parameters"])
