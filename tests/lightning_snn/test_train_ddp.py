"""Two processes train one network (DDP over gloo): the real command, which starts its second process itself.

Axes: T time steps, B batch, C channels, H rows, W columns, S sample positions.
"""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from torch import Tensor

from lightning_snn import measure
from tests.lightning_snn.own_network import WithDropout
from tests.lightning_snn.test_train import only_run
from tests.lightning_snn.test_train import outcome
from tests.lightning_snn.test_train import rows_of
from tests.lightning_snn.two_processes import KILL
from tests.lightning_snn.two_processes import LOG
from tests.lightning_snn.two_processes import notes
from tests.lightning_snn.two_processes import train_in_two
from tests.lightning_snn.two_processes import train_well

SAMPLES, BATCH, EPOCHS = 90, 10, 3
STEPS = 5  # an epoch: 45 samples a process, in batches of 10


class Witness(WithDropout):
    """Notes which samples each process trains on and with which weights; the first process can kill itself."""

    steps = 0

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        if self.training and x_TBCHW.shape[1] >= SAMPLES // 2 % BATCH:  # before it is trained, it is tried on fewer
            rank = os.environ.get("LOCAL_RANK", "0")
            if rank == "0" and os.environ.get(KILL) == str(self.steps):
                os.kill(os.getpid(), signal.SIGKILL)
            self.steps += 1
            seen = [hashlib.sha256(x_CHW.numpy().tobytes()).hexdigest() for x_CHW in x_TBCHW[0].contiguous()]
            weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in self.parameters())).hexdigest()
            with (Path(os.environ[LOG]) / f"rank{rank}.jsonl").open("a") as log:
                log.write(json.dumps({"seen": seen, "weights": weights}) + "\n")
        return super().forward(x_TBCHW)


def train(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in ``folder`` and return how it ended."""
    settings = [f"data.train_samples={SAMPLES}", "data.validation_samples=40", "data.test_samples=40"]
    settings += [f"data.batch_size={BATCH}", "network.time_steps=2", f"training.epochs={EPOCHS}"]
    settings += ["network._target_=tests.lightning_snn.test_train_ddp.Witness", "network.options.width=8"]
    return train_in_two(folder, *settings, **environment)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    return train_well(folder, train(folder))


@pytest.mark.slow
def test_two_processes_see_disjoint_samples_and_together_all(straight: Path) -> None:
    first, second = notes(straight)
    assert len(first) == len(second) == STEPS * EPOCHS
    for epoch in range(EPOCHS):
        steps = slice(epoch * STEPS, (epoch + 1) * STEPS)
        one, two = ([sample for step in rank[steps] for sample in step["seen"]] for rank in (first, second))
        assert len(one) == len(two) == SAMPLES // 2
        assert set(one).isdisjoint(two)
        assert len({*one, *two}) == SAMPLES


@pytest.mark.slow
def test_weights_are_the_same_in_both_processes_and_move(straight: Path) -> None:
    first, second = ([step["weights"] for step in rank] for rank in notes(straight))
    assert first == second
    assert len(set(map(str, first))) == len(first)


@pytest.mark.slow
def test_the_loss_falls_and_what_is_left_is_whole(straight: Path, tmp_path: Path) -> None:
    rows = outcome(straight / "runs")["metrics"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    result = json.loads((only_run(straight / "runs") / "result.json").read_text())
    # 40 validation samples are shared out evenly: the epoch's figure is that of the whole measurement
    assert float(rows[-1]["validation_accuracy"]) == pytest.approx(result["result"]["validation_accuracy"], abs=1e-6)
    file = tmp_path / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LOG, str(tmp_path))
        assert measure.main([str(only_run(straight / "runs")), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["accuracy"] == result["result"]["test_accuracy"]


@pytest.mark.slow
def test_killed_in_the_second_epoch_ends_like_a_straight_one(straight: Path, tmp_path: Path) -> None:
    killed = train(tmp_path, **{KILL: str(STEPS + 2)})
    assert killed.returncode == -signal.SIGKILL
    assert [row["epoch"] for row in rows_of(only_run(tmp_path / "runs"))] == ["0"]
    assert train(tmp_path).returncode == 0
    assert outcome(tmp_path / "runs") == outcome(straight / "runs")
