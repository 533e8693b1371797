"""Progress on a terminal and in a file."""

import io

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from optuna.trial import create_trial
from rich.console import Console

from search import progress
from search.progress import Reporter
from search.progress import trial_news


def trial(value: float | None, accuracy: float, constraint: float) -> FrozenTrial:
    made = create_trial(
        state=TrialState.COMPLETE if value is not None else TrialState.FAIL,
        value=value,
        params={"a": 0.5},
        distributions={"a": FloatDistribution(0.1, 1.0)},
        user_attrs={"accuracy": accuracy, "synops": 1.0},
        constraints={"synops": constraint},
    )
    made.number = 7
    return made


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


def test_news_of_a_trial() -> None:
    feasible, infeasible = trial(0.9, 0.9, -0.01), trial(0.95, 0.95, 0.25)
    assert trial_news(infeasible, feasible) == "best 90.00%; trial 7: 125.0% of the budget"
    assert trial_news(infeasible, infeasible) == "none feasible; trial 7: 125.0% of the budget"
    assert trial_news(trial(None, 0.0, 0.0), feasible) == "trial 7 failed"
