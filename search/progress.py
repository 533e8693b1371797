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
from rich.progress import SpinnerColumn
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn
from rich.progress import TimeRemainingColumn

from search.objective import is_feasible


class Phase:
    """One phase of a run, with a known number of steps."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        """Show the phase."""
        self._progress = progress
        self.name, self.total, self.done, self.news = name, total, 0, ""
        self._bar = progress.add_task(name, total=total, news="")

    def advance(self, news: str) -> None:
        """Count one step, with what it brought."""
        self.done, self.news = self.done + 1, news
        self._progress.update(self._bar, advance=1, news=news)

    def reach(self, done: int, news: str) -> None:
        """Stand at step ``done``, with what the last one brought."""
        self.done, self.news = done, news
        self._progress.update(self._bar, completed=done, news=news)

    def finish(self) -> None:
        """Leave the bar full, with the last news."""
        steps = max(self.done, 1)
        self._progress.update(self._bar, total=steps, completed=steps, news=self.news)


class Reporter:
    """Progress of a run: phases one after the other."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``."""
        self.console = console
        self.seconds: dict[str, float] = {}
        """What each finished phase took."""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
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
        """Show a phase while the block runs; where there is no terminal, one line when it is over."""
        phase, started = Phase(self._progress, name, total), time.perf_counter()
        yield phase
        phase.finish()
        self.seconds[name] = time.perf_counter() - started
        if not self.console.is_terminal:
            steps = f"{phase.done} of {phase.total}" if phase.total else f"{phase.done}"
            self.console.print(f"{name}: {steps} {phase.news}".rstrip())


class EpochProgress(Callback):
    """Advances a phase with every training epoch."""

    def __init__(self, phase: Phase) -> None:
        """Take the phase."""
        self._phase = phase

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch's loss and accuracy."""
        metrics: dict[str, Any] = trainer.callback_metrics
        self._phase.advance(
            f"training loss {float(metrics['train_loss']):.3f}, accuracy {float(metrics['train_accuracy']):.1%}"
        )


def trial_news(trial: FrozenTrial, best: FrozenTrial | None) -> str:
    """Return a trial in one line: best feasible accuracy so far, and this trial's SynOps against the budget."""
    if trial.value is None:
        return f"trial {trial.number} failed"
    so_far = f"best {best.user_attrs['accuracy']:.2%}" if best is not None and is_feasible(best) else "none feasible"
    return f"{so_far}; trial {trial.number}: {1.0 + trial.constraints['synops']:.1%} of the budget"
