"""Command line -> validated configuration.

Accepted alike: ``--strategy ddpg``, ``--budget.target 0.4``, ``--budget.target=0.4``, ``budget.target=0.4``.
A key without a dot that names a folder of ``conf/`` picks one of its files; every other key sets a value. The
groups are composed by Hydra; values are set afterwards, so that none of them needs quoting.
"""

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from conf.schema import ConfigError
from conf.schema import SearchConfig
from lightning_snn.errors import nearest

GROUPS = ("data", "network", "training", "strategy", "logger", "experiment")
NOTHING = (("experiment", "null"), ("experiment", "none"))
"""Every other group needs one of its files."""

Setting = tuple[str, str]


def choices(group: str) -> dict[str, str]:
    """Return the names of a group with the first comment line of each file, read without importing anything big."""
    found = {}
    for file in sorted(resources.files("conf").joinpath(group).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            comments = [
                line for line in file.read_text().splitlines() if line.startswith("# ") and "@package" not in line
            ]
            found[file.name.removesuffix(".yaml")] = comments[0].removeprefix("# ") if comments else ""
    return found


def parse_arguments(arguments: Sequence[str]) -> list[Setting]:
    """Split a command line into (key, value) pairs, in order.

    Raises:
        ConfigError: If an argument is no setting, or its value is missing.
    """
    settings: list[Setting] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if not word.startswith("--"):
                raise ConfigError(f"Settings read --key value or key=value, found {word!r}. See --help.")
            if not rest or rest[0].startswith("--"):
                raise ConfigError(f"--{key} needs a value, found none. Write --{key} VALUE.")
            value = rest.pop(0)
        if not key:
            raise ConfigError(f"Settings read --key value or key=value, found {word!r}. See --help.")
        settings.append((key, value))
    return settings


def load_config(arguments: Sequence[str]) -> SearchConfig:
    """Compose and validate the configuration of one search.

    Raises:
        ConfigError: If a key, a name or a value is wrong; the message names the nearest valid one.
    """
    from hydra import compose
    from hydra import initialize_config_module
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    settings = parse_arguments(arguments)
    picked = {key: value for key, value in settings if key in GROUPS}
    for group, name in picked.items():
        known = choices(group)
        if name not in known and (group, name) not in NOTHING:
            raise ConfigError(f"No {group} is called {name!r}. {nearest(name, known)}")
    with initialize_config_module("conf", version_base=None):
        composed = compose(
            "search", overrides=[f"{group}={name}" for group, name in picked.items() if (group, name) not in NOTHING]
        )
    config = OmegaConf.structured(SearchConfig)
    plain = OmegaConf.to_container(composed)
    assert isinstance(plain, dict)
    try:
        config = OmegaConf.merge(config, {key: value for key, value in plain.items() if key != "experiment"})
        for key, value in settings:
            if key not in GROUPS:
                _refuse_unknown_key(key)
                OmegaConf.update(config, key, _parse_value(key, value), force_add=".options." in f".{key}.")
        built = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(_say(error)) from error
    assert isinstance(built, SearchConfig)
    return built


def restore_config(run: Path) -> SearchConfig:
    """Return the configuration of a run from its folder, ``runs/<name>``.

    Raises:
        ConfigError: If there is none.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SearchConfig), settings))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{run} holds settings of another version. {_say(error)}") from error
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run} is not the folder of a run ({error}). Name a folder below runs/.") from error
    assert isinstance(config, SearchConfig)
    return dataclasses.replace(config, name=run.name, runs=str(run.parent))


def leaves(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``("a.b", value)`` for each value of nested plain dicts; an empty dict is a value."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, separator, f"{prefix}{key}{separator}")
        else:
            yield f"{prefix}{key}", value


def digest(values: Any) -> str:
    """Return ten hexadecimal digits that stand for plain values, whatever their order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def run_name(config: SearchConfig) -> str:
    """Return the folder name of a run: the same configuration finds its run again."""
    if config.name is not None:
        return config.name
    network = config.network._target_ or config.network.name
    target = f"{config.budget.target:g}" if config.budget.synops is None else f"{config.budget.synops:g}synops"
    parts = (config.data.name, network.rsplit(".", 1)[-1], config.strategy.name, target, f"s{config.seed}")
    return "-".join((*parts, digest(identity(config))))


def identity(config: SearchConfig) -> dict[str, Any]:
    """Return what makes a run the run it is: all settings but those that only say where and how it is carried out."""
    values = dataclasses.asdict(config)
    for key in ("name", "runs", "threads", "logger"):
        del values[key]
    del values["data"]["root"]
    del values["estimator"]["workers"]
    return values


def shared_folders(config: SearchConfig) -> tuple[Path, Path]:
    """Return the folders of the dense network and of the estimator's samples, named by all that shapes them.

    The strategy does not, so that runs with ten strategies share them.
    """
    settings = identity(config)
    dense = {key: settings[key] for key in ("seed", "data", "network", "training", "baseline", "trainer")}
    drawn = {key: settings[key] for key in ("finetuning", "synops", "space")}
    drawn["target"] = (config.budget.target, config.budget.synops)
    folder = Path(config.runs) / "_shared" / digest(dense)
    return folder, folder / f"samples-{digest(drawn)}"


def _say(error: Exception) -> str:
    """Return an OmegaConf error in a sentence; all but its first line is for programmers."""
    return f"{getattr(error, 'full_key', None) or 'A value'} cannot be used: {str(error).splitlines()[0]}."


def _refuse_unknown_key(key: str) -> None:
    known = sorted(_keys(SearchConfig(), ""))
    is_option = key.startswith(("network.options.", "strategy.options.")) and not key.endswith(".")
    if key not in known and not is_option:
        raise ConfigError(f"No setting is called {key!r}. {_nearest_key(key, known)}")


def _nearest_key(key: str, known: Sequence[str]) -> str:
    same_leaf = [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    near = difflib.get_close_matches(key, known, n=1) or same_leaf
    return f"Did you mean {near[0]!r}?" if near else "See --help for the settings."


def _keys(config: Any, prefix: str) -> Iterable[str]:
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if dataclasses.is_dataclass(value):
            yield from _keys(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}"


def _parse_value(key: str, text: str) -> Any:
    if text.lower() in ("null", "none"):
        return None
    if ".options." in key:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        try:
            return OmegaConf.select(OmegaConf.from_dotlist([f"value={text}"]), "value")
        except (YAMLError, OmegaConfBaseException) as error:
            raise ConfigError(f"{key} cannot be used: {text!r} is neither a plain value nor a [list].") from error
    return text
