"""Measure one saved network, and say it as a table and as JSON."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from conf.schema import MeasureConfig
from lightning_snn._class_balance import BALANCE
from lightning_snn._class_balance import balance_note
from lightning_snn._class_balance import balance_rows
from lightning_snn._class_balance import describe_balance
from lightning_snn._markdown import markdown_table
from lightning_snn._markdown import print_plain
from lightning_snn._saved_run import SavedNetwork
from lightning_snn.connectivity import connectivity
from lightning_snn.content import digest_of_network
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_settings
from lightning_snn.describe import versions
from lightning_snn.energy import ENERGY_45_NM
from lightning_snn.energy import energy_nanojoules
from lightning_snn.errors import RunError
from lightning_snn.files import write_json
from lightning_snn.firing_rates import RateMeter
from lightning_snn.inference import Evaluation
from lightning_snn.progress import Reporter
from lightning_snn.task import Task


def measure_network(saved: SavedNetwork, config: MeasureConfig, console: Console | None = None) -> dict[str, Any]:
    """Measure a saved network on the data of a configuration; print it, and write it where asked to.

    Args:
        saved: The network, and the run that it is from.
        config: Data, split, T and what counts.
        console: Where progress and tables go; standard output by default.

    Returns:
        What ``--json`` writes.

    Raises:
        ConfigError, DataError, NetworkError, ArtifactError, RunError: What a user can mend, in one sentence.
    """
    console = console or Console(markup=False)
    torch.set_num_threads(config.threads)
    with Reporter(console) as reporter:
        with reporter.phase("data") as phase:
            task = Task(config)
            phase.news = f"{config.data.name}: {task.data.split_policy}"
        for doubt in saved.doubts(
            config,
            task.data.contents,
            lambda: digest_of_network(config.network, task.new_network(), task.example),
        ):
            warnings.warn(doubt, stacklevel=2)
        network = task.load(saved.network)
        task.check(network)
        with reporter.phase("measuring", 1) as phase, RateMeter(network) as meter:
            measure = task.measure_test if config.split == "test" else task.measure_validation
            evaluation = measure(network, phase.track)
            phase.advance(f"{config.split} accuracy {evaluation.accuracy:.2%}")
    figures = {
        "schema": 1,
        "folder": str(saved.network),
        "split": config.split,
        **describe_settings(task, evaluation if config.split == "test" else None),
        **describe_evaluation(evaluation),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "connectivity": connectivity(network, task.new_network()),
        "firing_rates": meter.rates(),
        "versions": versions(),
    }
    print_plain(console, "\n\n".join(tables(figures)))
    if config.json is not None:
        _write(Path(config.json), figures)
    return figures


def _write(file: Path, figures: dict[str, Any]) -> None:
    try:
        write_json(file, figures)
    except OSError as error:
        raise RunError(f"{file} cannot be written ({error.strerror}). Choose another file with --json.") from error


def describe_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Return accuracy, operations in sum and by layer, and energy, as plain values; operations are per sample."""
    report = evaluation.synops
    return {
        "accuracy": evaluation.accuracy,
        **describe_balance(evaluation),
        "synops": report.total,
        "synops_standard_error": report.standard_error,
        "accumulates": report.accumulates,
        "macs": report.macs,
        "dense_macs": report.dense,
        "energy_nanojoules": {
            precision: energy_nanojoules(report.accumulates, report.macs, precision) for precision in ENERGY_45_NM
        },
        "layers": {
            name: {
                "accumulates": layer.accumulates,
                "macs": layer.macs,
                "dense_macs": layer.dense,
                "input_rate": layer.input_rate,
                "live_weights": layer.connectivity,
            }
            for name, layer in report.layers.items()
        },
    }


def tables(figures: dict[str, Any]) -> list[str]:
    """Return what is printed: the whole network, its layers with weights, its layers of neurons, and two notes."""
    title = (
        f"{figures['data']} ({figures['split']}), {figures['network']}, T={figures['time_steps']}, "
        f"seed {figures['seed']}"
    )
    split = figures["split"]
    count = figures["samples"][split]
    balance = {f"{split}_{key}": figures[key] for key in BALANCE if key in figures}
    whole = [
        (f"accuracy on {count:,} sample{'' if count == 1 else 's'}", f"{figures['accuracy']:.2%}"),
        *balance_rows([balance], [split]),
        ("SynOps per sample", f"{figures['synops']:,.0f}"),
        ("accumulates per sample", f"{figures['accumulates']:,.0f}"),
        ("MACs per sample (analog layers)", f"{figures['macs']:,.0f}"),
        ("dense MACs per sample", f"{figures['dense_macs']:,.0f}"),
        ("parameters", f"{figures['parameters']:,}"),
        ("connectivity", f"{figures['connectivity']:.2%}"),
    ]
    whole += [
        (f"energy per sample, 45 nm {precision}, nJ", f"{energy:,.1f}")
        for precision, energy in figures["energy_nanojoules"].items()
    ]
    layers = [
        (
            name,
            f"{layer['accumulates'] or layer['macs']:,.0f}",
            "MAC" if layer["macs"] else "AC",
            f"{layer['dense_macs']:,.0f}",
            f"{layer['input_rate']:.4f}",
            f"{layer['live_weights']:.1%}",
        )
        for name, layer in figures["layers"].items()
    ]
    neurons = [(name, f"{rate:.4f}") for name, rate in figures["firing_rates"].items()]
    return [
        markdown_table((title, ""), whole),
        markdown_table(("layer", "operations", "kind", "dense MACs", "input rate", "live weights"), layers),
        markdown_table(("neurons", "firing rate"), neurons),
        legend(figures["synops_switches"]),
        " ".join(filter(None, [data_notes(figures), balance_note({"the network": balance}, split)])),
    ]


def legend(switches: Mapping[str, str]) -> str:
    """Say in a line what SynOps and connectivity mean, as the switches of the section ``synops`` have it."""
    first = {
        "apart": "first layer apart",
        "add": "first layer included",
        "drop": "first layer left out of every sum",
    }[switches["first_layer"]]
    analog = {
        "add": "accumulates, and MACs of analog layers behind the first",
        "apart": "accumulates; MACs of analog layers behind the first apart",
    }[switches["analog_hidden"]]
    return (
        f"SynOps: {analog}; {first}. Connectivity: live (non-zero) weights as a share of the dense network's, "
        "live weights: of the layer's own."
    )
