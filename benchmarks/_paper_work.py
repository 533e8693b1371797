"""What is done of a row and what remains: a thin driver of the search's own pipeline, which resumes by itself.

The dense network comes first, for all strategies; then one search after the other. Time is kept by a timer that
interrupts whatever the process is at, as Ctrl-C would: trainings go on from their last epoch, samples and trials from
the last one that was finished.
"""

import datetime
import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from typing import Final

import optuna
import pytorch_lightning as pl
import torch
from _paper_row import Row
from _paper_state import finished_epochs
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from safetensors.torch import load_file
from safetensors.torch import save_file

from conf.identity import identity
from conf.identity import leaves
from conf.schema import SearchConfig
from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Reporter
from search.baseline import obtain_baseline
from search.configuration import shared_folders
from search.pipeline import run_search
from search.task import SearchTask

AGAIN: Final = 10.0
"""Seconds after which the timer interrupts once more, where an interruption got lost in a destructor."""


class OutOfTime(BaseException):
    """The time of this call is up; derived like KeyboardInterrupt, so that nothing swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block with :class:`OutOfTime` once the seconds are over."""
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _ring(number: int, frame: FrameType | None) -> None:
    raise OutOfTime


class Ledger(Callback):
    """What the calls of a row took, on which device, and what was lost between machines; travels with the row."""

    def __init__(self, file: Path) -> None:
        """Read the file, or begin it."""
        super().__init__()
        self._file = file
        self.values: dict[str, list[dict[str, Any]]] = {"calls": [], "epochs": [], "continued": []}
        if file.exists():
            self.values = read_json(file)

    def begin(self, continued: Sequence[tuple[str, int]]) -> None:
        """Note a call, whose seconds stay unknown if it is killed, and the checkpoints that came without momentum."""
        self.values["continued"] += [{"path": path, "epoch": epoch} for path, epoch in continued]
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        self.values["calls"].append({"date": today, "device": device, "torch": torch.__version__, "seconds": None})
        write_json(self._file, self.values)

    def end(self, seconds: float) -> None:
        """Note how long the call took."""
        self.values["calls"][-1]["seconds"] = round(seconds, 1)
        write_json(self._file, self.values)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note an epoch of the dense network; its metrics were fetched, so that the device has done its work."""
        took = {"seconds": round(time.perf_counter() - self._started, 3), "steps": int(trainer.num_training_batches)}
        self.values["epochs"].append({"epoch": trainer.current_epoch, **took})


def check_settings(folder: Path, configs: Mapping[str, SearchConfig]) -> None:
    """Note the settings of a row that begins; refuse to go on with others, which would begin it anew in silence.

    Raises:
        RunError: If they differ.
    """
    file = folder / "settings.json"
    here = {strategy: identity(config) for strategy, config in configs.items()}
    if not file.exists():
        write_json(file, here)
        return
    there = read_json(file)
    for strategy in [name for name in here if name in there]:
        now, then = dict(leaves(here[strategy])), dict(leaves(there[strategy]))
        for key in sorted({*now, *then}):
            if now.get(key) != then.get(key):
                raise RunError(
                    f"The row was begun with other settings: {key} was {then.get(key)!r} and is {now.get(key)!r}. Go "
                    f"on with the version and the row file that began it, or delete its state and {folder}."
                )


def advance(
    row: Row, configs: Mapping[str, SearchConfig], ledger: Ledger, console: Console, after_dense: Callable[[], object]
) -> None:
    """Do all that a row still needs, from wherever it is."""
    first = next(iter(configs.values()))
    folder, _ = shared_folders(first)
    is_new = not (folder / "network").exists()
    if is_new:
        _train_dense(first, folder, ledger, console)
    if row.round_dense:  # also where a kill came between the two
        is_new |= _round_weights(folder / "network" / "model.safetensors")
    if is_new:
        after_dense()
    for config in configs.values():
        if not _result_file(config).exists():
            run_search(config, console)


def _train_dense(config: SearchConfig, folder: Path, ledger: Ledger, console: Console) -> None:
    task = SearchTask(config)
    with (
        locked(folder, wait=True),
        Reporter(console) as reporter,
        reporter.phase("baseline", config.training.epochs) as phase,
    ):
        obtain_baseline(task, folder, [EpochProgress(phase), ledger])


def _round_weights(file: Path) -> bool:
    """Round the dense network's weights to bfloat16, in float32 files: what bf16-mixed training computed with.

    Biases and batch norms stay as they are: they are few. Returns whether anything was left to round.
    """
    weights = load_file(file)
    rounded = {name: each.bfloat16().float() if each.ndim > 1 else each for name, each in weights.items()}
    if all(torch.equal(each, rounded[name]) for name, each in weights.items()):
        return False
    partial = file.with_name(f".{file.name}")
    save_file(rounded, partial)
    partial.replace(file)
    return True


def remaining(row: Row, configs: Mapping[str, SearchConfig], ledger: Ledger) -> list[tuple[str, float]]:
    """Return what a row still needs at the most, each with an estimate in seconds; nothing where it is done."""
    left = list[tuple[str, float]]()
    open_ones = [config for config in configs.values() if not _result_file(config).exists()]
    if not open_ones:
        return left
    first = next(iter(configs.values()))
    dense, samples = shared_folders(first)
    recent = [epoch["seconds"] for epoch in ledger.values["epochs"][-5:]]
    epoch = sum(recent) / len(recent) if recent else row.expected_seconds["epoch"]
    if not (dense / "network").exists():
        epochs = first.training.epochs - finished_epochs(dense / "training" / "last.ckpt")
        left.append((f"{epochs} epochs of the dense network", epochs * epoch))
    taken = [read_json(file)["seconds"] for file in sorted(samples.glob("*.json"))]
    tuning = sum(taken) / len(taken) if taken else first.finetuning.epochs * epoch
    trials = {config.strategy.name: _trials(config) for config in open_ones}
    if len(open_ones) == len(configs) and not any(trials.values()):
        missing = first.estimator.max_samples - len(taken)
        left.append((f"up to {missing} samples of the estimator", missing * tuning))
    for config in open_ones:
        seconds = trials[config.strategy.name]
        evaluation = sum(seconds) / len(seconds) if seconds else row.expected_seconds["evaluation"]
        evaluations = max(0, config.strategy.evaluations - len(seconds))
        name = f"the search of {config.strategy.name}: {evaluations} evaluations, fine-tuning"
        left.append((name, evaluations * evaluation + tuning))
    return left


def _result_file(config: SearchConfig) -> Path:
    return Path(config.runs) / str(config.name) / "result.json"


def _trials(config: SearchConfig) -> list[float]:
    """Return the seconds of each recorded trial."""
    file = Path(config.runs) / str(config.name) / "study.db"
    if not file.exists():
        return []
    try:
        study = optuna.load_study(study_name="search", storage=f"sqlite:///{file}")
    except KeyError:  # killed before the study was made
        return []
    return [float(trial.user_attrs.get("seconds", 0.0)) for trial in study.trials]
