"""What is reported of a pruned network: its figures beside the dense network's, and what the savings are made of.

    SynOps / SynOps of the dense network = connectivity factor x firing-rate factor

The first counts the dense network's spikes over the synapses that are left; the second is what the pruned network's
own spikes make of it. The split is exact. Source: ours; asked for by reviewers of other methods.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from typing import cast

import torch
from torch import nn

from conf.schema import TrainConfig
from lightning_snn._class_balance import balance_note
from lightning_snn._class_balance import balance_rows
from lightning_snn._fan_out import weighted_layers
from lightning_snn._markdown import markdown_table
from lightning_snn._synops_report import SynOpsReport
from lightning_snn.connectivity import connectivity
from lightning_snn.connectivity import sparsity
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_network
from lightning_snn.describe import describe_settings
from lightning_snn.describe import share_of
from lightning_snn.describe import versions
from lightning_snn.firing_rates import RateMeter
from lightning_snn.forward import to_time_first
from lightning_snn.inference import Evaluation
from lightning_snn.progress import Phase
from lightning_snn.progress import SizedIterable
from lightning_snn.pruners.masks import Masks
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.pruners.pruner import Pruner
from lightning_snn.synops import SynOpsMeter
from lightning_snn.task import Batch
from lightning_snn.task import Task


@dataclass(frozen=True)
class Measured:
    """A network with its figures."""

    network: nn.Module
    validation: Evaluation
    test: Evaluation
    rates: dict[str, float]
    """Firing rates on test data, by layer of neurons."""


def measure_network(task: Task, network: nn.Module, phase: Phase) -> Measured:
    """Measure a network on validation and test data."""
    validation = task.measure_validation(network, phase.track)
    phase.advance(f"validation accuracy {validation.accuracy:.2%}")
    with RateMeter(network) as meter:
        test = task.measure_test(network, phase.track)
    phase.advance(f"test accuracy {test.accuracy:.2%}, {test.synops.total:,.0f} SynOps")
    return Measured(network, validation, test, meter.rates())


def measure_dense(task: Task, dense: nn.Module, left: Masks, phase: Phase) -> tuple[Measured, SynOpsReport]:
    """Measure the dense network, and what its spikes would cost on test data over the synapses that are ``left``."""
    synapses = copy.deepcopy(dense.to(task.device))
    with torch.no_grad():
        for name, layer in weighted_layers(synapses).items():
            layer.weight.copy_(left[name])
    counted = SynOpsMeter(dense, first_layer=task.first_layer, analog_hidden=task.analog_hidden, synapses=synapses)

    def announced(batches: SizedIterable[Batch]) -> Iterator[Batch]:
        for x, y_B in phase.track(batches):
            counted.start_batch(*to_time_first(x, task.time_steps).shape[:2])
            yield x, y_B

    validation = task.measure_validation(dense, phase.track)
    phase.advance(f"validation accuracy {validation.accuracy:.2%}")
    with RateMeter(dense) as meter, counted:
        test = task.measure_test(dense, announced)
    phase.advance(f"test accuracy {test.accuracy:.2%}, {test.synops.total:,.0f} SynOps")
    return Measured(dense, validation, test, meter.rates()), counted.report()


def describe_pruned(
    task: Task,
    pruner: Pruner,
    pruned: Pruned,
    dense: Measured,
    result: Measured,
    static: SynOpsReport,
    share: float,
) -> dict[str, Any]:
    """Return what ``result.json`` holds, but for the seconds.

    Args:
        task: Data and settings.
        pruner: Who pruned.
        pruned: What was left.
        dense: The dense network, measured.
        result: The pruned network, fine-tuned and measured.
        static: What the dense network's spikes cost over the synapses that are left.
        share: Of the dense SynOps, on training data, after the last cut and before its fine-tuning.
    """
    config = cast(TrainConfig, task.config)
    synops, target = result.test.synops.total, pruner.target
    is_given = config.baseline.artifact is not None and not pruner.trains
    trained = None if is_given else config.training.epochs
    return {
        "schema": 1,
        "pruner": config.pruning.name,
        "options": config.pruning.options,
        **describe_settings(task, result.test),
        "epochs": {"training": trained, "finetuning": pruner.rounds * config.finetuning.epochs},
        "baseline": describe_network(task, dense.network, dense.validation, dense.test)
        | {"connectivity": 1.0 - sparsity(dense.network), "sparsity": sparsity(dense.network)},
        "result": describe_network(task, result.network, result.validation, result.test)
        | {
            "synops_share": _or_none(share_of(synops, dense.test.synops.total)),
            "synops_share_before_finetuning": share,
            "connectivity_factor": _or_none(share_of(static.total, dense.test.synops.total)),
            "rate_factor": _or_none(share_of(synops, static.total)),
            "connectivity": connectivity(result.network, dense.network),
            "sparsity": sparsity(result.network),
        },
        "budget": None
        if target is None
        else {
            "target_fraction": target,
            "target_synops": target * dense.test.synops.total,
            "met": synops <= target * dense.test.synops.total,
        },
        "layers": {
            name: {
                "dense": layer.operations,
                "static": static.layers[name].operations,
                "result": result.test.synops.layers[name].operations,
            }
            for name, layer in dense.test.synops.layers.items()
        },
        "notes": dict(pruned.notes),
        "firing_rates": {"baseline": dense.rates, "result": result.rates},
        "versions": versions("torch-pruning"),
    }


def pruned_table(result: dict[str, Any]) -> str:
    """Return the figures of a pruned network beside the dense one's, as a Markdown table with its notes."""
    before, after = result["baseline"], result["result"]
    title = f"{result['data']}, {result['network']}, T={result['time_steps']}, {_method(result)}, seed {result['seed']}"
    points = 100.0 * (after["test_accuracy"] - before["test_accuracy"])
    rows = [
        ("test accuracy", f"{before['test_accuracy']:.2%}", f"{after['test_accuracy']:.2%}", f"{points:+.2f} points"),
        ("validation accuracy", f"{before['validation_accuracy']:.2%}", f"{after['validation_accuracy']:.2%}", ""),
        *((*row, "") for row in balance_rows([before, after])),
        ("SynOps per sample (test)", *_both(before["synops"], after["synops"])),
        ("- factor: connections", "", "", _share_said(after["connectivity_factor"], "x ")),
        ("- factor: firing rates", "", "", _share_said(after["rate_factor"], "x ")),
        ("parameters, zeros included", *_both(before["parameters"], after["parameters"])),
        ("connectivity", f"{before['connectivity']:.1%}", f"{after['connectivity']:.1%}", ""),
        ("sparsity of the weights", f"{before['sparsity']:.1%}", f"{after['sparsity']:.1%}", ""),
    ]
    table = markdown_table((title, "dense", "pruned", "pruned / dense"), rows)
    notes = [_notes(result), data_notes(result), balance_note({"dense": before, "pruned": after})]
    return "\n".join([f"{table}\n", *filter(None, notes)])


def _method(result: dict[str, Any]) -> str:
    """Return the pruner with its options, so that a table says what was done."""
    options = [f"{key}={value}" for key, value in result["options"].items()]
    budget = [] if result["budget"] is None else [f"target {100.0 * result['budget']['target_fraction']:g} %"]
    pattern = [result["notes"]["pattern"]] if "pattern" in result["notes"] else []
    said = ", ".join([*budget, *pattern, *(option for option in options if option[:2] not in ("n=", "m="))])
    return f"{result['pruner']} ({said})" if said else str(result["pruner"])


def _notes(result: dict[str, Any]) -> str:
    """Say what the figures mean, whether the target holds, and what was not pruned."""
    after, budget = result["result"], result["budget"]
    epochs = result["epochs"]["training"]
    trained = "a network that was given" if epochs is None else f"{epochs} of training"
    said = (
        "Factors: the dense network's spikes over the connections that are left, and what the pruned network's own "
        "spikes make of it. Connectivity: live weights as a share of all weights of the dense structure. Sparsity: "
        f"zeros as a share of the network's own weights. Epochs: {trained}, then {result['epochs']['finetuning']} of "
        "fine-tuning."
    )
    if budget is not None:
        verdict = "met" if budget["met"] else "NOT met"
        said += (
            f" Target of {100.0 * budget['target_fraction']:g} % SynOps: {verdict}; "
            f"{after['synops_share_before_finetuning']:.1%} after the cut (training data), "
            f"{_share_said(after['synops_share'])} after fine-tuning (test data)."
        )
        if not budget["met"]:
            said += " Ask for less with --pruning.target, or let a search hold the budget."
    skipped = ", ".join(f"{name} ({reason})" for name, reason in result["notes"].get("skipped", {}).items())
    return f"{said} Not pruned: {skipped}." if skipped else said


def _both(before: float, after: float) -> tuple[str, str, str]:
    return f"{before:,.0f}", f"{after:,.0f}", _share_said(_or_none(share_of(after, before)))


def _or_none(share: float) -> float | None:
    """Return a share as ``result.json`` holds it: null where there was too little to divide by."""
    return share if math.isfinite(share) else None


def _share_said(share: float | None, before: str = "") -> str:
    return "-" if share is None else f"{before}{share:.1%}"
