"""Fine-tuning against the budget, with an evaluator whose networks cost what the test says."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial
from optuna.trial import create_trial

from search.budget import Budget
from search.finetune import finetune_within_budget
from tests.search.strategies.conformance import WIDTHS
from tests.search.strategies.conformance import make_context

CONTEXT = make_context()
DENSE = CONTEXT.cost(CONTEXT.full)
BUDGET = Budget(target=0.5 * DENSE, baseline=DENSE)


@dataclass
class Bench:
    """Stands for evaluator and task: fine-tuned SynOps are ``drift`` times the static cost."""

    drift: float
    standard_error: float = 0.0
    tightenings: int = 3

    def __post_init__(self) -> None:
        self.tuned: list[tuple[int, ...]] = []
        self.folders: list[str] = []
        self.seeds: list[int] = []
        budget = SimpleNamespace(tightenings=self.tightenings)
        self.task = SimpleNamespace(
            config=SimpleNamespace(budget=budget, seed=0, finetuning=None),
            train_=self.train,
            measure_validation=self.measure,
        )

    def prune(self, widths: tuple[int, ...]) -> tuple[int, ...]:
        return widths

    def train(self, network: tuple[int, ...], recipe: None, *, seed: int, checkpoints: Path, callbacks: Any) -> None:
        self.tuned.append(network)
        self.folders.append(checkpoints.name)
        self.seeds.append(seed)

    def measure(self, network: tuple[int, ...]) -> SimpleNamespace:
        total = self.drift * CONTEXT.cost(network)
        return SimpleNamespace(synops=SimpleNamespace(total=total, standard_error=self.standard_error))


def trial(widths: tuple[int, ...]) -> FrozenTrial:
    return create_trial(
        value=0.9,
        params=dict.fromkeys(WIDTHS, 0.5),
        distributions=dict.fromkeys(WIDTHS, FloatDistribution(0.1, 1.0)),
        user_attrs={
            "widths": dict(zip(WIDTHS, widths, strict=True)),
            "accuracy": 0.9,
            "synops": 1.0,
            "parameters": 1,
            "seconds": 0.0,
        },
    )


def tune(bench: Bench, widths: tuple[int, ...], folder: Path) -> Any:
    # a stand-in for the evaluator
    return finetune_within_budget(trial(widths), bench, CONTEXT, BUDGET, folder, [])  # type: ignore[arg-type]  # a bench that is made up


WITHIN = (5, 10, 18)


def test_a_network_within_the_budget_is_tuned_once(tmp_path: Path) -> None:
    bench = Bench(drift=1.0)
    done = tune(bench, WITHIN, tmp_path)
    assert CONTEXT.cost(WITHIN) <= BUDGET.target
    assert (done.met, done.tightened, done.widths, bench.tuned) == (True, 0, WITHIN, [WITHIN])


def test_a_network_that_grew_is_made_smaller_until_it_fits(tmp_path: Path) -> None:
    bench = Bench(drift=1.2)
    done = tune(bench, WITHIN, tmp_path)
    assert done.met
    assert 1 <= done.tightened <= 3
    assert 1.2 * CONTEXT.cost(done.widths) <= BUDGET.target
    assert 1.2 * CONTEXT.cost(done.widths) >= 0.85 * BUDGET.target  # not smaller than it needs to be
    assert bench.folders == [f"attempt-{attempt}" for attempt in range(done.tightened + 1)]
    assert len(set(bench.seeds)) == len(bench.seeds)


def test_two_standard_errors_count(tmp_path: Path) -> None:
    spare = BUDGET.target - CONTEXT.cost(WITHIN)
    assert tune(Bench(drift=1.0, standard_error=0.49 * spare), WITHIN, tmp_path).tightened == 0
    assert tune(Bench(drift=1.0, standard_error=0.51 * spare), WITHIN, tmp_path).tightened == 1


@pytest.mark.parametrize("tightenings", [0, 2])
def test_a_budget_that_cannot_be_met_is_said_not_to_be(tightenings: int, tmp_path: Path) -> None:
    bench = Bench(drift=1e6, tightenings=tightenings)
    done = tune(bench, WITHIN, tmp_path)
    assert not done.met
    assert len(bench.tuned) <= tightenings + 1
