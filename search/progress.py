"""What a person sees while a run works: one line a phase, alive on a terminal, plain in a file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from typing import Self

import pytorch_lightning as pl
from optuna.trial import FrozenTrial
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn
from rich.progress import TimeRemainingColumn
from rich.table import Column

from search.objective import is_feasible

PLAIN_EVERY = 30.0
"""Seconds between the lines of a phase where there is no terminal, in a log file say."""


class Phase:
    """One phase of a run: a bar on a terminal, else a line now and then."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        """Show the phase."""
        self._progress = progress
        self.name, self.total, self.done, self.news = name, total, 0, ""
        self._bar = progress.add_task(name, total=total, news="")
        self._printed = self.started = time.perf_counter()

    def advance(self, news: str) -> None:
        """Count one step, with what it brought."""
        self.reach(self.done + 1, news)

    def reach(self, done: int, news: str) -> None:
        """Stand at step ``done``, with what the last one brought."""
        self.done, self.news = done, news
        self._progress.update(self._bar, completed=done, news=news)
        if time.perf_counter() - self._printed >= PLAIN_EVERY:
            self._print()

    def finish(self) -> float:
        """Leave the bar full, with the last news; return the seconds that the phase took."""
        steps = max(self.done, 1)
        self._progress.update(self._bar, total=steps, completed=steps, news=self.news)
        self._print()
        return time.perf_counter() - self.started

    def _print(self) -> None:
        if not self._progress.console.is_terminal:
            self._printed = time.perf_counter()
            steps = f"{self.done} of {self.total}" if self.total else f"{self.done}"
            line = f"{self.name:<12} {self._printed - self.started:6.1f} s  {steps:<10} {self.news}"
            self._progress.console.print(line.rstrip(), soft_wrap=True, highlight=False)


class Reporter:
    """Progress of a run: phases one after the other."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``."""
        self.console = console
        self.seconds: dict[str, float] = {}
        """What each finished phase took."""
        self._progress = Progress(
            TextColumn("{task.description:<12}", table_column=Column(no_wrap=True, min_width=12)),
            BarColumn(bar_width=10),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("{task.fields[news]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            expand=True,
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        """Start to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing, so that what follows has the terminal for itself."""
        self._progress.stop()

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Iterator[Phase]:
        """Show a phase while the block runs."""
        phase = Phase(self._progress, name, total)
        yield phase
        self.seconds[name] = phase.finish()


class EpochProgress(Callback):
    """Advances a phase with every training epoch."""

    def __init__(self, phase: Phase) -> None:
        """Take the phase."""
        self._phase = phase

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch's loss and accuracy."""
        metrics: dict[str, Any] = trainer.callback_metrics
        self._phase.reach(
            trainer.current_epoch + 1,
            f"training loss {float(metrics['train_loss']):.3f}, accuracy {float(metrics['train_accuracy']):.1%}",
        )


def trial_news(trial: FrozenTrial, best: FrozenTrial | None) -> str:
    """Return a trial in one line: best feasible accuracy so far, and this trial's SynOps against the budget."""
    if trial.value is None:
        return f"trial {trial.number} failed"
    so_far = f"best {best.user_attrs['accuracy']:.2%}" if best is not None and is_feasible(best) else "none feasible"
    return f"{so_far}; trial {trial.number}: {1.0 + trial.constraints['synops']:.1%} of the budget"
