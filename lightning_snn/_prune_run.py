"""One pruned network outside of a search, from a configuration to its figures beside the dense network's.

    dense network -> (training with the pruner) -> pruning -> fine-tuning -> measuring -> network and result

Every training leaves its last checkpoint until there is a result, so that a killed run goes on where it was: a
finished training is passed through, and what lies between two trainings is done again, with the same outcome.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import cast

from pytorch_lightning.callbacks import Callback
from torch import nn

from conf.identity import dense_folder
from conf.schema import TrainConfig
from conf.schema import TrainingConfig
from lightning_snn._prune_report import describe_pruned
from lightning_snn._prune_report import measure_dense
from lightning_snn._prune_report import measure_network
from lightning_snn._train_tracking import TrainTracker
from lightning_snn._train_tracking import open_tracker
from lightning_snn.artifact import save_artifact
from lightning_snn.dense import dense_seconds
from lightning_snn.dense import obtain_dense
from lightning_snn.files import locked
from lightning_snn.files import write_json
from lightning_snn.forward import to_time_first
from lightning_snn.history import History
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Reporter
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners._bench import Bench
from lightning_snn.pruners._masks import save_masks
from lightning_snn.pruners._pruner import Pruned
from lightning_snn.pruners._pruner import Pruner
from lightning_snn.run_folder import RunFolder
from lightning_snn.seeds import seed_for
from lightning_snn.task import Task


def carry_out_pruning(config: TrainConfig, run: RunFolder, reporter: Reporter) -> None:
    """Prune one network as ``config.pruning`` says; the result is in the run's folder then.

    Raises:
        ConfigError, DataError, NetworkError, PruningError, SurgeryError, ArtifactError, RunError: What a user can
            mend, in one sentence.
    """
    with reporter.phase("data") as phase:
        task = Task(config)
        phase.news = f"{config.data.name}: {task.data.split_policy}"
    dense = dense_network(task, reporter)
    bench = open_bench(task, dense)
    pruner = build_pruner(config.pruning.name, bench=bench, target=config.pruning.target, **config.pruning.options)
    with run.open(), closing(open_tracker(config, run.path)) as tracker:
        task.recognise_data(run.path)
        stages = Stages(task, run, reporter, tracker)
        network = train_with(pruner, task, stages) if pruner.trains else dense
        for round_ in range(1, pruner.rounds + 1):
            pruned = prune(pruner, network, round_, reporter)
            network = finetune(pruned, round_, stages)
        with reporter.phase("measuring", 4) as phase:
            before, static = measure_dense(task, dense, pruned.dense_masks, phase)
            after = measure_network(task, network, phase)
        spent = {
            "dense": dense_seconds(dense_folder(config)),
            **stages.spent,
            "measuring": reporter.seconds["measuring"],
        }
        result = describe_pruned(task, pruner, pruned, before, after, static)
        result["seconds"] = spent | {"total": sum(spent.values())}
        save_masks(run.path / "masks.safetensors", pruned.masks)
        save_artifact(run.path / "network", network.cpu(), task.example, result["result"])
        tracker.finish(result)
        write_json(run.result_file, result)
        run.drop_checkpoints()


def dense_network(task: Task, reporter: Reporter) -> nn.Module:
    """Train the dense network, or load it where it was given or another run trained it."""
    config = cast(TrainConfig, task.config)
    folder = dense_folder(config)
    with locked(folder, wait=True), reporter.phase("dense", config.training.epochs) as phase:
        task.recognise_data(folder)
        return obtain_dense(task, folder, [EpochProgress(phase)])


def open_bench(task: Task, dense: nn.Module) -> Bench:
    """Return what the pruner measures with: training data."""
    settings = cast(TrainConfig, task.config).pruning
    inputs = task.data.calibration_batches(settings.calibration_batches, settings.calibration_batch_size)
    return Bench.of(
        dense.to(task.device),
        batches=[to_time_first(x.to(task.device), task.time_steps) for x in inputs],
        example=task.example,
        seed=task.config.seed,
        first_layer=task.first_layer,
        analog_hidden=task.analog_hidden,
    )


class Stages:
    """The trainings of a run, one after the other: each has its checkpoints, its table and its share of the steps."""

    def __init__(self, task: Task, run: RunFolder, reporter: Reporter, tracker: TrainTracker) -> None:
        """Start with none."""
        self.task, self._run, self._reporter, self._tracker = task, run, reporter, tracker
        self._epochs = 0
        self.spent: dict[str, float] = {}

    def train_(self, name: str, network: nn.Module, recipe: TrainingConfig, callbacks: Sequence[Callback]) -> None:
        """Train ``network`` in place, or what is left of its training."""
        before = self._epochs
        history = History(
            self._run.path / f"metrics-{name}.csv",
            lambda row: self._tracker.epoch({**row, "epoch": row["epoch"] + before}),
        )
        with self._reporter.phase(name, recipe.epochs) as phase:
            self.task.train_(
                network,
                recipe,
                seed=seed_for(self.task.config.seed, name),
                checkpoints=self._run.checkpoints / name,
                callbacks=[*callbacks, history, EpochProgress(phase)],
                validate=True,
            )
        self._epochs += recipe.epochs
        self.spent[name] = sum(row["seconds"] for row in history.rows)


def train_with(pruner: Pruner, task: Task, stages: Stages) -> nn.Module:
    """Train a fresh network with the pruner at work."""
    config = cast(TrainConfig, task.config)
    network = task.new_network()
    pruner.prepare_(network)
    stages.train_("training", network, config.training, [pruner])
    return network


def prune(pruner: Pruner, network: nn.Module, round_: int, reporter: Reporter) -> Pruned:
    """Cut the network, and say what is left."""
    with reporter.phase("pruning") as phase:
        pruned = pruner.prune(network, round_)
        phase.news = f"{pruner.bench.synops(pruned.network) / pruner.bench.dense_synops:.1%} of the dense SynOps left"
    return pruned


def finetune(pruned: Pruned, round_: int, stages: Stages) -> nn.Module:
    """Fine-tune what was pruned, with its masks held."""
    config = cast(TrainConfig, stages.task.config)
    name = "fine-tuning" if round_ == 1 else f"fine-tuning-{round_}"
    stages.train_(name, pruned.network, config.finetuning, pruned.callbacks())
    return pruned.network
