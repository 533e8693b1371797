"""Two processes train each stage of a pruned run together (DDP over gloo): the real command, which starts them itself.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lightning_snn._fan_out import weighted_layers
from tests.lightning_snn.own_network import WithDropout
from tests.lightning_snn.test_prune_run import only_run
from tests.lightning_snn.test_prune_run import outcome
from tests.lightning_snn.two_processes import KILL
from tests.lightning_snn.two_processes import LOG
from tests.lightning_snn.two_processes import notes
from tests.lightning_snn.two_processes import train_in_two
from tests.lightning_snn.two_processes import train_well

STEPS, EPOCHS, BATCH = 3, 2, 10  # steps an epoch: 60 samples, half a process
STAGES = 3  # dense, first and second round


class Witness(WithDropout):
    """Notes in every training step which weights are not zero; the first process can kill itself."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled() and x_TBCHW.shape[1] == BATCH:  # not measured, not tried on fewer
            rank = os.environ.get("LOCAL_RANK", "0")
            file = Path(os.environ[LOG]) / f"rank{rank}.jsonl"
            if rank == "0" and file.exists() and str(len(file.read_text().splitlines())) == os.environ.get(KILL):
                os.kill(os.getpid(), signal.SIGKILL)
            weights = {name: layer.weight.detach() for name, layer in weighted_layers(self).items()}
            note = {
                "zeros": {
                    name: (weight == 0.0).flatten().nonzero().flatten().tolist() for name, weight in weights.items()
                },
                "weights": hashlib.sha256(
                    b"".join(weight.numpy().tobytes() for weight in weights.values())
                ).hexdigest(),
            }
            with file.open("a") as log:
                log.write(json.dumps(note) + "\n")
        return super().forward(x_TBCHW)


def prune(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in ``folder`` and return how it ended."""
    settings = ["data.train_samples=60", "data.validation_samples=40", "data.test_samples=40"]
    settings += [f"data.batch_size={BATCH}"]
    settings += ["network._target_=tests.lightning_snn.test_prune_run_ddp.Witness", "network.options.width=8"]
    settings += ["network.time_steps=2", f"training.epochs={EPOCHS}", f"finetuning.epochs={EPOCHS}"]
    settings += ["pruning=magnitude", "pruning.options.sparsity=0.75", "pruning.options.rounds=2"]
    return train_in_two(folder, *settings, **environment)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    return train_well(folder, prune(folder))


@pytest.mark.slow
def test_masked_weights_are_zero_in_every_step_of_both_processes(straight: Path) -> None:
    for rank in notes(straight):
        assert len(rank) == STAGES * EPOCHS * STEPS
        dense, first, second = (rank[place : place + EPOCHS * STEPS] for place in range(0, len(rank), EPOCHS * STEPS))
        assert not any(zeros for step in dense for zeros in step["zeros"].values())
        for stage, live in ((first, 0.5), (second, 0.25)):  # of 8 x 1 x 3 x 3 and 10 x 128 weights
            assert all(step["zeros"] == stage[0]["zeros"] for step in stage)
            assert sum(map(len, stage[0]["zeros"].values())) == 1352 * (1.0 - live)
    masks = load_file(only_run(straight / "runs") / "masks.safetensors")
    left = {name: (~mask).flatten().nonzero().flatten().tolist() for name, mask in masks.items()}
    assert notes(straight)[1][-1]["zeros"] == left


@pytest.mark.slow
def test_weights_are_the_same_in_both_processes_and_move(straight: Path) -> None:
    first, second = ([step["weights"] for step in rank] for rank in notes(straight))
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.slow
def test_killed_in_the_second_round_ends_like_a_straight_one(straight: Path, tmp_path: Path) -> None:
    """What is finished is passed through by one process, and the training that is left by two."""
    killed = prune(tmp_path, **{KILL: str((2 * EPOCHS + 1) * STEPS + 1)})
    assert killed.returncode == -signal.SIGKILL
    assert prune(tmp_path).returncode == 0
    assert outcome(tmp_path / "runs") == outcome(straight / "runs")
    first, _ = notes(tmp_path)
    assert len(first) == STAGES * EPOCHS * STEPS + 1  # one epoch again, of which one step had been made
