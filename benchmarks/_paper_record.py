"""The record of a finished row: ``record.json`` and a page, made of what was measured and of nothing else."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _paper_row import Row
from _paper_work import Ledger

from conf.identity import leaves
from conf.schema import SearchConfig
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.files import write_text
from search.run_page import command_of


def write_record(folder: Path, row: Row, configs: Mapping[str, SearchConfig], ledger: Ledger) -> None:
    """Write the record of a row whose strategies are all done.

    Args:
        folder: Where to, such as ``results/paper/<row>``.
        row: The row.
        configs: Strategy -> configuration of its search.
        ledger: Calls, epochs, and trainings that were continued elsewhere.
    """
    results = {
        strategy: read_json(Path(config.runs) / str(config.name) / "result.json")
        for strategy, config in configs.items()
    }
    record = {
        "schema": 1,
        "row": row.name,
        "about": row.about,
        "published": dict(row.published),
        "ours": {strategy: _figures(result) for strategy, result in results.items()},
        "differences": {strategy: _differences(row, configs[strategy], results[strategy]) for strategy in configs},
        "statements": _statements(row, configs, ledger),
        "commands": {strategy: _command(config) for strategy, config in configs.items()},
        "seeds": sorted({config.seed for config in configs.values()}),
        "devices": sorted({call["device"] for call in ledger.values["calls"]}),
        "versions": next(iter(results.values()))["versions"],
        "seconds": _seconds(results, ledger),
        "calls": ledger.values["calls"],
        "results": results,
    }
    write_json(folder / "record.json", record)
    write_text(folder / "README.md", _page(record))


def _figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands beside the published numbers, in percent as they are."""
    dense, small = result["baseline"], result["result"]
    return {
        "accuracy": 100.0 * small["test_accuracy"],
        "dense_accuracy": 100.0 * dense["test_accuracy"],
        "synops": 100.0 * small["synops"] / dense["synops"],
        "parameters": 100.0 * small["parameters"] / dense["parameters"],
        "budget_met": result["budget"]["met"],
        "tightened": result["budget"]["tightened"],
        "evaluations": result["evaluations"],
        "estimator": result["estimator"],
    }


def _differences(row: Row, config: SearchConfig, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    ours = dict(leaves(dataclasses.asdict(config))) | {"estimator.samples": result["estimator"]["samples"]}
    return [
        {"setting": key, "ours": ours[key], "paper": theirs} for key, theirs in row.paper.items() if ours[key] != theirs
    ]


def _statements(row: Row, configs: Mapping[str, SearchConfig], ledger: Ledger) -> list[str]:
    first = next(iter(configs.values()))
    said = [
        f"One seed ({first.seed}); accuracies are those of the last epoch, measured on test data once.",
        "Validation images are carved off the training images; every decision was made on them.",
        f"The estimator's samples and the result are fine-tuned alike, for {first.finetuning.epochs} epochs.",
    ]
    if row.round_dense:
        said.append(
            "The dense network's weights were rounded to bfloat16 once it was trained, before anything was measured: "
            "all of its figures are those of the rounded network, and every pruned one is cut from it."
        )
    for each in ledger.values["continued"]:
        folder = Path(each["path"]).parent
        recipe = first.training if folder.name == "training" else first.finetuning
        if each["epoch"] < recipe.epochs:
            said.append(
                f"The training in {folder.as_posix()} went on after {each['epoch']} of {recipe.epochs} epochs on "
                "another machine, with a fresh optimizer: momentum does not travel."
            )
    return list(dict.fromkeys(said))


def _seconds(results: Mapping[str, Mapping[str, Any]], ledger: Ledger) -> dict[str, Any]:
    calls = [call["seconds"] for call in ledger.values["calls"]]
    epochs = ledger.values["epochs"]
    return {
        "calls": sum(seconds for seconds in calls if seconds is not None),
        "calls_that_were_killed": calls.count(None),
        "by_strategy": {strategy: result["seconds"] for strategy, result in results.items()},
        "dense_epoch": sum(e["seconds"] for e in epochs) / len(epochs) if epochs else None,
        "dense_step": sum(e["seconds"] for e in epochs) / sum(e["steps"] for e in epochs) if epochs else None,
    }


def _command(config: SearchConfig) -> str:
    """Return the search's command, with folders that are nobody's."""
    return command_of(dataclasses.replace(config, runs="runs", data=dataclasses.replace(config.data, root="data")))


def _page(record: Mapping[str, Any]) -> str:
    published, seconds = record["published"], record["seconds"]
    lines = [
        f"# {record['about']}",
        "",
        "Written by `benchmarks/paper_run.py`; `record.json` holds every figure, the settings and the versions.",
        "",
        "| | SynOps, % of dense | parameters, % of dense | test accuracy, % | dense test accuracy, % | budget |",
        "|---|---:|---:|---:|---:|---|",
        f"| published | {published['synops']} | {published['parameters']} | {published['accuracy']} | not stated | |",
    ]
    for strategy, ours in record["ours"].items():
        lines.append(
            f"| ours, `{strategy}` | {ours['synops']:.1f} | {ours['parameters']:.1f} | {ours['accuracy']:.2f} "
            f"| {ours['dense_accuracy']:.2f} | {'met' if ours['budget_met'] else 'NOT met: infeasible'} |"
        )
    lines += ["", f"Published: {published['source']}.", "", "## What differs from the paper", ""]
    for strategy, differences in record["differences"].items():
        each = [f"{d['setting']} {d['ours']} (paper: {d['paper']})" for d in differences]
        lines.append(f"- `{strategy}`: {'; '.join(each) or 'nothing that the paper states'}.")
    lines += ["", "## What to know", "", *(f"- {each}" for each in record["statements"]), "", "## Estimator", ""]
    for strategy, ours in record["ours"].items():
        fit = ours["estimator"]
        error = fit["holdout_mae_fraction"]
        left_out = "not known" if error is None else f"{100 * error:.2f} % of the dense network's SynOps"
        lines.append(
            f"- `{strategy}`: {fit['samples']} samples, SynOps after = {fit['slope']:.3f} x before "
            f"{fit['intercept']:+,.0f}; leave-one-out error near the budget: {left_out}."
        )
    lines += ["", "## Time", ""]
    killed = seconds["calls_that_were_killed"]
    lines.append(
        f"{seconds['calls']:,.0f} s in {len(record['calls']) - killed} calls"
        f"{f', and {killed} that were killed' if killed else ''}, on {', '.join(record['devices'])}."
    )
    if seconds["dense_epoch"] is not None:
        lines.append(
            f"An epoch of the dense network took {seconds['dense_epoch']:.2f} s, a training step "
            f"{1000 * seconds['dense_step']:.1f} ms."
        )
    lines += ["", "| phase, s | " + " | ".join(f"`{s}`" for s in record["ours"]) + " |"]
    lines.append("|---|" + "---:|" * len(record["ours"]))
    for phase in ("baseline", "estimator", "search", "finetune", "verify"):
        times = (f"{by[phase]:,.0f}" for by in seconds["by_strategy"].values())
        lines.append(f"| {phase} | " + " | ".join(times) + " |")
    lines += ["", "Of a phase that was interrupted, the process that finished it.", "", "## Commands", ""]
    lines += [f"    {command}" for command in record["commands"].values()]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return "\n".join([*lines, "", f"With {versions}.", ""])
