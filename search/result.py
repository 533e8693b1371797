"""``result.json``, and the table that a person sees at the end."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from conf.identity import network_name
from conf.schema import SearchConfig
from lightning_snn._class_balance import balance_note
from lightning_snn._class_balance import balance_rows
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_network
from lightning_snn.describe import describe_settings
from lightning_snn.describe import percent
from lightning_snn.describe import share_of
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
BEFORE_AND_AFTER = ("", "dense", "result", "result / dense")


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
    budget = result["budget"]
    verdict = "met" if budget["met"] else "NOT met: infeasible"
    table = Table(
        title=f"{result['data']}, {result['network']}, T={result['time_steps']}, {result['strategy']}, "
        f"seed {result['seed']}: budget of {100 * budget['target_fraction']:.1f} % SynOps {verdict}"
    )
    table.caption = notes(result)
    table.add_column("")
    for name in BEFORE_AND_AFTER[1:]:
        table.add_column(name, justify="right")
    for row in before_and_after(result):
        table.add_row(*row)
    return table


def before_and_after(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return rows of texts, with columns :data:`BEFORE_AND_AFTER`, from what ``result.json`` holds."""
    dense, small = result["baseline"], result["result"]
    rows: list[tuple[str, ...]] = [
        (
            title,
            f"{100 * dense[key]:.2f} %",
            f"{100 * small[key]:.2f} %",
            f"{100 * (small[key] - dense[key]):+.2f} points",
        )
        for title, key in (("test accuracy", "test_accuracy"), ("validation accuracy", "validation_accuracy"))
    ]
    rows += [(title, *cells, "") for title, *cells in balance_rows([dense, small], sign=" %")]
    for title, key, scale, digits in (
        ("SynOps per sample (test)", "synops", 1.0, 0),
        ("parameters", "parameters", 1.0, 0),
        ("MACs per sample (analog layers)", "macs", 1.0, 0),
        ("dense MACs per sample", "dense_macs", 1.0, 0),
        ("size, KiB", "size_bytes", 1.0 / 1024.0, 1),
        ("latency of a batch of 64, ms", "batch_seconds", 1000.0, 2),
    ):
        before, after = scale * dense[key], scale * small[key]
        share = after / before if key == "batch_seconds" else share_of(after, before)  # without analog layers: no MACs
        rows.append((title, f"{before:,.{digits}f}", f"{after:,.{digits}f}", percent(share)))
    return rows


def notes(result: Mapping[str, Any]) -> str:
    """Say what the figures must be read with: the data's split and classes, and what was left out or kept whole."""
    whole = ", ".join(result["kept_whole"])
    parts = (
        data_notes(result),
        f"Kept whole, as their channels cannot be followed: {whole}." if whole else "",
        balance_note({"dense": result["baseline"], "result": result["result"]}),
    )
    return " ".join(filter(None, parts))


def describe_study(config: SearchConfig, budget: Budget, dense: str) -> dict[str, Any]:
    """Return what tells one study from another, here and in Optuna's own tools.

    Args:
        config: Of the search.
        budget: In SynOps on validation data.
        dense: Digest of the dense network: trials of one are none of another.
    """
    return {
        "strategy": config.strategy.name,
        "data": config.data.name,
        "network": network_name(config),
        "seed": config.seed,
        "target_synops": budget.target,
        "dense_synops": budget.baseline,
        "dense_network": dense,
    }
