"""Progress on a terminal and in a file."""

import io
import re
from types import SimpleNamespace
from typing import cast

import pytest
import pytorch_lightning as pl
from rich.console import Console

from lightning_snn import progress
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Phase
from lightning_snn.progress import Reporter
from lightning_snn.progress import WithinStep


def test_a_file_gets_a_line_for_each_phase() -> None:
    stream = io.StringIO()
    with Reporter(Console(file=stream, width=40)) as reporter, reporter.phase("search", 3) as phase:
        phase.advance("first")
        phase.advance("second, with more words than the forty columns of this console hold")
    (line,) = stream.getvalue().splitlines()
    assert line.split()[0] == "search"
    assert "2 of 3" in line
    assert line.endswith("second, with more words than the forty columns of this console hold")


def test_a_long_phase_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    stream = io.StringIO()
    with Reporter(Console(file=stream)) as reporter, reporter.phase("baseline", 2) as phase:
        phase.advance("one")
        phase.advance("two")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["one", "two", "two"]


def test_a_terminal_gets_bars() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    with Reporter(console) as reporter, reporter.phase("search", 4) as phase:
        phase.reach(4, "best 91 %")
    assert "4/4" in stream.getvalue()
    assert "best 91 %" in stream.getvalue()


def test_phases_are_timed() -> None:
    with Reporter(Console(file=io.StringIO())) as reporter, reporter.phase("search"):
        pass
    assert 0.0 <= reporter.seconds["search"] < 60.0


@pytest.mark.parametrize("news", ["validation 91.2%, loss 0.312", "batch 1234 of 5678, loss 0.312", "x" * 200])
def test_a_line_fits_a_narrow_terminal(news: str) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    with Reporter(console) as reporter, reporter.phase("training", 210) as phase:
        phase.reach(210, news)
    assert news in stream.getvalue() or news.startswith("x")
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", stream.getvalue())]
    assert 70 < max(len(line) for line in lines) <= 80


def test_a_phase_may_learn_later_how_many_steps_it_has() -> None:
    stream = io.StringIO()
    with Reporter(Console(file=stream)) as reporter, reporter.phase("samples") as phase:
        phase.expect(4)
        phase.advance("the first")
    assert "1 of 4" in stream.getvalue()


def test_epochs_within_a_step_are_news_and_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    stream = io.StringIO()
    with Reporter(Console(file=stream, width=80)) as reporter, reporter.phase("samples", 9) as phase:
        phase.advance("the first")
        shown = EpochProgress(WithinStep(phase, "seed 1: dense network", 20))
        shown.on_load_checkpoint(trainer(), cast(pl.LightningModule, None), {"epoch": 2})  # the third
        shown.on_train_epoch_end(trainer(train_loss=2.0, train_accuracy=0.25), cast(pl.LightningModule, None))
    assert phase.done == 1
    assert [line.split("  ")[-1].strip() for line in stream.getvalue().splitlines()[1:-1]] == [
        "seed 1: dense network, epoch 3 of 20: goes on after it",
        "seed 1: dense network, epoch 4 of 20: training 25.0%, loss 2.000",
    ]


def test_batches_go_by_and_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    stream = io.StringIO()
    with Reporter(Console(file=stream, width=80)) as reporter, reporter.phase("measuring", 2) as phase:
        assert list(phase.track(["a", "b"])) == ["a", "b"]
        phase.advance("90 %")
    seen = [line.split(" s  ")[1].split(maxsplit=3) for line in stream.getvalue().splitlines()]
    assert [words[-1] for words in seen] == ["batch 1 of 2", "batch 2 of 2", "90 %", "90 %"]
    assert [words[0] for words in seen] == ["0", "0", "1", "1"]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_training_that_goes_on_says_so_once(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, color_system=None)
    with Reporter(console) as reporter, reporter.phase("training", 20) as phase:
        shown = EpochProgress(phase)
        shown.on_load_checkpoint(trainer(), cast(pl.LightningModule, None), {"epoch": 5})  # the sixth
        assert phase.done == 6
        phase.reach(20, "validation 90.0%, loss 0.100")
    assert stream.getvalue().count("training     goes on after epoch 6 of 20\n") == 1
    if not terminal:
        assert len(stream.getvalue().splitlines()) == 2


class Seen(Phase):
    """Keeps what is reached."""

    def __init__(self) -> None:
        self.reached: list[tuple[int, str, float]] = []

    def reach(self, done: int, news: str, share: float = 0.0) -> None:
        self.reached.append((done, news, share))


def trainer(**metrics: float) -> pl.Trainer:
    found = SimpleNamespace(current_epoch=3, num_training_batches=4, num_val_batches=[2], callback_metrics=metrics)
    return cast(pl.Trainer, found)


def test_an_epoch_is_shown_by_validation_where_it_is_looked_at() -> None:
    module, seen = cast(pl.LightningModule, None), Seen()
    both = {"train_loss": 2.0, "train_accuracy": 0.25, "val_loss": 1.5, "val_accuracy": 0.5}
    EpochProgress(seen).on_train_epoch_end(trainer(**both), module)
    EpochProgress(seen).on_train_epoch_end(trainer(train_loss=2.0, train_accuracy=0.25), module)
    assert [news for _, news, _ in seen.reached] == ["validation 50.0%, loss 1.500", "training 25.0%, loss 2.000"]
    assert {done for done, _, _ in seen.reached} == {4}


def test_a_long_epoch_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    module, seen = cast(pl.LightningModule, None), Seen()
    shown = EpochProgress(seen)
    shown.on_train_batch_end(trainer(), module, {"loss": 2.0}, None, 0)  # too soon to be looked at
    assert seen.reached == []
    monkeypatch.setattr(progress, "LIVE_EVERY", 0.0)
    shown.on_train_batch_end(trainer(), module, {"loss": 2.0}, None, 2)
    shown.on_validation_batch_end(trainer(), module, None, None, 0)
    assert seen.reached == [(3, "batch 3 of 4, loss 2.000", 0.75), (3, "validating batch 1 of 2", 1.0)]
