"""Who else gets the numbers of a training: nobody, or Weights & Biases.

The run folder is the record. All rows are handed in after every start, so that an online run skips what it has, and
an offline run, which W&B cannot go on with, is whole.
"""

import re
from pathlib import Path
from typing import Any
from typing import Protocol

from conf.identity import leaves
from conf.identity import network_name
from conf.identity import run_name
from conf.schema import TrainConfig
from lightning_snn._wandb import start_wandb
from lightning_snn.history import Row


class TrainTracker(Protocol):
    """What a training tells about itself."""

    def epoch(self, row: Row) -> None:
        """Take an epoch; in order, recorded ones again after every start."""
        ...

    def finish(self, result: dict[str, Any]) -> None:
        """Take the result."""
        ...

    def close(self) -> None:
        """End, with the training finished or not."""
        ...


class NoTracker:
    """Tells nobody."""

    def epoch(self, row: Row) -> None:
        """Do nothing."""

    def finish(self, result: dict[str, Any]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class WandbTracker:
    """Tells Weights & Biases: a step an epoch, the result as summary."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        """Start the W&B run that belongs to ``config``.

        Raises:
            RunError: If it does not start.
        """
        group = f"{config.data.name}-{network_name(config)}-train"
        self._run = start_wandb(config, folder, name=train_run_name(config), group=group, tags=["train"])
        self._is_finished = False

    def epoch(self, row: Row) -> None:
        """Log an epoch as the step of its number, unless W&B has it."""
        if row["epoch"] >= self._run.starting_step:
            self._run.log(dict(row), step=int(row["epoch"]), commit=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Summarise the result."""
        self._run.summary.update(dict(leaves(result, separator="/")))
        self._is_finished = True

    def close(self) -> None:
        """End the W&B run, as failed where the training did not finish."""
        self._run.finish(exit_code=0 if self._is_finished else 1)


def open_tracker(config: TrainConfig, folder: Path) -> TrainTracker:
    """Return the tracker that ``logger.name`` asks for.

    Args:
        config: Settings of the run.
        folder: Of the run; exists.

    Raises:
        RunError: If W&B does not start.
    """
    return NoTracker() if config.logger.name == "none" else WandbTracker(config, folder)


def train_run_name(config: TrainConfig) -> str:
    """Return the name of a training's folder and W&B run."""
    pruning = config.pruning
    if pruning.name == "none":
        return run_name(config, "train")
    target = [] if pruning.target is None else [f"{pruning.target:g}"]
    options = ["_".join(re.findall(r"[\w.+-]+", f"{key} {value}")) for key, value in sorted(pruning.options.items())]
    return run_name(config, pruning.name, *target, *options)
