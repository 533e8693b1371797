"""One pruned network outside of a search, from a configuration to its figures beside the dense network's.

    dense network -> (training with the pruner) -> pruning -> fine-tuning -> measuring -> network and result

Every training leaves its last checkpoint until there is a result, so that a killed run goes on where it was: a
finished training is passed through, and what lies between two trainings is done again, with the same outcome.
"""

from collections.abc import Sequence
from contextlib import closing
from contextlib import suppress
from typing import cast

import torch
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from torch import nn

from conf.identity import dense_folder
from conf.schema import TrainConfig
from conf.schema import TrainingConfig
from lightning_snn._prune_report import describe_pruned
from lightning_snn._prune_report import measure_dense
from lightning_snn._prune_report import measure_network
from lightning_snn._train_tracking import NoTracker
from lightning_snn._train_tracking import TrainTracker
from lightning_snn._train_tracking import open_tracker
from lightning_snn.artifact import save_artifact
from lightning_snn.dense import dense_seconds
from lightning_snn.dense import obtain_dense
from lightning_snn.dense import train_dense
from lightning_snn.errors import PruningError
from lightning_snn.files import locked
from lightning_snn.files import write_json
from lightning_snn.forward import to_time_first
from lightning_snn.history import History
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Reporter
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.bench import refuse_silent
from lightning_snn.pruners.masks import save_masks
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.pruners.pruner import Pruner
from lightning_snn.run_folder import RunFolder
from lightning_snn.seeds import seed_for
from lightning_snn.synops import measure_synops
from lightning_snn.task import Task


def carry_out_pruning(task: Task, run: RunFolder, reporter: Reporter) -> None:
    """Prune one network as the settings of ``task`` say; the result is in the run's folder then.

    Raises:
        ConfigError, DataError, NetworkError, PruningError, SurgeryError, ArtifactError, RunError: What a user can
            mend, in one sentence.
    """
    config = cast(TrainConfig, task.config)
    pruner_of(config, Bench((), task.example, config.seed, 0.0)).accept(task.new_network())
    dense = dense_network(task, reporter)
    pruner = pruner_of(config, open_bench(task, dense))
    if pruner.trains:
        same_structure(task, dense)
    with run.open(), closing(open_tracker(config, run.path)) as tracker:
        stages = Stages(task, run, reporter, tracker)
        pruned, network = develop(pruner, dense, stages)
        with reporter.phase("measuring", 4) as phase:
            before, static = measure_dense(task, dense, pruned.dense_masks, phase)
            after = measure_network(task, network, phase)
        spent = {
            "dense": dense_seconds(dense_folder(config)),
            **stages.spent,
            "measuring": reporter.seconds["measuring"],
        }
        result = describe_pruned(task, pruner, pruned, before, after, static, stages.share)
        result["seconds"] = spent | {"total": sum(spent.values())}
        save_masks(run.path / "masks.safetensors", pruned.dense_masks)
        save_artifact(run.path / "network", network.cpu(), task.example, result["result"])
        tracker.finish(result)
        write_json(run.result_file, result)
        run.drop_checkpoints()


def assist_pruning(task: Task, run: RunFolder) -> None:
    """Take part in the one training that the first process is at, as a further process of it (DDP).

    What lies before that training is loaded, or done again with the same outcome.
    """
    config = cast(TrainConfig, task.config)
    folder = dense_folder(config)
    if not (folder / "network").exists():
        train_dense(task, folder)
        return
    dense = task.load(folder / "network")
    with suppress(Assisted):
        develop(pruner_of(config, open_bench(task, dense)), dense, Assistance(task, run))


def check_pruning(config: TrainConfig) -> None:
    """Refuse a pruner or an option of it that is wrong, before anything costly is done.

    Raises:
        PruningError: If one is.
    """
    pruner_of(config, Bench(batches=(), example=torch.empty(0), seed=config.seed, dense_synops=0.0))


def same_structure(task: Task, dense: nn.Module) -> None:
    """Refuse to train another network than the dense one that it will be held against.

    Raises:
        PruningError: If a dense network was given whose layers differ.
    """
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (task.new_network(), dense)]
    if shapes[0] != shapes[1]:
        raise PruningError(
            "A pruner that trains starts from fresh weights, and the dense network is what its result is held against: "
            "both need the same layers, found others in baseline.artifact. Give the network before it was pruned."
        )


def pruner_of(config: TrainConfig, bench: Bench) -> Pruner:
    """Return the pruner that the configuration names."""
    return build_pruner(config.pruning.name, bench=bench, target=config.pruning.target, **config.pruning.options)


def dense_network(task: Task, reporter: Reporter) -> nn.Module:
    """Train the dense network, or load it where it was given or another run trained it."""
    config = cast(TrainConfig, task.config)
    folder = dense_folder(config)
    with locked(folder, wait=True), reporter.phase("dense", config.training.epochs) as phase:
        if (folder / "network").exists():
            phase.reach(config.training.epochs, f"as another run left it in {folder}")
        elif config.baseline.artifact is not None:
            phase.reach(config.training.epochs, f"from {config.baseline.artifact}")
        return obtain_dense(task, folder, [EpochProgress(phase)])


def open_bench(task: Task, dense: nn.Module) -> Bench:
    """Return what the pruner measures with: training data.

    Raises:
        PruningError: If the dense network hardly spikes, as it is or with its batch norms measured anew.
    """
    settings = cast(TrainConfig, task.config).pruning
    samples = task.data.calibration_batches(settings.calibration_batches, settings.calibration_batch_size)
    batches = [to_time_first(x.to(task.device), task.time_steps) for x, _ in samples]
    dense, first_layer, analog_hidden = dense.to(task.device), task.first_layer, task.analog_hidden
    refuse_silent(measure_synops(dense, batches, first_layer=first_layer, analog_hidden=analog_hidden))
    return Bench.of(
        dense,
        batches=batches,
        example=task.example,
        seed=task.config.seed,
        first_layer=first_layer,
        analog_hidden=analog_hidden,
    )


class Stages:
    """The trainings of a run, one after the other: each has its checkpoints, its table and its share of the steps."""

    def __init__(self, task: Task, run: RunFolder, reporter: Reporter, tracker: TrainTracker) -> None:
        """Start with none."""
        self.task, self.reporter = task, reporter
        self._run, self._tracker = run, tracker
        self._epochs = 0
        self.spent: dict[str, float] = {}
        self.share = 1.0
        """Of the dense SynOps, on training data, after the last cut and before its fine-tuning."""

    def train_(self, name: str, network: nn.Module, recipe: TrainingConfig, callbacks: Sequence[Callback]) -> None:
        """Train ``network`` in place, or what is left of its training."""
        before = self._epochs
        history = History(
            self._run.path / f"metrics-{name}.csv",
            lambda row: self._tracker.epoch({**row, "epoch": row["epoch"] + before}),
        )
        with self.reporter.phase(name, recipe.epochs) as phase:
            self._train_(name, network, recipe, [*callbacks, history, EpochProgress(phase)])
        self._epochs += recipe.epochs
        self.spent[name] = sum(row["seconds"] for row in history.rows)

    def _train_(self, name: str, network: nn.Module, recipe: TrainingConfig, callbacks: Sequence[Callback]) -> bool:
        return self.task.train_(
            network,
            recipe,
            seed=seed_for(self.task.config.seed, name),
            checkpoints=self._run.checkpoints / name,
            callbacks=callbacks,
            validate=True,
        )


class Assisted(Exception):
    """A further process took part in the training that it was started for."""


class Assistance(Stages):
    """The same trainings in a further process: silent, and ended by the first that was not finished yet."""

    def __init__(self, task: Task, run: RunFolder) -> None:
        """Start with none."""
        super().__init__(task, run, Reporter(Console(quiet=True)), NoTracker())

    def train_(self, name: str, network: nn.Module, recipe: TrainingConfig, callbacks: Sequence[Callback]) -> None:
        """Load ``network`` as it was trained.

        Raises:
            Assisted: If there was something left to train, which is done now.
        """
        if self._train_(name, network, recipe, callbacks):
            raise Assisted


def develop(pruner: Pruner, dense: nn.Module, stages: Stages) -> tuple[Pruned, nn.Module]:
    """Go through all trainings and cuts; return what the last cut left, and its network fine-tuned."""
    network = train_with(pruner, stages) if pruner.trains else dense
    for round_ in range(1, pruner.rounds + 1):
        pruned = prune(pruner, network, round_, stages)
        network = finetune(pruned, round_, stages)
    return pruned, network


def train_with(pruner: Pruner, stages: Stages) -> nn.Module:
    """Train a fresh network with the pruner at work."""
    config = cast(TrainConfig, stages.task.config)
    network = stages.task.new_network()
    pruner.prepare_(network)
    stages.train_("training", network, config.training, [pruner])
    return network


def prune(pruner: Pruner, network: nn.Module, round_: int, stages: Stages) -> Pruned:
    """Cut the network, and say what is left."""
    with stages.reporter.phase("pruning") as phase:
        pruner.tell = lambda news: phase.reach(phase.done, news)
        pruned = pruner.prune(network, round_)
        stages.share = pruner.bench.synops(pruned.network) / pruner.bench.dense_synops
        phase.news = f"{stages.share:.1%} of the dense SynOps left"
    stages.spent["pruning"] = stages.spent.get("pruning", 0.0) + stages.reporter.seconds["pruning"]
    return pruned


def finetune(pruned: Pruned, round_: int, stages: Stages) -> nn.Module:
    """Fine-tune what was pruned, with its masks held."""
    config = cast(TrainConfig, stages.task.config)
    name = "fine-tuning" if round_ == 1 else f"fine-tuning-{round_}"
    stages.train_(name, pruned.network, config.finetuning, pruned.callbacks())
    return pruned.network
