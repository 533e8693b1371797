"""Command line -> validated configuration, for every command.

Accepted alike: ``--strategy ddpg``, ``--budget.target 0.4``, ``--budget.target=0.4``, ``budget.target=0.4``.
A key without a dot that names a folder of ``conf/`` picks one of its files; every other key sets a value. The
groups are composed by Hydra; values are set afterwards, so that none of them needs quoting.
"""

import dataclasses
import difflib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from importlib import resources
from typing import Any
from typing import TypeVar

from conf.schema import ConfigError
from conf.schema import SearchConfig
from conf.schema import TaskConfig
from conf.schema import TrainConfig
from conf.schema import settings_in

GROUPS = ("data", "network", "training", "pruning", "strategy", "logger", "experiment")
NOTHING = (("experiment", "null"), ("experiment", "none"))
"""Every other group needs one of its files."""
WORDS = {"data": "data set", "training": "training recipe", "pruning": "pruner"}
"""What a name of a group is called in a sentence, where the group's own name will not do."""
SHORT = {"lr": "learning_rate", "wd": "weight_decay", "T": "time_steps"}
"""Usual short names, to suggest the setting that is meant."""
EXPECTED = {
    "converted to Float": "must be a number",
    "converted to Integer": "must be a whole number",
    "not a valid bool": "must be true or false",
    "is not Optional": "needs a value",
}
"""What OmegaConf says of a value of the wrong type, and what we say."""

Setting = tuple[str, str]
Config = TypeVar("Config", bound=TaskConfig)


def groups_of(schema: type[TaskConfig]) -> list[str]:
    """Return the groups that a command knows: those of its sections, and whole experiments."""
    return [group for group in GROUPS if group in _sections(schema) or group == "experiment"]


def _sections(*schemas: type[TaskConfig]) -> set[str]:
    return {each.name for schema in schemas for each in dataclasses.fields(schema)}


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


def load(
    schema: type[Config], root: str, arguments: Sequence[str], recorded: Mapping[str, Any] | None = None
) -> Config:
    """Compose and validate the configuration of one command.

    Args:
        schema: Its dataclass. What a file of ``conf/`` says beyond its sections is for other commands.
        root: Its file in ``conf/``.
        arguments: The command line.
        recorded: Settings of an earlier run, in place of those of ``root``; a group that is picked, and values
            of the command line, come before them.

    Raises:
        ConfigError: If a key, a name or a value is wrong; the message names the nearest valid one.
    """
    from hydra import compose
    from hydra import initialize_config_module
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    settings = parse_arguments(arguments)
    groups = groups_of(schema)
    picked = {key: value for key, value in settings if key in groups}
    for group, name in picked.items():
        known = choices(group)
        if name not in known and (group, name) not in NOTHING:
            raise ConfigError(f"No {WORDS.get(group, group)} is called {name!r}. {nearest(name, known)}")
    with initialize_config_module("conf", version_base=None):
        composed = compose(
            root, overrides=[f"{group}={name}" for group, name in picked.items() if (group, name) not in NOTHING]
        )
    config = OmegaConf.structured(schema)
    plain = OmegaConf.to_container(composed)
    assert isinstance(plain, dict)
    for other in (_sections(SearchConfig, TrainConfig) - _sections(schema)) | {"experiment"}:
        plain.pop(other, None)
    if "trainer.devices" not in _keys(schema(), ""):  # the command trains nothing
        plain["trainer"] = {key: value for key, value in plain.get("trainer", {}).items() if key == "accelerator"}
    for section, values in (recorded or {}).items():
        if section not in picked:
            plain[section] = {**plain.get(section, {}), **values} if isinstance(values, Mapping) else values
    try:
        config = OmegaConf.merge(config, plain)
        for key, value in settings:
            if key not in groups:
                _refuse_unknown_key(key, schema)
                OmegaConf.update(config, key, _parse_value(key, value, schema), force_add=".options." in f".{key}.")
        built = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(say(error)) from error
    assert isinstance(built, schema)
    return built


def say(error: Exception) -> str:
    """Return an OmegaConf error in a sentence of ours; of one without, the first line: the rest is for programmers."""
    key, told = getattr(error, "full_key", None) or "A value", str(error).splitlines()[0]
    value = getattr(error, "value", None)
    found = "null" if value is None else repr(value)
    for reason, expected in EXPECTED.items():
        if reason in told:
            several = " Several are separated by commas." if key.endswith("]") else ""
            return f"{key} {expected}, found {found}.{several}"
    if key.endswith(".options"):
        return f"{key} are set one by one, found {found}. Write --{key}.NAME VALUE."
    return f"{key} cannot be used: {told}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the sentence that ends a message about an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    spelt = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"Did you mean {spelt[near[0]]!r}?" if near else f"Known names: {', '.join(known) or 'none'}."


def _refuse_unknown_key(key: str, schema: type[TaskConfig]) -> None:
    known = sorted(_keys(schema(), ""))
    is_option = key.startswith(tuple(f"{name}." for name in known if name.endswith(".options"))) and not key.endswith(
        "."
    )
    if key not in known and not is_option:
        raise ConfigError(f"No setting is called {key!r}. {_nearest_key(key, known, groups_of(schema))}")


def _nearest_key(key: str, known: Sequence[str], groups: Sequence[str]) -> str:
    *section, leaf = key.split(".")
    leaf = SHORT.get(leaf, leaf)
    same_leaf = sorted((name for name in known if name.split(".")[-1] == leaf), key=len)  # training before finetuning
    begun = [group for group in groups if len(key) > 2 and group.startswith(key)]  # --prune: pruning
    near = begun or difflib.get_close_matches(".".join([*section, leaf]), known, n=1) or same_leaf
    return f"Did you mean {near[0]!r}?" if near else "See --help for the settings."


def _keys(config: Any, prefix: str) -> Iterable[str]:
    for each in settings_in(config):
        value = getattr(config, each.name)
        if dataclasses.is_dataclass(value):
            yield from _keys(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}"


def _parse_value(key: str, text: str, schema: type[TaskConfig]) -> Any:
    if text.lower() in ("null", "none"):
        return None
    if isinstance(getattr(schema(), key, None), list):
        return [each.strip() for each in text.strip("[]").split(",") if each.strip()]
    if ".options." in key:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        try:
            return OmegaConf.select(OmegaConf.from_dotlist([f"value={text}"]), "value")
        except (YAMLError, OmegaConfBaseException) as error:
            raise ConfigError(f"{key} cannot be used: {text!r} is neither a plain value nor a [list].") from error
    return text
