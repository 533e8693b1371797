"""Command line -> validated configuration, for every command.

Accepted alike: ``--strategy ddpg``, ``--budget.target 0.4``, ``--budget.target=0.4``, ``budget.target=0.4``.
A key without a dot that names a folder of ``conf/`` picks one of its files; every other key sets a value. The
groups are composed by Hydra; an experiment and values are set afterwards, so that none of them needs quoting.
What nobody takes is refused by name, wherever it stands.
"""

import dataclasses
import difflib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

from conf.experiment_file import Experiment
from conf.experiment_file import read_experiment
from conf.groups import GROUPS
from conf.groups import check_choice
from conf.groups import choices
from conf.identity import leaves
from conf.schema import AblateConfig
from conf.schema import CompareConfig
from conf.schema import ConfigError
from conf.schema import ImportConfig
from conf.schema import MeasureConfig
from conf.schema import SearchConfig
from conf.schema import TaskConfig
from conf.schema import TrainConfig
from conf.schema import settings_in

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
    sections = {each.name for each in dataclasses.fields(schema)}
    return [group for group in GROUPS if group in sections or group == "experiment"]


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


def later_wins(arguments: Iterable[str]) -> list[str]:
    """Return a command line with each key once, with the last of its values: to set settings on top of others."""
    return [f"{key}={value}" for key, value in dict(parse_arguments(list(arguments))).items()]


def given_keys(arguments: Sequence[str]) -> list[str]:
    """Return the keys that a command line gives, itself and by its experiment.

    Raises:
        ConfigError: If the command line or the experiment cannot be read.
    """
    settings = parse_arguments(arguments)
    experiment = _experiment_of(settings)
    return [*(key for key, _ in settings), *experiment.picked, *(key for key, _ in leaves(experiment.values))]


def load(
    schema: type[Config], root: str, arguments: Sequence[str], recorded: Mapping[str, Any] | None = None
) -> Config:
    """Compose and validate the configuration of one command.

    Args:
        schema: Its dataclass. What a file says that only ``search`` or only ``train`` knows is for that command.
        root: Its file in ``conf/``.
        arguments: The command line.
        recorded: Settings of an earlier run, in place of those of ``root``; a group that is picked, what an
            experiment says, and values of the command line come before them.

    Raises:
        ConfigError: If a key, a name or a value is wrong; the message names the nearest valid one.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    groups = groups_of(schema)
    given = parse_arguments(arguments)
    _refuse_given_twice(given, groups)
    settings = [_picking(key, value, groups) for key, value in given]
    experiment = _experiment_of(settings)
    said = {key: value for key, value in settings if key in groups and key != "experiment"}
    picked = {**_picked_in(experiment, groups), **said}
    for group, name in picked.items():
        check_choice(group, name)
    values = _taken(_composed(root, picked), schema, "conf/")
    for section, recorded_values in (recorded or {}).items():
        if section not in picked:
            is_section = isinstance(recorded_values, Mapping)
            values[section] = {**values.get(section, {}), **recorded_values} if is_section else recorded_values
    own = _taken(experiment.values, schema, experiment.where)
    for group in said:
        own.get(group, {}).pop("name", None)  # else a name in the file would win over one of the command line
    where = ""
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), values)
        where = f"{experiment.where}: "
        config = OmegaConf.merge(config, own)
        where = ""
        for key, value in settings:
            if key not in groups:
                _refuse_unknown_key(key, schema)
                OmegaConf.update(config, key, _parse_value(key, value, schema), force_add=".options." in f".{key}.")
        built = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{where}{say(error)}") from error
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


def _experiment_of(settings: Sequence[Setting]) -> Experiment:
    named = dict(settings).get("experiment")
    return Experiment() if named is None else read_experiment(named)


def _group_named_by(key: str, groups: Sequence[str]) -> str:
    """Return ``strategy`` for ``strategy.name``, and any other key as it is."""
    group = key.removesuffix(".name")
    return group if group in groups else key


def _picking(key: str, value: str, groups: Sequence[str]) -> Setting:
    """Turn ``strategy.name=spear`` into ``strategy=spear``: a name comes with its settings, however it is given."""
    group = _group_named_by(key, groups)
    return (group, value) if group != key and value in choices(group) else (key, value)


def _picked_in(experiment: Experiment, groups: Sequence[str]) -> dict[str, str]:
    """Return the names of groups that an experiment gives, in its ``defaults`` or as ``strategy: {name: spear}``."""
    picked = {group: name for group, name in experiment.picked.items() if group in groups}
    for group in groups:
        section = experiment.values.get(group)
        name = section.get("name") if isinstance(section, Mapping) else None
        if isinstance(name, str) and name in choices(group) and picked.setdefault(group, name) != name:
            raise ConfigError(f"{experiment.where} names two of {group}, {picked[group]} and {name}. Leave one out.")
    return picked


def _refuse_given_twice(settings: Sequence[Setting], groups: Sequence[str]) -> None:
    given: dict[str, Setting] = {}
    for key, value in settings:
        first, before = given.setdefault(_group_named_by(key, groups), (key, value))
        if before != value:
            raise ConfigError(f"--{first} {before} and --{key} {value} were given both. Leave one out.")


def _composed(root: str, picked: Mapping[str, str]) -> dict[str, Any]:
    """Return what the files of ``conf/`` say, with some of them picked."""
    from hydra import compose
    from hydra import initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        with initialize_config_module("conf", version_base=None):
            composed = compose(root, overrides=[f"{group}={name}" for group, name in picked.items()])
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        files = ", ".join(f"{group}/{name}.yaml" for group, name in picked.items()) or f"{root}.yaml"
        raise ConfigError(f"The files of conf/ ({files}) cannot be read: {reason}.") from error
    plain = OmegaConf.to_container(composed)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _taken(values: Mapping[str, Any], schema: type[TaskConfig], where: str) -> dict[str, Any]:
    """Return what a command takes of a file; the rest must be known to ``search`` or to ``train``.

    Raises:
        ConfigError: If something is not.
    """
    mine = set(_keys(schema(), ""))
    shared = {*_keys(SearchConfig(), ""), *_keys(TrainConfig(), "")}
    for path, value in leaves(values, "/"):
        if "." in path:
            raise ConfigError(f"{path} in {where} has a dot. Write a.b as 'a:' and below it, indented, 'b: value'.")
        _refuse_unknown_in_file(path.replace("/", "."), value, mine | shared if where == "conf/" else shared, where)
    taken: dict[str, Any] = {}
    for section, inner in values.items():
        if isinstance(inner, Mapping):
            kept = {key: value for key, value in inner.items() if f"{section}.{key}" in mine}
            taken |= {section: kept} if kept else {}
        elif section in mine:
            taken[section] = inner
    return taken


def _refuse_unknown_in_file(key: str, value: Any, known: set[str], where: str) -> None:
    if key in known or _is_option(key, known):
        return
    if any(name.startswith(f"{key}.") for name in known):
        if value == {}:
            return
        pick = (
            f", or pick a file by 'defaults: [override /{key}: {value}]'"
            if key in GROUPS and isinstance(value, str)
            else ""
        )
        found = "nothing" if value is None else repr(value)
        raise ConfigError(f"{key} in {where} is a section, found {found}. Write its settings below it, indented{pick}.")
    if any(key in _keys(schema(), "") for schema in (CompareConfig, AblateConfig, MeasureConfig, ImportConfig)):
        raise ConfigError(f"{key} in {where} is for one command alone. Give it on the command line, as --{key}.")
    raise ConfigError(f"No setting is called {key!r}, found in {where}. {_nearest_key(key, sorted(known), GROUPS)}")


def _refuse_unknown_key(key: str, schema: type[TaskConfig]) -> None:
    known = sorted(_keys(schema(), ""))
    if key not in known and not _is_option(key, known):
        raise ConfigError(f"No setting is called {key!r}. {_nearest_key(key, known, groups_of(schema))}")


def _is_option(key: str, known: Iterable[str]) -> bool:
    return not key.endswith(".") and key.startswith(tuple(f"{name}." for name in known if name.endswith(".options")))


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
