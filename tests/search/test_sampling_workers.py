"""Samples that worker processes take, one of them killed, equal those of the main process, on the embedded digits."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import pytest

from search.baseline import obtain_baseline
from search.budget import Budget
from search.configuration import load_config
from search.sampling import Sample
from search.sampling import Sampling
from search.sampling import draw_widths
from search.space import build_context
from search.task import SearchTask
from tests.search.killed_workers import one_worker_killed

SETTINGS = (
    "data.train_samples=100",
    "data.validation_samples=50",
    "network.time_steps=2",
    "network.options.plan=[6,M,4,M]",
    "network.options.threshold=0.5",
    "training.epochs=1",
    "training.warmup_epochs=0",
    "finetuning.epochs=1",
    "finetuning.warmup_epochs=0",
    "space.recalibration_batches=1",
    "trainer.accelerator=cpu",
)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_take_the_same_samples_as_one(tmp_path: Path) -> None:
    taken: dict[int, list[Sample]] = {}
    for workers in (1, 2):
        task = SearchTask(load_config([*SETTINGS, f"estimator.workers={workers}"]))
        baseline = obtain_baseline(task, tmp_path / "dense", [])
        budget = Budget.of(baseline.validation.synops.total, fraction=0.5, synops=None)
        context = build_context(baseline, budget, low=0.1, evaluations=1)
        evaluator = baseline.evaluator(task)
        full, low, cost = context.full, context.low, context.cost
        widths = draw_widths(3, seed=0, full=full, low=low, cost=cost, fraction=budget.fraction)
        folder = tmp_path / f"samples-{workers}"
        kill = one_worker_killed(when=lambda: list(folder.glob("*-training"))) if workers > 1 else nullcontext()  # noqa: B023
        with kill, Sampling(evaluator, widths, budget, tmp_path / "dense", folder) as sampling:
            found = sampling.take(range(3), lambda sample: None)
        taken[workers] = [dataclasses.replace(sample, seconds=0.0) for sample in found]
    assert taken[1] == taken[2]
    assert [sample.index for sample in taken[2]] == [0, 1, 2]
    assert all(sample.post != sample.pre > 0.0 for sample in taken[1])
