"""One search, from a configuration to a smaller network that is measured to meet its budget.

    dense network -> estimator -> search -> fine-tuning -> verification -> artifact and report

Every step leaves files that the next start finds, so that a killed run goes on where it was.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FrozenTrial
from rich.console import Console
from torch import nn

from conf.schema import SearchConfig
from lightning_snn.artifact import digest_of_artifact
from lightning_snn.artifact import save_artifact
from lightning_snn.files import locked
from lightning_snn.files import write_json
from lightning_snn.inference import Evaluation
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Reporter
from lightning_snn.run_folder import RunFolder
from lightning_snn.run_folder import find_run
from lightning_snn.run_folder import say_what_is_unsure
from search.baseline import Baseline
from search.baseline import obtain_baseline
from search.budget import Budget
from search.configuration import run_name
from search.configuration import shared_folders
from search.errors import SearchError
from search.estimator import Estimator
from search.evaluator import Evaluator
from search.finetune import Finetuned
from search.finetune import finetune_within_budget
from search.objective import Objective
from search.objective import best_trial
from search.objective import candidate_of
from search.progress import ENDED
from search.progress import trial_news
from search.record import RunRecord
from search.record import check_attributes
from search.record import write_samples
from search.result import describe_run
from search.result import describe_study
from search.result import result_table
from search.run_page import write_report
from search.sampling import Sample
from search.sampling import Sampling
from search.sampling import draw_widths
from search.space import SearchContext
from search.space import build_context
from search.space import refine_target_cost
from search.strategies import build_strategy
from search.study import RecordedStudy
from search.task import SearchTask
from search.task import check_names
from search.tracking import Tracker
from search.tracking import open_tracker


def run_search(config: SearchConfig, console: Console | None = None) -> dict[str, Any]:
    """Carry out one search, go on with an interrupted one, or show the result of a finished one.

    Args:
        config: Validated settings.
        console: Where progress and the final table go; standard output by default.

    Returns:
        What ``result.json`` holds.

    Raises:
        ConfigError, DataError, NetworkError, SurgeryError, ArtifactError, SearchError: What a user can mend,
            in one sentence.
    """
    console = console or Console(markup=False)
    torch.set_num_threads(config.threads)
    check_names(config)
    task = SearchTask(config)
    run = find_run(Path(config.runs), task.config, run_name)
    if run.is_finished():
        say_what_is_unsure(run, "best", console)
    else:
        with Reporter(console) as reporter:
            _carry_out(task, run, reporter)
    result = run.result()
    console.print(result_table(result))
    held = f"; {run.path / 'best'} holds the network" if (run.path / "best").exists() else ""
    console.print(f"{run.path / 'report.html'} shows the whole run{held}.")
    return result


def _carry_out(task: SearchTask, run: RunFolder, reporter: Reporter) -> None:
    config = task.config
    baseline = dense_network(task, reporter)
    budget = Budget.of(baseline.validation.synops.total, fraction=config.budget.target, synops=config.budget.synops)
    context = build_context(
        baseline,
        budget,
        low=config.space.low,
        evaluations=config.strategy.evaluations,
        batches=task.calibration_batches,
    )
    evaluator = baseline.evaluator(task)
    with run.open():
        with closing(open_tracker(config, run.path)) as tracker:
            samples, estimator = estimate_drift(evaluator, context, budget, reporter, tracker)
            context = refine_target_cost(context, samples, estimator, budget)
            objective = Objective(
                context, evaluator, estimator, budget, config.reward, projection=config.budget.projection
            )
            study = search(objective, run, reporter, tracker)
            tuned = finetune(best_trial(study.trials), evaluator, context, budget, run, reporter)
            tests = verify(task, [baseline.network, tuned.network], reporter)
            result = describe_run(task, baseline, tuned, tests, study, samples, estimator, budget, reporter.seconds)
            save_artifact(run.path / "best", tuned.network.cpu(), task.example, result["result"])
            record = RunRecord(result, study.trials, samples, estimator, config)
            write_samples(run.path, samples)
            write_report(run.path / "report.html", record)
            tracker.finish(record)
        write_json(run.result_file, result)  # last of all: what is told elsewhere is complete by now
        run.drop_checkpoints()


def dense_network(task: SearchTask, reporter: Reporter) -> Baseline:
    """Train the dense network, or load it where it was given or another run trained it."""
    folder, _ = shared_folders(task.config)
    with locked(folder, wait=True), reporter.phase("baseline", task.config.training.epochs) as phase:
        baseline = obtain_baseline(task, folder, [EpochProgress(phase)])
        phase.news = (
            f"validation accuracy {baseline.validation.accuracy:.2%}, {baseline.validation.synops.total:,.0f} SynOps"
        )
    return baseline


def estimate_drift(
    evaluator: Evaluator, context: SearchContext, budget: Budget, reporter: Reporter, tracker: Tracker
) -> tuple[list[Sample], Estimator]:
    """Fine-tune a few pruned networks, and fit what fine-tuning does to their SynOps."""
    dense, folder = shared_folders(evaluator.task.config)
    config = evaluator.task.config.estimator
    with locked(folder, wait=True), reporter.phase("estimator", config.max_samples) as phase:
        widths = draw_widths(
            config.max_samples,
            seed=evaluator.task.config.seed,
            full=context.full,
            low=context.low,
            cost=context.cost,
            fraction=budget.fraction,
        )
        with Sampling(evaluator, widths, budget, dense, folder) as sampling:
            samples, estimator = sampling.until_tight(
                lambda sample: phase.advance(
                    f"{sample.pre / budget.baseline:.1%} -> {sample.post / budget.baseline:.1%}"
                )
            )
        phase.news = f"SynOps after = {estimator.slope:.3f} x before {estimator.intercept:+,.0f}"
    for sample in samples:
        tracker.sample(sample)
    return samples, estimator


def search(objective: Objective, run: RunFolder, reporter: Reporter, tracker: Tracker) -> RecordedStudy:
    """Let the strategy propose until its evaluations are spent; every finished trial is on disk."""
    config = objective.evaluator.task.config
    strategy = config.strategy
    sampler = build_strategy(strategy.name, seed=config.seed, context=objective.context, **strategy.options)
    dense, _ = shared_folders(config)
    about = describe_study(config, objective.budget, digest_of_artifact(dense / "network"))
    study = RecordedStudy(run.path / "study.db", sampler=sampler, space=objective.context.space, about=about)
    check_attributes(study.trials, run.path / "study.db")
    for count, trial in enumerate(study.trials, 1):  # recorded before this start
        if trial.value is not None:
            objective.evaluator.remember(candidate_of(trial, objective.context.names))
        tracker.trial(trial, best_trial(study.trials[:count]))
    with reporter.phase("search", strategy.evaluations) as phase:

        def seen(trial: FrozenTrial) -> None:
            best = best_trial(study.trials[: trial.number + 1])
            phase.reach(study.evaluations, trial_news(trial, best))
            tracker.trial(trial, best)

        study.optimize(objective, strategy.evaluations, seen)
        if study.evaluations < strategy.evaluations:
            phase.news += f"; ended, as {ENDED}"
    return study


def finetune(
    best: FrozenTrial | None,
    evaluator: Evaluator,
    context: SearchContext,
    budget: Budget,
    run: RunFolder,
    reporter: Reporter,
) -> Finetuned:
    """Fine-tune the best feasible candidate, and tighten it while the measurement misses the budget."""
    if best is None:
        raise SearchError(
            "No trial could be measured: all pruned networks were silent or their accuracy was no number. "
            f"Train the dense network longer, or raise {budget.setting}."
        )
    epochs = evaluator.task.config.finetuning.epochs
    with reporter.phase("fine-tuning", epochs) as phase:
        tuned = finetune_within_budget(
            best,
            evaluator,
            context,
            budget,
            run.checkpoints,
            [EpochProgress(phase)],
        )
        phase.news = (
            f"validation accuracy {tuned.validation.accuracy:.2%}, "
            f"{tuned.validation.synops.total / budget.target:.1%} of the budget"
        )
    return tuned


def verify(task: SearchTask, networks: Sequence[nn.Module], reporter: Reporter) -> list[Evaluation]:
    """Measure networks on the test data, once; nothing is decided after it."""
    with reporter.phase("verification", len(networks)) as phase:
        measured = []
        for network in networks:
            measured.append(task.measure_test(network, phase.track))
            phase.advance(f"test accuracy {measured[-1].accuracy:.2%}, {measured[-1].synops.total:,.0f} SynOps")
    return measured
