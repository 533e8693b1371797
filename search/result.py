"""``result.json``, and the table that a person sees at the end."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from conf.identity import network_name
from conf.schema import SearchConfig
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_network
from lightning_snn.describe import describe_settings
from lightning_snn.describe import versions
from lightning_snn.inference import Evaluation
from search.baseline import Baseline
from search.budget import Budget
from search.estimator import Estimator
from search.estimator import leave_one_out_errors
from search.finetune import Finetuned
from search.sampling import Sample
from search.study import RecordedStudy
from search.task import SearchTask

NEAR = 0.2
"""Samples count for the reported error when their SynOps lie within this share of the budget."""


def describe_run(
    task: SearchTask,
    baseline: Baseline,
    tuned: Finetuned,
    tests: Sequence[Evaluation],
    study: RecordedStudy,
    samples: Sequence[Sample],
    estimator: Estimator,
    budget: Budget,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return what ``result.json`` holds.

    Args:
        task: Data and settings.
        baseline: The dense network.
        tuned: The fine-tuned one.
        tests: Test measurements of the two, in this order.
        study: All trials.
        samples: What the estimator was fitted to.
        estimator: Fitted.
        budget: In SynOps on validation data.
        seconds: Of the phases that this process went through.
    """
    config = task.config
    dense, small = tests
    target = budget.fraction * dense.synops.total
    chosen = tuned.trial.user_attrs
    spent = {
        "baseline": baseline.seconds,
        "estimator": sum(sample.seconds for sample in samples),
        "search": sum(t.user_attrs["seconds"] + t.user_attrs["proposal_seconds"] for t in study.trials),
        "finetune": seconds["fine-tuning"],
        "verify": seconds["verification"],
    }
    return {
        "schema": 1,
        "strategy": config.strategy.name,
        **describe_settings(task, dense),
        "trials": len(study.trials),
        "evaluations": study.evaluations,
        "kept_whole": dict(baseline.plan.skipped),
        "baseline": describe_network(task, baseline.network, baseline.validation, dense)
        | {"widths": {group.name: group.width for group in baseline.plan.groups}},
        "result": describe_network(task, tuned.network, tuned.validation, small)
        | {"widths": dict(zip((group.name for group in baseline.plan.groups), tuned.widths, strict=True))},
        "budget": {
            "target_fraction": budget.fraction,
            "target_synops": target,
            "validation_target_synops": budget.target,
            "validation_baseline_synops": budget.baseline,
            "met": bool(tuned.met and small.synops.total <= target),
            "tightened": tuned.tightened,
        },
        "estimator": {
            "samples": len(samples),
            "slope": estimator.slope,
            "intercept": estimator.intercept,
            "name": estimator.name,
            "holdout_mae_fraction": holdout_error(samples, budget, estimator.name),
            "predicted_synops": chosen["predicted_synops"],
            "lower": chosen["lower"],
            "upper": chosen["upper"],
        },
        "versions": versions("optuna", "torch-pruning"),
        "seconds": spent | {"total": sum(spent.values())},
    }


def holdout_error(samples: Sequence[Sample], budget: Budget, estimator: str) -> float | None:
    """Return the estimator's mean leave-one-out error near the budget, as a share of the baseline's SynOps.

    None where fewer than four samples were taken or none lies within 20 % of the budget.
    """
    if len(samples) < 4:
        return None
    post = np.array([sample.post for sample in samples])
    errors = leave_one_out_errors(estimator, [sample.pre for sample in samples], post)
    near = np.abs(post / budget.target - 1.0) <= NEAR
    return float(errors[near].mean() / budget.baseline) if near.any() else None


def result_table(result: dict[str, Any]) -> Table:
    """Return the final table: the dense network against the result."""
    before, after, budget = result["baseline"], result["result"], result["budget"]
    verdict = "met" if budget["met"] else "NOT met: infeasible"
    table = Table(
        title=f"{result['data']}, {result['network']}, T={result['time_steps']}, {result['strategy']}, "
        f"seed {result['seed']}: budget of {budget['target_fraction']:.1%} SynOps {verdict}"
    )
    table.caption = notes(result)
    table.add_column("")
    for name in ("dense", "result", "result / dense"):
        table.add_column(name, justify="right")
    rows: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("test accuracy", "test_accuracy", lambda value: f"{value:.2%}"),
        ("validation accuracy", "validation_accuracy", lambda value: f"{value:.2%}"),
        ("SynOps per sample (test)", "synops", lambda value: f"{value:,.0f}"),
        ("parameters", "parameters", lambda value: f"{value:,}"),
        ("MACs per sample (analog layers)", "macs", lambda value: f"{value:,.0f}"),
        ("dense MACs per sample", "dense_macs", lambda value: f"{value:,.0f}"),
        ("size, KiB", "size_bytes", lambda value: f"{value / 1024:,.1f}"),
        ("latency of a batch of 64, ms", "batch_seconds", lambda value: f"{1e3 * value:.2f}"),
    )
    for title, key, show in rows:
        table.add_row(title, show(before[key]), show(after[key]), _compare(key, before[key], after[key]))
    return table


def notes(result: Mapping[str, Any]) -> str:
    """Say what the figures must be read with: the data's split, and what was left out or kept whole."""
    whole = ", ".join(result["kept_whole"])
    return data_notes(result) + (f" Kept whole, as their channels cannot be followed: {whole}." if whole else "")


def _compare(key: str, before: float, after: float) -> str:
    if "accuracy" in key:
        return f"{100 * (after - before):+.2f} points"
    return f"{after / before:.1%}" if before else "-"  # a network without analog layers has no MACs


def describe_study(config: SearchConfig, budget: Budget) -> dict[str, Any]:
    """Return what tells one study from another in Optuna's own tools; SynOps are those on validation data."""
    return {
        "strategy": config.strategy.name,
        "data": config.data.name,
        "network": network_name(config),
        "seed": config.seed,
        "target_synops": budget.target,
        "dense_synops": budget.baseline,
    }
