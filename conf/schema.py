"""Typed configuration: every key of ``conf/*.yaml``, what it means, and which values it may take."""

import math
import re
from collections import Counter
from dataclasses import Field
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from typing import Any


class ConfigError(ValueError):
    """A configuration that cannot be run: one sentence with what was wrong, what was found and what to do."""


@dataclass
class DataConfig:
    """Which data, and how it is split. The search sees validation data only; test data is touched once."""

    name: str = "digits"
    """Data set; ``--data NAME`` sets it together with its recipe and options."""
    root: str = "data"
    """Folder that holds, or will hold, the data sets."""
    batch_size: int = 64
    """Training samples a batch, in each process."""
    eval_batch_size: int = 256
    """Validation and test samples a batch, in each process."""
    validation_fraction: float = 0.2
    """Share of the training samples held out for validation, between 0 and 1. By class and seed."""
    train_samples: int | None = None
    """Train on this many only, in class proportion; null: all."""
    validation_samples: int | None = None
    """Validate on this many only, in class proportion; null: all."""
    test_samples: int | None = None
    """Test on this many only, in class proportion; null: all."""
    augment: bool = False
    """Whether training batches are varied at random."""
    on_bad_file: str = "error"
    """``error`` or ``skip``: unreadable recordings end the run, or are left out and listed. Of event data only."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the data set, as ``data.options.NAME``; a wrong NAME lists those it has."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _one_of("data.on_bad_file", self.on_bad_file, ("error", "skip"))
        _within("data.validation_fraction", self.validation_fraction, 0.0, 1.0, open_ends=True)
        _at_least("data.batch_size", self.batch_size, 1)
        _at_least("data.eval_batch_size", self.eval_batch_size, 1)


@dataclass
class NetworkConfig:
    """Which network: a registered family, or a class of one's own."""

    name: str = "vgg_small"
    """Network; ``--network NAME`` sets it."""
    time_steps: int = 4
    """T: how often an image is shown, or how many frames a recording is cut into."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the network, as ``network.options.NAME``; a wrong NAME lists those it has."""
    _target_: str | None = None
    """Import path of one's own network of SpikingJelly layers; null: ``network.name``."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _at_least("network.time_steps", self.time_steps, 1)


@dataclass
class TrainingConfig:
    """How a network is trained; arguments of ``SpikingClassifier``."""

    epochs: int = 10
    """Passes over the training samples."""
    optimizer: str = "sgd"
    """Optimiser: ``sgd`` or ``adamw``."""
    learning_rate: float = 0.1
    """Peak; after the warm-up it falls to 0 as a cosine, by step."""
    momentum: float = 0.9
    """Momentum of ``sgd``, between 0 and 1."""
    weight_decay: float = 5e-5
    """Weight decay of all parameters."""
    warmup_epochs: int = 1
    """Epochs of linear rise of the learning rate at the start."""
    label_smoothing: float = 0.0
    """Share of a label that is spread over all classes, between 0 and 1."""
    loss: str = "mean"
    """``mean``: cross-entropy of the mean over time steps; ``tet``: of every time step (TET)."""
    tet_lambda: float = 0.05
    """Weight of the second term of ``tet``, between 0 and 1."""
    tet_phi: float = 1.0
    """Value that the second term of ``tet`` pulls the logits to."""
    single_step_epochs: int = 0
    """Epochs at the start that show an image once (T = 1), which costs a T-th. For images only. Ours."""

    def check(self, section: str) -> None:
        """Check ranges; ``section`` is where the recipe stands."""
        _at_least(f"{section}.epochs", self.epochs, 1)
        _at_least(f"{section}.single_step_epochs", self.single_step_epochs, 0)
        _at_least(f"{section}.warmup_epochs", self.warmup_epochs, 0)
        _above_zero(f"{section}.learning_rate", self.learning_rate)
        _at_least(f"{section}.weight_decay", self.weight_decay, 0.0)
        _one_of(f"{section}.optimizer", self.optimizer, ("sgd", "adamw"))
        _one_of(f"{section}.loss", self.loss, ("mean", "tet"))
        for key in ("momentum", "label_smoothing", "tet_lambda"):
            _within(f"{section}.{key}", getattr(self, key), 0.0, 1.0)
        for key in ("weight_decay", "tet_phi"):
            if not math.isfinite(getattr(self, key)):
                raise ConfigError(f"{section}.{key} must be a finite number, found {getattr(self, key):g}.")


@dataclass
class BaselineConfig:
    """Where the dense network comes from."""

    artifact: str | None = None
    """Folder of a saved network, such as ``runs/NAME/network``; null: train one."""


@dataclass
class PruningConfig:
    """How a network is pruned, outside of a search."""

    name: str = "none"
    """Pruner, or ``none``; ``--pruning NAME`` sets it together with its options."""
    target: float | None = None
    """Share of the dense SynOps to keep; null: as options say, or half."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the pruner, as ``pruning.options.NAME``; a wrong NAME lists those it has."""
    calibration_batches: int = 4
    """Training batches that the pruner measures SynOps and batch norm on."""
    calibration_batch_size: int = 128
    """Training samples in each of them."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _at_least("pruning.calibration_batches", self.calibration_batches, 1)
        _at_least("pruning.calibration_batch_size", self.calibration_batch_size, 1)
        if self.target is not None:
            _within("pruning.target", self.target, 0.0, 1.0, open_ends=True)


@dataclass
class SynOpsConfig:
    """What counts in the budget."""

    first_layer: str = "apart"
    """Layer that sees the input: ``add`` to the total, list it ``apart``, or ``drop`` it."""
    analog_hidden: str = "add"
    """Later layers with analog input: ``add`` to the total, or list them ``apart``."""

    def __post_init__(self) -> None:
        """Check names."""
        _one_of("synops.first_layer", self.first_layer, ("apart", "add", "drop"))
        _one_of("synops.analog_hidden", self.analog_hidden, ("add", "apart"))


@dataclass
class SpaceConfig:
    """What the search may change."""

    low: float = 0.1
    """Least share of its channels that a layer keeps, between 0 and 1."""
    prune_first: bool = True
    """Whether the first layer may lose channels. It sees pixels or event counts. Classifier outputs are always kept."""
    skip_unsupported: bool = False
    """Whether channels that cannot be followed stay; else such a network is refused. Through attention, say."""
    criterion: str = "l1"
    """Channels that go first: least ``l1``, ``bn_gamma``, ``activity`` or ``taylor``; or ``random``."""
    recalibration_batches: int = 8
    """Training batches that measure batch norm anew after pruning; 0: none."""
    recalibration_batch_size: int = 128
    """Training samples in each of them."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _within("space.low", self.low, 0.0, 1.0, open_ends=True)
        _at_least("space.recalibration_batches", self.recalibration_batches, 0)
        _at_least("space.recalibration_batch_size", self.recalibration_batch_size, 1)


@dataclass
class EstimatorConfig:
    """How SynOps after fine-tuning are predicted, and when sampling stops."""

    name: str = "linear"
    """Prediction: ``linear``, ``ratio`` (line through the origin) or ``identity`` (none)."""
    min_samples: int = 8
    """Fewest networks that are fine-tuned to fit the prediction, at least 3."""
    max_samples: int = 24
    """Most networks that are fine-tuned to fit the prediction."""
    batch: int = 4
    """Networks drawn at a time, until the margin is tight enough twice in a row."""
    margin: float = 0.02
    """Upper margin at the target that is tight enough, in shares of the dense SynOps."""
    confidence: float = 0.95
    """Confidence of the one-sided prediction bound, between 0.5 and 1."""
    workers: int = 1
    """Processes that fine-tune those networks, one thread each."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _at_least("estimator.min_samples", self.min_samples, 3)
        _at_least("estimator.max_samples", self.max_samples, self.min_samples)
        _at_least("estimator.batch", self.batch, 1)
        _at_least("estimator.workers", self.workers, 1)
        _above_zero("estimator.margin", self.margin)
        _within("estimator.confidence", self.confidence, 0.5, 1.0, open_ends=True)


@dataclass
class BudgetConfig:
    """How many SynOps the result may need."""

    target: float = 0.5
    """Share of the dense network's SynOps, above 0 and at most 1."""
    synops: float | None = None
    """SynOps per sample, in place of ``budget.target``; null: use that."""
    projection: bool = True
    """Whether a proposal is bent onto the budget before it is measured."""
    tightenings: int = 3
    """How often a result that misses the budget is made smaller and tuned again."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0.0 < self.target <= 1.0:
            raise ConfigError(
                f"budget.target is a share of the baseline's SynOps in (0, 1], found {self.target:g}. "
                "Use 0.5 to halve them, or budget.synops for an absolute number."
            )
        if self.synops is not None:
            _above_zero("budget.synops", self.synops)
        _at_least("budget.tightenings", self.tightenings, 0)


@dataclass
class RewardConfig:
    """What a trial is worth (``search.reward``); with projection always its accuracy, as all are within the budget."""

    form: str = "linear"
    """Without projection: ``linear``, ``two-sided``, ``replace``, ``cliff``, ``power``, ``amc-log`` or ``plain``."""
    beta: float = 3.0
    """Without projection: accuracy lost per unit of SynOps / target above 1."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _above_zero("reward.beta", self.beta)


@dataclass
class StrategyConfig:
    """Who proposes."""

    name: str = "ddpg"
    """Strategy; ``--strategy NAME`` sets it together with its options."""
    evaluations: int = 100
    """Distinct networks that are measured."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the strategy, as ``strategy.options.NAME``; a wrong NAME lists those it has."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _at_least("strategy.evaluations", self.evaluations, 1)


@dataclass
class LoggerConfig:
    """Who else gets the numbers."""

    name: str = "none"
    """``none``, or ``wandb`` (Weights & Biases); ``--logger NAME`` sets it."""
    project: str = "lightning-snn"
    """Project at Weights & Biases."""
    entity: str | None = None
    """User or team at Weights & Biases; null: one's own default."""
    group: str | None = None
    """Group of runs at Weights & Biases; null: named after data and network."""

    def __post_init__(self) -> None:
        """Check names."""
        _one_of("logger", self.name, ("none", "wandb"))


@dataclass
class DeviceConfig:
    """Where networks run."""

    accelerator: str = "auto"
    """Where networks run: ``auto``, ``cpu`` or ``gpu``."""

    def __post_init__(self) -> None:
        """Check names."""
        _one_of("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu"))


@dataclass
class TrainerConfig(DeviceConfig):
    """Arguments of Lightning's ``Trainer``."""

    devices: int = 1
    """Processes that train one network together (DDP). Each has its share of the samples, and batches of its own."""
    precision: str = "32-true"
    """Number format of training: ``32-true`` or ``bf16-mixed``."""
    compile: bool = False
    """Whether ``torch.compile`` compiles the network while it is trained."""

    def __post_init__(self) -> None:
        """Check names."""
        super().__post_init__()
        _one_of("trainer.precision", self.precision, ("32-true", "bf16-mixed"))
        _at_least("trainer.devices", self.devices, 1)


@dataclass
class TaskConfig:
    """What is measured, and how: the part that all commands share."""

    seed: int = 0
    """Root of all random numbers, 0 or greater."""
    threads: int = 1
    """Processor threads of the main process."""
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    synops: SynOpsConfig = field(default_factory=SynOpsConfig)
    trainer: DeviceConfig = field(default_factory=DeviceConfig)

    def __post_init__(self) -> None:
        """Check ranges."""
        _at_least("seed", self.seed, 0)
        _at_least("threads", self.threads, 1)


@dataclass
class ContentConfig:
    """What data and networks are, beyond what they are called: digests that a run finds, no settings of anybody's."""

    data: str | None = None
    """All samples, their classes and split."""
    network: str | None = None
    """What the dense network computes, and the values it starts with."""
    baseline: str | None = None
    """The files in ``baseline.artifact``; null: there is none."""

    @property
    def is_known(self) -> bool:
        """Tell whether a run has looked; runs of earlier versions have not."""
        return self.data is not None


@dataclass
class RunConfig(TaskConfig):
    """A run that trains: how, where it lies, and who else gets its numbers."""

    name: str | None = None
    """Folder of the run, below ``runs``; null: main settings and a hash of all."""
    runs: str = "runs"
    """Folder of all runs."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    finetuning: TrainingConfig = field(default_factory=TrainingConfig)
    baseline: BaselineConfig = field(default_factory=BaselineConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    content: ContentConfig = field(default_factory=ContentConfig, metadata={"is_setting": False})

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        self.training.check("training")
        self.finetuning.check("finetuning")
        if self.name is not None and not re.fullmatch(r"[^\W_][\w.-]*", self.name):
            raise ConfigError(
                f"name is that of a folder below runs, found {self.name!r}. "
                "Use letters, digits, '-', '.' and '_', with a letter or digit first."
            )


@dataclass
class TrainConfig(RunConfig):
    """One run of ``python -m lightning_snn.train``. Fine-tuning and baseline are for networks that are pruned."""

    pruning: PruningConfig = field(default_factory=PruningConfig)

    def __post_init__(self) -> None:
        """Refuse settings of a pruned network where none is pruned."""
        super().__post_init__()
        given = {
            "pruning.target": self.pruning.target is not None,
            "pruning.options": bool(self.pruning.options),
            "baseline.artifact": self.baseline.artifact is not None,
        }
        for key in (key for key, is_given in given.items() if is_given and self.pruning.name == "none"):
            raise ConfigError(f"{key} is for a network that is pruned, found no pruner. Add --pruning NAME.")


@dataclass
class MeasureConfig(TaskConfig):
    """One call of ``python -m lightning_snn.measure``. Data and network are by default those of the folder's run."""

    folder: str = "."
    """Folder of a saved network, or of the run that made it."""
    split: str = "test"
    """Split that is measured: ``test`` or ``validation``."""
    json: str | None = None
    """File for the figures; null: none is written."""

    def __post_init__(self) -> None:
        """Check names."""
        super().__post_init__()
        _one_of("split", self.split, ("validation", "test"))


@dataclass
class ImportConfig(TaskConfig):
    """One call of ``python -m lightning_snn.import_weights``."""

    file: str = ""
    """File of weights: of PyTorch, Lightning or safetensors."""
    out: str | None = None
    """Folder for the network; null: ``imported/``, and the file's name without its ending."""
    part: str | None = None
    """Which weights of the file, where several fit; a wrong one lists them."""
    drop_unexpected: bool = False
    """Whether tensors of the file that the network does not have are left out; else they are an error."""


@dataclass
class SearchConfig(RunConfig):
    """One run of ``python -m search``."""

    space: SpaceConfig = field(default_factory=SpaceConfig)
    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        if self.trainer.devices > 1 or self.trainer.compile:
            raise ConfigError(
                "A search trains many small networks for a short time, in one process and uncompiled: found "
                f"trainer.devices={self.trainer.devices}, trainer.compile={self.trainer.compile}. Use "
                "estimator.workers; a dense network of python -m lightning_snn.train can be its baseline.artifact."
            )


def settings_in(section: Any) -> list["Field[Any]"]:
    """Return the fields of a section, a class or an instance, that are for users to set."""
    return [each for each in fields(section) if each.metadata.get("is_setting", True)]


def _at_least(key: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(f"{key} must be at least {least:g}, found {value:g}.")


def _above_zero(key: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ConfigError(f"{key} must be a number above 0, found {value:g}.")


def _within(key: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    if not (low < value < high if open_ends else low <= value <= high):
        ends = "strictly between" if open_ends else "between"
        raise ConfigError(f"{key} must lie {ends} {low:g} and {high:g}, found {value:g}.")


@dataclass
class CompareConfig(SearchConfig):
    """One call of ``python -m search.compare``: strategies x targets x seeds, each a search."""

    strategies: list[str] = field(default_factory=lambda: ["ddpg", "cmaes", "gp", "random", "uniform"])
    """Strategies, separated by commas."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds, separated by commas. Strategies that share a seed share dense network and estimator."""
    targets: list[float] = field(default_factory=list)
    """Shares of the dense SynOps, separated by commas; none: ``budget.target``."""
    reference: str = "random"
    """Strategy that the others are held against."""
    workers: int = 1
    """Searches at a time, one thread each."""
    task: int | None = None
    """Only the search of this number, from 0, and no page: one task of a cluster's array; null: all."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        _shares_only(self.budget)
        _at_least("workers", self.workers, 1)
        _each_once("strategies", self.strategies)
        _each_once("seeds", self.seeds)
        if self.targets:
            _each_once("targets", self.targets)
            for target in self.targets:
                if not 0.0 < target <= 1.0:
                    raise ConfigError(f"targets are shares of the dense network's SynOps in (0, 1], found {target}.")


@dataclass
class AblateConfig(SearchConfig):
    """One call of ``python -m search.ablate``."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds, separated by commas."""
    workers: int = 1
    """Searches or samples at a time, one thread each."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        _shares_only(self.budget)
        _at_least("workers", self.workers, 1)
        _each_once("seeds", self.seeds)


def _shares_only(budget: BudgetConfig) -> None:
    if budget.synops is not None:
        raise ConfigError(
            f"Seeds are compared at shares of the dense network's SynOps, found budget.synops={budget.synops:g}. "
            "Give budget.target."
        )


def _one_of(key: str, value: str, names: tuple[str, ...]) -> None:
    if value not in names:
        raise ConfigError(f"{key} must be one of {', '.join(names)}, found {value!r}.")


def _each_once(key: str, values: list[Any]) -> None:
    if not values:
        raise ConfigError(f"{key} are one or more, separated by commas, found none.")
    twice = [str(value) for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ConfigError(f"{key} are named once each, found more than once: {', '.join(twice)}.")
