"""Find a saved network below a folder, and the settings that it was made with."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conf.schema import ConfigError
from conf.schema import TaskConfig
from lightning_snn.artifact import PLACES
from lightning_snn.artifact import read_architecture
from lightning_snn.errors import RunError
from lightning_snn.files import read_json
from lightning_snn.run_folder import of_unknown_content
from lightning_snn.run_folder import without_network

MEASURED = ("seed", "data", "network", "synops")
"""Settings that shape a measurement; where it is carried out is for the caller to say."""


@dataclass(frozen=True)
class SavedNetwork:
    """A network on disk, and the settings to measure it with."""

    network: Path
    settings: dict[str, Any]
    run: Path | None = None
    """Folder of the run that made it, where there is one."""
    content: Mapping[str, str] | None = None
    """Section ``content`` of its run, where it was recorded."""

    def doubts(self, config: TaskConfig, samples: str, network: Callable[[], str]) -> Iterator[str]:
        """Yield what is unsure of data and code that the network is going to be measured with.

        Args:
            config: What it is measured with; where it says something else than the run did, nobody is misled.
            samples: Digest of these data.
            network: Returns the digest of the network that the settings name.
        """
        if self.run is None or (config.data.name, config.seed) != (
            self.settings["data"]["name"],
            self.settings["seed"],
        ):
            return
        if self.content is None:
            yield of_unknown_content(self.run)
            return
        if self.content["data"] != samples:
            yield (
                f"The data are not those that {self.run} was made with: files have changed, or others lie at "
                f"{config.data.root}. Its network may have been trained on what is test data now."
            )
        if dataclasses.asdict(config.network) == self.settings["network"] and self.content["network"] != network():
            yield (
                f"The network's code, or a library, is not what it was when {self.run} was made: what is measured may "
                "not be what was reported then."
            )


def find_network(folder: str, said: Set[str]) -> SavedNetwork:
    """Return the network in ``folder``, an artifact or a run, with the settings of its run.

    Args:
        folder: An artifact's, or that of a training or a search.
        said: First words of the settings that the caller gives: without a run, data and seed must be among them.

    Raises:
        RunError: If the run has no network yet, or its settings cannot be read.
        ArtifactError: If there is no network.
        ConfigError: If the caller must say more.
    """
    path = Path(folder)
    file = path / "settings.json"
    if file.is_file():
        network = next((path / place for place in PLACES if (path / place).is_dir()), None)
        if network is None and (path / "result.json").exists():
            raise RunError(without_network(path, "best" if "strategy" in read_json(file) else "network"))
        if network is None:
            raise RunError(f"{path} holds a run without a network: it is not finished. Give its command again.")
        return _of_run(network, path)
    architecture = read_architecture(path)
    run = path.resolve().parent
    if (run / "settings.json").is_file():
        return _of_run(path, run)
    if "data" not in said or "seed" not in said:  # with another seed, test data may be training data
        raise ConfigError(
            f"{path} holds a network without the run that made it: nothing says what data it is for, and which seed "
            "split them. Say both, with --data NAME and --seed N."
        )
    if architecture["family"] is None and "network" not in said:
        raise ConfigError(
            f"{path} holds a network of somebody's own class. Name it with --network._target_ my_package.MyNet."
        )
    return SavedNetwork(path, {"network": _network_of(architecture)})


def _of_run(network: Path, run: Path) -> SavedNetwork:
    settings = read_json(run / "settings.json")
    if not isinstance(settings, Mapping):
        raise RunError(f"{run / 'settings.json'} holds no settings. Name another folder.")
    measured = {key: settings[key] for key in MEASURED if key in settings}
    return SavedNetwork(network, measured, run, settings.get("content"))


def _network_of(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``network`` of an artifact: T of its example, and its family with the dense arguments."""
    network: dict[str, Any] = {"time_steps": architecture["example_shape"][0]}
    if architecture["family"] is not None:
        given = ("num_classes", "in_channels")  # those come with the data
        options = {key: value for key, value in architecture["arguments"].items() if key not in given}
        network |= {"name": architecture["family"], "options": options}
    return network
