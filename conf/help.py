"""What ``--help`` prints of a command: the names of each group, and all settings with defaults and meaning."""

import ast
import dataclasses
import inspect
import itertools
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import conf.schema
from conf.groups import choices
from conf.loading import groups_of
from conf.schema import TaskConfig
from conf.schema import TrainingConfig
from conf.schema import settings_in

TITLES = {"strategy": "Strategies", "pruning": "Pruners", "data": "Data sets", "network": "Networks"}
"""Groups whose names are explained, in this order; the others are only listed."""


def help_text(usage: str, schema: type[TaskConfig], several: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return usage, names by group, and settings; nothing big is imported for it.

    Args:
        usage: First lines.
        schema: Of the command.
        several: Setting or group that the command takes in the plural only -> that plural.
    """
    lines, groups = [usage], groups_of(schema)
    for group in (group for group in TITLES if group in groups):
        lines += [f"{TITLES[group]} ({_given(group, several)}):", *_aligned(choices(group)), ""]
    for group in (group for group in groups if group not in TITLES):
        lines.append(f"--{group}: {', '.join(choices(group)) or 'none'}")
    lines.append("--experiment path/to/mine.yaml: a file of your own, with the settings below and picks of files")
    lines.append("--debug: where in the code a mistake was found, before the sentence about it")
    return "\n".join([*lines, "", *_settings(schema(), several)])


def _given(group: str, several: Mapping[str, str]) -> str:
    return f"--{several[group]} NAME,NAME" if group in several else f"--{group} NAME"


def _settings(config: TaskConfig, several: Mapping[str, str]) -> list[str]:
    """Return a line for each setting, and one for each key of all recipes, whose values come with the data."""
    settings, recipes = _leaves(config), []
    for each in settings_in(config):
        value = getattr(config, each.name)
        if isinstance(value, TrainingConfig):
            recipes.append(f"{each.name}.*")
        elif dataclasses.is_dataclass(value):
            settings |= {f"{each.name}.{leaf}": meaning for leaf, meaning in _leaves(value).items()}
    settings = {
        setting: meaning
        for setting, meaning in settings.items()
        if setting.partition("=")[0].removesuffix(".name") not in several
    }
    lines = ["Settings (--KEY VALUE), with their defaults:", *_aligned(settings)]
    if recipes:
        keys = {leaf.partition("=")[0]: meaning for leaf, meaning in _leaves(TrainingConfig()).items()}
        lines += ["", f"{', '.join(recipes)}: recipes, whose defaults come with the data or --training NAME:"]
        lines += _aligned(keys)
    return lines


def _leaves(section: Any) -> dict[str, str]:
    """Return ``key=default`` of each value in a section, with what it means."""
    meanings, leaves = _meanings(), {}
    for each in dataclasses.fields(section):
        value = getattr(section, each.name)
        if not dataclasses.is_dataclass(value):
            owners = (cls.__name__ for cls in type(section).__mro__ if (cls.__name__, each.name) in meanings)
            shown = "null" if value is None else value
            leaves[f"{each.name}={shown}"] = meanings.get((next(owners, ""), each.name), "")
    return leaves


@cache
def _meanings() -> dict[tuple[str, str], str]:
    """Return the first sentence below each field of the schema, by (class, field): Python itself drops them."""
    found = {}
    statements = ast.parse(inspect.getsource(conf.schema)).body
    for section in (each for each in statements if isinstance(each, ast.ClassDef)):
        for each, below in itertools.pairwise(section.body):
            match each, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    sentence = " ".join(text.split()).partition(". ")[0]
                    found[section.name, name] = sentence.removesuffix(".").replace("``", "")
    return found


def _aligned(explained: dict[str, str]) -> list[str]:
    width = max(map(len, explained)) + 2
    return [f"  {name:<{width}}{meaning}" for name, meaning in explained.items()]
