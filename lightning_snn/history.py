"""``metrics.csv``: what each epoch of a training brought, each epoch once, however often it was interrupted."""

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from lightning_snn.files import write_text

Row = dict[str, float]
COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "seconds",
)
"""``epoch`` counts from 0; accuracies in [0, 1]; ``learning_rate`` is that of the epoch's first step."""


class History(Callback):
    """Keeps a row an epoch, in the training's checkpoint and in a file that is rewritten whole.

    The checkpoint decides: a row whose epoch was lost with a kill is trained, and written, again.
    """

    def __init__(self, file: Path, seen: Callable[[Row], None]) -> None:
        """Keep the rows.

        Args:
            file: The CSV file.
            seen: Gets every row in order: those of the checkpoint at once, then each at the end of its epoch.
        """
        self.rows: list[Row] = []
        self._file = file
        self._seen = seen
        self._started = 0.0
        self._learning_rate = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the clock and the learning rate."""
        self._started = time.perf_counter()
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row, before the checkpoint of the epoch is written."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row: Row = {
            "epoch": trainer.current_epoch,
            "train_loss": metrics["train_loss"],
            "train_accuracy": metrics["train_accuracy"],
            "validation_loss": metrics["val_loss"],
            "validation_accuracy": metrics["val_accuracy"],
            "learning_rate": self._learning_rate,
            "seconds": time.perf_counter() - self._started,
        }
        self.rows.append(row)
        self._write()
        self._seen(row)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of the checkpoint."""
        self.rows = list(state_dict["rows"])
        self._write()
        for row in self.rows:
            self._seen(row)

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self._file, text.getvalue())
