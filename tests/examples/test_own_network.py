"""What ``examples/own_network`` tells a user to do is done here, at tiny settings, in a copy of that folder."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import nn

from lightning_snn.forward import run_network
from lightning_snn.surgery import ChannelPlan
from search.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "own_network"
SETTINGS = {
    "threads": 1,
    "data.train_samples": 200,
    "data.batch_size": 20,
    "network.time_steps": 2,
    "training.epochs": 6,
    "finetuning.epochs": 1,
    "space.low": 0.2,
    "space.recalibration_batches": 1,
    "estimator.min_samples": 3,
    "estimator.max_samples": 3,
    "estimator.batch": 1,
    "budget.target": 0.7,
    "budget.tightenings": 0,
    "strategy.name": "uniform",
    "strategy.evaluations": 1,
}
TINY = [f"{key}={value}" for key, value in SETTINGS.items()]


def block(name: str) -> str:
    """Return the code block of the README that a comment of this name announces."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def command(name: str) -> list[str]:
    """Return the README's command whose run has this name, without ``python``."""
    (found,) = [line.split() for line in block("run").splitlines() if line.endswith(f"--name {name}")]
    assert found[:3] == ["python", "-m", "search"]
    return found[1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of the example, its modules importable."""
    copied = tmp_path / "own_network"
    shutil.copytree(FOLDER, copied, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    monkeypatch.chdir(copied)
    monkeypatch.syspath_prepend(str(copied))
    for module in ("own_network", "zoo_network"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return copied


def test_the_first_command_runs_and_its_network_is_loaded(folder: Path) -> None:
    ended = subprocess.run([sys.executable, *command("own"), *TINY], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 3), ended.stderr
    found: dict[str, Any] = {}
    exec(block("load"), found)
    dense = found["OwnNet"](num_classes=10, in_channels=1, width=16)
    assert 0 < parameters(found["network"]) < parameters(dense)
    with torch.no_grad():
        assert run_network(found["network"], torch.rand(2, 3, 1, 8, 8)).shape == (2, 3, 10)


def test_the_second_command_runs(folder: Path) -> None:
    assert main([*command("zoo")[2:], *TINY]) in (0, 3)
    assert json.loads((folder / "runs" / "zoo" / "result.json").read_text())["network"] == "zoo_network.ms_resnet"


def test_own_networks_run_in_both_step_modes(folder: Path) -> None:
    build = importlib.import_module("own_network").OwnNet
    network = build(num_classes=3, in_channels=2, width=4).eval()
    x_TBCHW = torch.rand(4, 2, 2, 8, 8)
    with torch.no_grad():
        expected = run_network(network, x_TBCHW)
        functional.set_step_mode(network, "s")
        torch.testing.assert_close(run_network(network, x_TBCHW), expected)


def test_networks_of_the_zoo_say_every_step_and_can_be_cut(folder: Path) -> None:
    zoo = importlib.import_module("zoo_network")
    for build, pixels, head in ((zoo.sew_resnet18, 16, "fc"), (zoo.ms_resnet, 8, "network.head")):
        network = build(num_classes=3, in_channels=2).eval()
        x_TBCHW = torch.rand(4, 2, 2, pixels, pixels)
        with torch.no_grad():
            assert run_network(network, x_TBCHW).shape == (4, 2, 3)
        groups = ChannelPlan.trace(network, x_TBCHW).groups
        assert len(groups) > 5
        assert head not in {layer for group in groups for layer in group.layers}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
