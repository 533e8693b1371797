"""What is being solved: data, network and training recipe, as one object that every command shares."""

import dataclasses
import inspect
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final
from typing import TypeVar
from typing import cast

import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch import nn
from torch.utils.data import DataLoader

from conf.identity import digest
from conf.schema import ConfigError
from conf.schema import ContentConfig
from conf.schema import DataConfig
from conf.schema import RunConfig
from conf.schema import TaskConfig
from conf.schema import TrainingConfig
from datamodules import build_datamodule
from datamodules import datamodule_class
from datamodules.base import BaseDataModule
from lightning_snn._network_check import check_network
from lightning_snn._synops_report import AnalogHidden
from lightning_snn._synops_report import FirstLayer
from lightning_snn.artifact import load_artifact
from lightning_snn.content import find_content
from lightning_snn.errors import RunError
from lightning_snn.errors import nearest
from lightning_snn.fit import fit
from lightning_snn.inference import Evaluation
from lightning_snn.inference import evaluate
from lightning_snn.networks import build_network
from lightning_snn.networks import build_own_network
from lightning_snn.repeatability import check_repeatable
from lightning_snn.seeds import seed_for

Batch = tuple[Tensor, Tensor]
Config = TypeVar("Config", bound=RunConfig)
Watch = Callable[[DataLoader[Batch]], Iterable[Batch]]


class Task:
    """Build networks, train them and measure them as one configuration says.

    Everything is a pure function of the configuration and the arguments; test data is read by
    :meth:`measure_test` alone.
    """

    def __init__(self, config: TaskConfig) -> None:
        """Open the data, check that the network takes it, and find what both hold (``config.content``).

        Raises:
            ArtifactError: If a dense network is given that cannot be read.
            ConfigError: If a setting does not fit the data.
            DataError: If the data cannot be read.
            NetworkError: If the network cannot be built, does not fit the data, or is no function of its input.
            RunError: If ``config`` holds what another task found, and data or network have changed since.
        """
        self.config = config
        self.data = open_data(config.data, seed=config.seed, time_steps=config.network.time_steps)
        self.data.prepare_data()
        self.data.setup("fit")
        recipes = [value for value in vars(config).values() if isinstance(value, TrainingConfig)]
        if len(self.data.sample_shape) == 4 and any(recipe.single_step_epochs for recipe in recipes):
            raise ConfigError(
                "single_step_epochs is for images, which are shown T times or once: found it above 0 for "
                f"{config.data.name!r}, whose samples have T frames. Set it to 0."
            )
        self.device = device_for(config.trainer.accelerator)
        network = self.new_network()
        self.check(network)
        if config.network._target_ is not None:
            check_repeatable(network, self.example)
        if isinstance(config, RunConfig):
            found = find_content(config, self.data.contents, network, self.example)
            if config.content.is_known and config.content != found:
                _FOUND.clear()
                raise RunError(
                    "Data or network have changed since this work was begun. Leave them alone meanwhile, and give the "
                    "same command again."
                )
            self.config = dataclasses.replace(config, content=found)

    def check(self, network: nn.Module) -> None:
        """Run a network on the CPU, and a copy of it in training, on a few examples.

        Raises:
            NetworkError: If it does not take the data, or has not one logit a class, or raises anything.
        """
        batch = 3 if self.time_steps == 2 else 2  # not T, so that the two axes are told apart
        dimmed = [self.example / position for position in range(1, batch + 1)]
        check_network(network, torch.cat(dimmed, dim=1), self.data.num_classes)

    @property
    def time_steps(self) -> int:
        """Return T."""
        return self.config.network.time_steps

    @property
    def first_layer(self) -> FirstLayer:
        """Return what the layer that sees the input counts as."""
        return cast(FirstLayer, self.config.synops.first_layer)

    @property
    def analog_hidden(self) -> AnalogHidden:
        """Return what later layers with analog input count as."""
        return cast(AnalogHidden, self.config.synops.analog_hidden)

    @cached_property
    def example(self) -> Tensor:
        """Return one input of the right shape, ``[T, 1, C, H, W]``: noise in [0, 1], the same at every call.

        Not blank: the proof that channels can be removed means more where neurons spike.
        """
        noise = torch.Generator().manual_seed(seed_for(self.config.seed, "example"))
        return torch.rand(self.time_steps, 1, *self.data.sample_shape[-3:], generator=noise)

    def new_network(self) -> nn.Module:
        """Return the dense network with fresh weights, the same ones at every call."""
        network, channels = self.config.network, self.data.sample_shape[-3]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(self.config.seed, "weights"))
            if network._target_ is not None:
                return build_own_network(
                    network._target_,
                    num_classes=self.data.num_classes,
                    in_channels=channels,
                    **network.options,
                )
            rows, columns = self.data.sample_shape[-2:]
            options = {"image_size": rows if rows == columns else [rows, columns], **network.options}
            return build_network(network.name, num_classes=self.data.num_classes, in_channels=channels, **options)

    def load(self, folder: Path) -> nn.Module:
        """Return the network saved in ``folder``."""
        own = self.new_network() if self.config.network._target_ is not None else None
        return load_artifact(folder, own)

    def train_(
        self,
        network: nn.Module,
        training: TrainingConfig,
        *,
        seed: int,
        checkpoints: Path | None = None,
        callbacks: Sequence[Callback] = (),
        validate: bool = False,
    ) -> bool:
        """Train ``network`` in place by a recipe; go on from ``checkpoints`` where a training was interrupted.

        Returns:
            Whether an epoch was left to train.
        """
        recipe, trainer = dataclasses.asdict(training), dataclasses.asdict(self.config.trainer)
        return fit(
            network,
            self.data,
            epochs=recipe.pop("epochs"),
            seed=seed,
            num_classes=self.data.num_classes,
            time_steps=self.time_steps,
            recipe=recipe,
            compile=trainer.pop("compile"),
            trainer=trainer,
            checkpoints=checkpoints,
            callbacks=callbacks,
            validate=validate,
        )

    def measure_validation(self, network: nn.Module, watch: Watch = iter) -> Evaluation:
        """Return accuracy and SynOps on the validation data; ``watch`` sees each batch go by."""
        return self._measure(network, watch(self.data.val_dataloader()))

    def measure_test(self, network: nn.Module, watch: Watch = iter) -> Evaluation:
        """Return accuracy and SynOps on the test data: once, for the network that is reported."""
        return self._measure(network, watch(self.data.test_dataloader()))

    def _measure(self, network: nn.Module, batches: Iterable[Batch]) -> Evaluation:
        return evaluate(
            network.to(self.device),
            batches,
            time_steps=self.time_steps,
            first_layer=self.first_layer,
            analog_hidden=self.analog_hidden,
        )


_FOUND: Final[dict[str, ContentConfig]] = {}
"""What this process has found, by all that it follows from."""


def identified(config: Config) -> Config:
    """Return a configuration with its content, as a task finds it.

    A process looks once; whoever works with the configuration looks again, and refuses what has changed.

    Raises:
        ArtifactError, ConfigError, DataError, NetworkError: As :class:`Task` does.
    """
    settings = dataclasses.asdict(config)
    key = digest([settings[section] for section in ("seed", "data", "network", "baseline")])
    if key not in _FOUND:
        unknown = dataclasses.replace(config, content=ContentConfig())
        _FOUND[key] = cast(RunConfig, Task(unknown).config).content
    return dataclasses.replace(config, content=_FOUND[key])


def open_data(data: DataConfig, *, seed: int, time_steps: int) -> BaseDataModule:
    """Build the data module of ``conf/data``; nothing is read yet.

    Raises:
        ConfigError: If ``data.options`` or ``data.on_bad_file`` hold what these data do not know.
        DataError: If the name or a value is wrong.
    """
    given = dataclasses.asdict(data)
    name, options, on_bad_file = given.pop("name"), given.pop("options"), given.pop("on_bad_file")
    takes = inspect.signature(datamodule_class(name)).parameters
    for option in options:
        known = sorted(set(takes) - set(given) - {"seed", "time_steps", "on_bad_file"})
        if option not in known:
            raise ConfigError(
                f"Data set {name!r} has no option {option!r} in data.options. {nearest(option, known, 'options')}"
            )
    if "on_bad_file" in takes:
        given["on_bad_file"] = on_bad_file
    elif on_bad_file != "error":
        raise ConfigError(f"data.on_bad_file is for recordings of events, found {on_bad_file!r} for {name!r}.")
    if "time_steps" in takes:
        given["time_steps"] = time_steps
    return build_datamodule(name, seed=seed, **given, **options)


def device_for(accelerator: str) -> torch.device:
    """Return the device that ``trainer.accelerator`` names.

    Raises:
        ConfigError: If it asks for a GPU that is not there.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("trainer.accelerator is gpu, but PyTorch finds no CUDA device. Use auto or cpu.")
    use_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")
