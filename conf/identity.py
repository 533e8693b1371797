"""What a run is: the settings that shape its numbers, what data and networks hold, and short names made of them."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conf.schema import RunConfig
from conf.schema import TaskConfig


def leaves(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``("a.b", value)`` for each value of nested plain dicts; an empty dict is a value."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, separator, f"{prefix}{key}{separator}")
        else:
            yield f"{prefix}{key}", value


def digest(values: Any) -> str:
    """Return ten hexadecimal digits that stand for plain values, whatever their order, and however options are written.

    An option has no type until it is used: 2 and 2.0 are the same option.
    """
    return hashlib.sha256(json.dumps(_one_spelling(values), sort_keys=True).encode()).hexdigest()[:10]


def _one_spelling(values: Any, is_option: bool = False) -> Any:
    if isinstance(values, Mapping):
        return {key: _one_spelling(value, is_option or key == "options") for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_one_spelling(value, is_option) for value in values]
    whole = is_option and isinstance(values, float) and values.is_integer()
    return int(values) if whole else values


def identity(config: RunConfig) -> dict[str, Any]:
    """Return what makes a run the run it is: all settings but those that only say where and how it is carried out.

    Data and networks count by content and not by the places they lie at. Where it is not known, in runs that were made
    before it was recorded, the place of a dense network that was given stands for it.
    """
    values = dataclasses.asdict(config)
    for key in ("name", "runs", "threads", "logger", "workers", "task", "reference"):
        values.pop(key, None)
    del values["data"]["root"]
    if config.content.is_known:
        del values["baseline"]["artifact"]
    else:
        del values["content"]
    values.get("estimator", {}).pop("workers", None)
    if values.get("pruning", {}).get("name") == "none":
        for section in ("pruning", "finetuning", "baseline"):
            del values[section]
    return values


def places(config: RunConfig) -> dict[str, Any]:
    """Return where data and networks lie, by setting: what a run records beside its identity."""
    return {"data.root": config.data.root, "baseline.artifact": config.baseline.artifact}


def run_name(config: RunConfig, *parts: str) -> str:
    """Return the folder name of a run, ``data-network-<parts>-s<seed>-<hash>``, or the one that was given.

    The same settings and content find their run again.
    """
    if config.name is not None:
        return config.name
    return "-".join((config.data.name, network_name(config), *parts, f"s{config.seed}", digest(identity(config))))


def network_name(config: TaskConfig) -> str:
    """Return what a network is called in a few words: its class, where it is one's own."""
    return re.split("[.:]", config.network._target_ or config.network.name)[-1]


def dense_folder(config: RunConfig) -> Path:
    """Return the folder of a configuration's dense network, named by all that shapes it: runs that need it share it."""
    settings = identity(config)
    shaping = ("seed", "data", "network", "training", "baseline", "trainer", "content")
    return Path(config.runs) / "_shared" / digest({key: settings[key] for key in shaping if key in settings})
