"""How far off is the estimator, on networks that it was not fitted to?

    python benchmarks/estimator_error.py runs/NAME [--longer 2]

Takes a finished run, fine-tunes four random networks within 10 % of the budget and the search's four best ones with
the run's own recipe, and compares their measured SynOps with the predicted ones (validation data). Searched networks
are a biased choice, so they are shown apart. ``--longer K`` fine-tunes all of them again, K times as long. Writes
``estimator_error.json`` into the run's folder.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.table import Table

from lightning_snn._command import run_command
from lightning_snn.files import write_json
from lightning_snn.seeds import seed_for
from search.baseline import open_baseline
from search.budget import Budget
from search.budget import project
from search.configuration import shared_folders
from search.estimator import Estimator
from search.evaluator import Evaluator
from search.objective import is_feasible
from search.record import read_record
from search.space import SearchContext
from search.space import build_context
from search.space import refine_target_cost
from search.task import SearchTask

RANDOM, SEARCHED, BAND = 4, 4, 0.1


def main() -> int:
    """Measure and print; return the exit code."""
    return run_command(_measure, None, _parser().format_help, after_interrupt="Give the command again.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--longer", type=int, default=1, help="also fine-tune this many times as long")
    parser.add_argument("--data-root", help="folder of the data sets, where the run's own setting was another")
    return parser


def _measure(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(words)
    record = read_record(arguments.run)
    config, samples, estimator = record.config, record.samples, record.estimator
    if arguments.data_root:
        config.data.root = arguments.data_root
    torch.set_num_threads(config.threads)
    dense, _ = shared_folders(config)
    task = SearchTask(config)
    baseline = open_baseline(task, dense)
    budget = Budget.of(baseline.validation.synops.total, fraction=config.budget.target, synops=config.budget.synops)
    context = build_context(baseline, budget, low=config.space.low, evaluations=config.strategy.evaluations)
    context = refine_target_cost(context, samples, estimator, budget)
    chosen = [("random", widths) for widths in random_widths(context, config.seed)]
    chosen += [("searched", widths) for widths in searched_widths(record.trials, context)]
    rows = []
    for times in sorted({1, arguments.longer}):
        for number, (kind, widths) in enumerate(chosen):
            row = measure(baseline.evaluator(task), estimator, budget, widths, times, number)
            rows.append({"kind": kind, **row})
            print(rows[-1], flush=True)
    write_json(arguments.run / "estimator_error.json", {"samples": len(samples), "networks": rows})
    Console().print(summary(rows, len(samples)))
    return 0


def random_widths(context: SearchContext, seed: int) -> list[tuple[int, ...]]:
    """Return widths of random keep ratios whose expected SynOps are 0.9 to 1.1 times the budget."""
    generator = np.random.default_rng(seed_for(seed, "holdout"))
    return [
        tuple(
            project(
                generator.uniform(context.low, 1.0, len(context.full)).tolist(),
                context.full,
                low=context.low,
                cost=context.cost,
                target=context.target_cost * generator.uniform(1 - BAND, 1 + BAND),
            )
        )
        for _ in range(RANDOM)
    ]


def searched_widths(trials: Sequence[FrozenTrial], context: SearchContext) -> list[tuple[int, ...]]:
    """Return the widths of the best feasible trials, each once."""
    feasible = sorted(filter(is_feasible, trials), key=lambda trial: trial.user_attrs["accuracy"], reverse=True)
    widths = dict.fromkeys(tuple(t.user_attrs["widths"][name] for name in context.names) for t in feasible)
    return list(widths)[:SEARCHED]


def measure(
    evaluator: Evaluator, estimator: Estimator, budget: Budget, widths: tuple[int, ...], times: int, number: int
) -> dict[str, Any]:
    """Fine-tune one network and return measured and predicted SynOps as shares of the baseline's."""
    task = evaluator.task
    network = evaluator.prune(widths)
    before = task.measure_validation(network)
    recipe = dataclasses.replace(task.config.finetuning, epochs=times * task.config.finetuning.epochs)
    task.train_(network, recipe, seed=seed_for(task.config.seed, "holdout", number, times))
    after = task.measure_validation(network)
    predicted = estimator.predict(before.synops.total)
    return {
        "times": times,
        "before": before.synops.total / budget.baseline,
        "after": after.synops.total / budget.baseline,
        "predicted": float(predicted.mean) / budget.baseline,
        "upper": float(predicted.upper) / budget.baseline,
        "error": (float(predicted.mean) - after.synops.total) / budget.baseline,
        "accuracy_before": before.accuracy,
        "accuracy_after": after.accuracy,
        "widths": list(widths),
    }


def summary(rows: list[dict[str, Any]], samples: int) -> Table:
    """Return mean absolute error, bias and bound coverage by kind and length of fine-tuning."""
    table = Table(title=f"Estimator fitted to {samples} samples; errors in % of the baseline's SynOps")
    for column in ("fine-tuning", "networks", "count", "mean |error|", "mean error", "within the upper bound"):
        table.add_column(column, justify="right")
    for times in sorted({row["times"] for row in rows}):
        for kind in ("random", "searched", "all"):
            chosen = [row for row in rows if row["times"] == times and kind in (row["kind"], "all")]
            errors = np.array([row["error"] for row in chosen])
            within = sum(row["after"] <= row["upper"] for row in chosen)
            table.add_row(
                f"{times} x", kind, str(len(chosen)), f"{100 * np.abs(errors).mean():.2f}",
                f"{100 * errors.mean():+.2f}", f"{within} of {len(chosen)}",
            )  # fmt: skip
    return table


if __name__ == "__main__":
    raise SystemExit(main())
