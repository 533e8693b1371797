"""What a person sees while a run works: one line a phase, alive on a terminal, plain in a file."""

import time
from collections.abc import Iterator
from collections.abc import Sized
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from typing import Protocol
from typing import Self
from typing import TypeVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeElapsedColumn
from rich.progress import TimeRemainingColumn
from rich.table import Column

PLAIN_FIRST, PLAIN_EVERY = 2.0, 30.0
"""Seconds to the first line of a phase, and between all others, where there is no terminal, in a log file say."""
LIVE_EVERY = 0.5
"""Seconds between looks at an epoch's batches; the loss must be fetched from the device for each."""
Item = TypeVar("Item", covariant=True)


class SizedIterable(Sized, Protocol[Item]):
    """What a loader is."""

    def __iter__(self) -> Iterator[Item]:
        """Go through it once."""
        ...


class Steps(Protocol):
    """What a training tells how far it is."""

    def reach(self, done: int, news: str, share: float = 0.0) -> None:
        """Stand at step ``done``, with what the last one brought and ``share`` of the next one behind it."""
        ...

    def go_on(self, done: int) -> None:
        """Stand behind the first ``done`` steps, which are an earlier start's."""
        ...


class Phase:
    """One phase of a run: a bar on a terminal, else a line now and then."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        """Show the phase."""
        self._progress = progress
        self.name, self.total, self.done, self.news = name, total, 0, ""
        self._bar = progress.add_task(name, total=total, news="", steps=self._steps())
        self.started = time.perf_counter()
        self._next_line = self.started + min(PLAIN_FIRST, PLAIN_EVERY)

    def expect(self, total: int) -> None:
        """Learn how many steps there are."""
        self.total = total
        self._progress.update(self._bar, total=total, steps=self._steps())

    def advance(self, news: str) -> None:
        """Count one step, with what it brought."""
        self.reach(self.done + 1, news)

    def reach(self, done: int, news: str, share: float = 0.0) -> None:
        """Stand at step ``done``, with what the last one brought and ``share`` of the next one behind it."""
        self.done, self.news = done, news
        self._progress.update(self._bar, completed=done + share, news=news, steps=self._steps())
        if time.perf_counter() >= self._next_line:
            self._print(self._count())

    def go_on(self, done: int) -> None:
        """Say once, in a line that stays, that the first ``done`` steps are an earlier start's; stand behind them."""
        self._progress.console.print(
            f"{self.name:<12} goes on after epoch {done} of {self.total}", soft_wrap=True, highlight=False
        )
        self.reach(done, "")

    def track(self, batches: SizedIterable[Item]) -> Iterator[Item]:
        """Yield each batch of a step, and show how far it is."""
        done = self.done
        for index, batch in enumerate(batches):
            yield batch
            self.reach(done, f"batch {index + 1} of {len(batches)}", (index + 1) / len(batches))

    def finish(self) -> float:
        """Leave the bar full, with the last news; return the seconds that the phase took."""
        steps = max(self.done, 1)
        self._progress.update(self._bar, total=steps, completed=steps, news=self.news, steps=f"{steps}/{steps}")
        self._print(self._count() if self.done else "")  # what is loaded has no steps
        return time.perf_counter() - self.started

    def _steps(self) -> str:
        return f"{self.done}/{self.total}" if self.total else ""

    def _count(self) -> str:
        return f"{self.done} of {self.total}" if self.total else ""

    def _print(self, count: str) -> None:
        if not self._progress.console.is_terminal:
            now = time.perf_counter()
            self._next_line = now + PLAIN_EVERY
            line = f"{self.name:<12} {now - self.started:6.1f} s  {count:<10} {self.news}"
            self._progress.console.print(line.rstrip(), soft_wrap=True, highlight=False)


class WithinStep:
    """Epochs of a training that is part of one step of a phase: they are its news, and count no steps."""

    def __init__(self, phase: Phase, what: str, epochs: int) -> None:
        """Take the phase, and what is trained."""
        self._phase, self._what, self._epochs = phase, what, epochs

    def reach(self, done: int, news: str, share: float = 0.0) -> None:
        """Say which epoch is at work, or just done where there is no share of the next one."""
        epoch = done + 1 if share > 0.0 else done
        self._phase.reach(self._phase.done, f"{self._what}, epoch {epoch} of {self._epochs}: {news}")

    def go_on(self, done: int) -> None:
        """Say that an interrupted training goes on."""
        self.reach(done, "goes on after it")


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
            TextColumn("{task.fields[steps]:>7}", table_column=Column(no_wrap=True, min_width=7)),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
            TextColumn(
                "{task.fields[news]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
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
    """Advances a phase with every training epoch, and within it."""

    def __init__(self, phase: Steps) -> None:
        """Take the phase, or the step that epochs are part of."""
        self._phase = phase
        self._looked = time.perf_counter()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say that an interrupted training goes on; its checkpoint counts epochs from 0."""
        self._phase.go_on(int(checkpoint["epoch"]) + 1)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show now and then how far the epoch is."""
        if self._is_due():
            done, batches = batch_idx + 1, int(trainer.num_training_batches)
            news = f"batch {done} of {batches}, loss {float(outputs['loss']):.3f}"
            self._phase.reach(trainer.current_epoch, news, done / batches)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show now and then how far its validation is."""
        if self._is_due():
            news = f"validating batch {batch_idx + 1} of {int(trainer.num_val_batches[0])}"
            self._phase.reach(trainer.current_epoch, news, 1.0)

    def _is_due(self) -> bool:
        due = time.perf_counter() - self._looked >= LIVE_EVERY
        if due:
            self._looked = time.perf_counter()
        return due

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch's loss and accuracy: on validation data where they are looked at."""
        metrics: dict[str, Any] = trainer.callback_metrics
        stage, name = ("val", "validation") if "val_accuracy" in metrics else ("train", "training")
        loss, accuracy = float(metrics[f"{stage}_loss"]), float(metrics[f"{stage}_accuracy"])
        self._phase.reach(trainer.current_epoch + 1, f"{name} {accuracy:.1%}, loss {loss:.3f}")
