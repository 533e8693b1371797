"""One training, from a configuration to a saved network with its figures.

    data -> training (validated after each epoch) -> measuring -> network and result

Every step leaves files that the next start finds, so that a killed run goes on where it was.
"""

import os
import sys
from contextlib import closing
from contextlib import suppress
from pathlib import Path
from typing import Any
from typing import cast

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from rich.console import Console

from conf.schema import ConfigError
from conf.schema import TrainConfig
from lightning_snn._class_balance import balance_note
from lightning_snn._class_balance import balance_rows
from lightning_snn._command import Terminated
from lightning_snn._command import is_first_process
from lightning_snn._markdown import markdown_table
from lightning_snn._markdown import print_plain
from lightning_snn._prune_report import pruned_table
from lightning_snn._prune_run import assist_pruning
from lightning_snn._prune_run import carry_out_pruning
from lightning_snn._prune_run import check_pruning
from lightning_snn._train_tracking import TrainTracker
from lightning_snn._train_tracking import open_tracker
from lightning_snn._train_tracking import train_run_name
from lightning_snn.artifact import save_artifact
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_network
from lightning_snn.describe import describe_settings
from lightning_snn.describe import versions
from lightning_snn.files import write_json
from lightning_snn.firing_rates import RateMeter
from lightning_snn.history import History
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Reporter
from lightning_snn.run_folder import RunFolder
from lightning_snn.run_folder import find_run
from lightning_snn.run_folder import say_what_is_unsure
from lightning_snn.seeds import seed_for
from lightning_snn.task import Task

COMMAND = "lightning_snn.train"


def run_training(config: TrainConfig, console: Console | None = None) -> dict[str, Any] | None:
    """Carry out one training, go on with an interrupted one, or show the result of a finished one.

    Args:
        config: Validated settings.
        console: Where progress and the table go; standard output by default.

    Returns:
        What ``result.json`` holds; None in a further process of a training on several devices.

    Raises:
        ConfigError, DataError, NetworkError, PruningError, SurgeryError, ArtifactError, RunError: What a user can
            mend, in one sentence.
    """
    console = console or Console(markup=False)
    torch.set_num_threads(config.threads)
    if config.pruning.name != "none":
        check_pruning(config)
    _prepare_devices(config)
    task = Task(config)
    run = find_run(Path(config.runs), cast(TrainConfig, task.config), train_run_name)
    if not is_first_process(config.trainer.devices):
        _assist(task, run)
        return None
    if run.is_finished():
        say_what_is_unsure(run, "network", console)
    else:
        with Reporter(console) as reporter:
            (_carry_out if config.pruning.name == "none" else carry_out_pruning)(task, run, reporter)
    result = run.result()
    print_plain(console, (result_table if config.pruning.name == "none" else pruned_table)(result))
    if (run.path / "network").exists():
        console.print(f"{run.path / 'network'} holds the network.", soft_wrap=True, highlight=False)
    return result


def _carry_out(task: Task, run: RunFolder, reporter: Reporter) -> None:
    config = cast(TrainConfig, task.config)
    with run.open(), closing(open_tracker(config, run.path)) as tracker:
        network = task.new_network()
        history = _train(task, network, run, reporter, tracker)
        with reporter.phase("measuring", 2) as phase:
            validation = task.measure_validation(network, phase.track)
            phase.advance(f"validation accuracy {validation.accuracy:.2%}")
            with RateMeter(network) as meter:
                test = task.measure_test(network, phase.track)
            phase.advance(f"test accuracy {test.accuracy:.2%}, {test.synops.total:,.0f} SynOps")
        spent = {
            "training": sum(row["seconds"] for row in history.rows),
            "measuring": reporter.seconds["measuring"],
        }
        result = {
            "schema": 1,
            **describe_settings(task, test),
            "epochs": config.training.epochs,
            "result": describe_network(task, network, validation, test),
            "firing_rates": meter.rates(),
            "versions": versions(),
            "seconds": spent | {"total": sum(spent.values())},
        }
        save_artifact(run.path / "network", network.cpu(), task.example, result["result"])
        tracker.finish(result)
        write_json(run.result_file, result)
        run.drop_checkpoints()


def _train(task: Task, network: torch.nn.Module, run: RunFolder, reporter: Reporter, tracker: TrainTracker) -> History:
    """Train the network, or what is left of its training."""
    config = cast(TrainConfig, task.config)
    history = History(run.path / "metrics.csv", tracker.epoch)
    with reporter.phase("training", config.training.epochs) as phase:
        task.train_(
            network,
            config.training,
            seed=seed_for(config.seed, "training"),
            checkpoints=run.checkpoints,
            callbacks=[history, EpochProgress(phase)],
            validate=True,
        )
    return history


def _assist(task: Task, run: RunFolder) -> None:
    """Train beside the first process, which alone speaks and writes."""
    if run.is_finished():
        return
    config = cast(TrainConfig, task.config)
    with suppress(KeyboardInterrupt, Terminated):  # the first process says it
        if config.pruning.name != "none":
            assist_pruning(task, run)
            return
        task.train_(
            task.new_network(),
            config.training,
            seed=seed_for(config.seed, "training"),
            checkpoints=run.checkpoints,
            validate=True,
        )


def _prepare_devices(config: TrainConfig) -> None:
    """Make sure that Lightning can start this command again for each further device.

    Raises:
        ConfigError: If it was not called as a command, or its processes were started by others and there are several
            trainings, each of which needs its own.
    """
    if config.trainer.devices == 1:
        return
    if config.pruning.name != "none" and (TorchElasticEnvironment.detect() or SLURMEnvironment.detect()):
        raise ConfigError(
            "A pruned run on several devices starts its further processes itself, found some that torchrun or srun "
            "started. Call python -m lightning_snn.train by itself, or prune a network trained before "
            "(--baseline.artifact) on one device."
        )
    command = getattr(sys.modules["__main__"], "__spec__", None)
    if "LOCAL_RANK" not in os.environ and (command is None or command.name != COMMAND):
        raise ConfigError(
            f"trainer.devices above 1 starts the command again for each device, found {config.trainer.devices} in a "
            f"call from Python. Run python -m {COMMAND}."
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(config.threads))  # else Lightning takes all processors


def result_table(result: dict[str, Any]) -> str:
    """Return the figures of a trained network as a Markdown table, and what they must be read with."""
    figures, rates = result["result"], result["firing_rates"].values()
    title = f"{result['data']}, {result['network']}, T={result['time_steps']}, seed {result['seed']}"
    epochs = "1 epoch" if result["epochs"] == 1 else f"{result['epochs']} epochs"
    rows = [
        (f"validation accuracy after {epochs}", f"{figures['validation_accuracy']:.2%}"),
        ("test accuracy", f"{figures['test_accuracy']:.2%}"),
        *balance_rows([figures]),
        ("SynOps per sample (test)", f"{figures['synops']:,.0f}"),
        ("MACs per sample (analog layers)", f"{figures['macs']:,.0f}"),
        ("dense MACs per sample", f"{figures['dense_macs']:,.0f}"),
        ("parameters", f"{figures['parameters']:,}"),
        ("firing rates of layers", f"{min(rates):.3f} to {max(rates):.3f}" if rates else "-"),
        ("training, minutes", f"{result['seconds']['training'] / 60:,.1f}"),
    ]
    notes = " ".join(filter(None, [data_notes(result), balance_note({"the network": figures})]))
    return f"{markdown_table((title, ''), rows)}\n\n{notes}"
