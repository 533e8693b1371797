"""What ``--help`` prints of a command: the names of each group, and all settings with their defaults."""

import dataclasses

from conf.loading import choices
from conf.loading import groups_of
from conf.schema import TaskConfig
from conf.schema import TrainingConfig

TITLES = {"strategy": "Strategies", "data": "Data sets", "network": "Networks"}
"""Groups whose names are explained, in this order; the others are only listed."""


def help_text(usage: str, schema: type[TaskConfig]) -> str:
    """Return usage, names by group, and settings; nothing big is imported for it."""
    lines, groups = [usage], groups_of(schema)
    for group in (group for group in TITLES if group in groups):
        names = choices(group)
        width = max(len(name) for name in names) + 2
        lines += [f"{TITLES[group]} (--{group} NAME):", *(f"  {name:<{width}}{names[name]}" for name in names), ""]
    for group in (group for group in groups if group not in TITLES):
        lines.append(f"--{group}: {', '.join(choices(group)) or 'none'}")
    return "\n".join([*lines, "", *_settings(schema())]).replace("=None", "=null")


def _settings(config: TaskConfig) -> list[str]:
    """Return a line for each setting, and one for all recipes together, whose values come with the data."""
    lines, recipes = ["Settings (--KEY VALUE), with their defaults:"], []
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if isinstance(value, TrainingConfig):
            recipes.append(f"{each.name}.*")
        elif dataclasses.is_dataclass(value):
            lines += [f"  {each.name}.{leaf.name}={getattr(value, leaf.name)}" for leaf in dataclasses.fields(value)]
        else:
            lines.append(f"  {each.name}={value}")
    keys = ", ".join(leaf.name for leaf in dataclasses.fields(TrainingConfig))
    return [*lines, f"  {', '.join(recipes)}: {keys}"] if recipes else lines
