"""An experiment: a YAML file of settings, ours by its name or a user's own by its path, and the files that it picks.

    # what it is
    defaults:
      - override /data: cifar10
    training:
      epochs: 5

Its keys are those of the command line. Hydra would put them below ``experiment`` where a file does not begin with
``# @package _global_``, and would not see that line behind a byte order mark; here both are read as they are meant.
"""

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from importlib import resources
from pathlib import Path
from typing import Any

from conf.groups import GROUPS
from conf.groups import check_choice
from conf.groups import choices
from conf.groups import nearest
from conf.schema import ConfigError

NONE = ("null", "none")
"""Names of no experiment."""


@dataclass(frozen=True)
class Experiment:
    """What an experiment says."""

    where: str = ""
    """Its file, as messages name it."""
    picked: dict[str, str] = field(default_factory=dict)
    """Group -> name of the file that it picks."""
    values: dict[str, Any] = field(default_factory=dict)
    """Settings, nested."""


def read_experiment(name: str) -> Experiment:
    """Return what an experiment says: that of our name, or that of a file, by its path.

    Args:
        name: A path ends in ``.yaml`` or ``.yml``, or holds a separator.

    Raises:
        ConfigError: If there is none, or it cannot be read; the message names file, line and reason.
    """
    if name in NONE:
        return Experiment()
    if name.endswith((".yaml", ".yml")) or "/" in name or os.sep in name:
        where = name
        content = _content(Path(name).expanduser())
    else:
        if name not in choices("experiment") and Path(f"{name}.yaml").is_file():
            raise ConfigError(f"No experiment is called {name!r}. For the file, write --experiment {name}.yaml.")
        check_choice("experiment", name)
        where = f"experiment {name}"
        content = resources.files("conf").joinpath("experiment", f"{name}.yaml").read_bytes()
    values = parse(content, where)
    return Experiment(where, _picked(values.pop("defaults", None), where), values)


def parse(content: bytes, where: str) -> dict[str, Any]:
    """Return the mapping that YAML holds; ``where`` it was found is for messages.

    Raises:
        ConfigError: If it is no text, no YAML, or no mapping, or a key is given twice.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError
    from yaml import YAMLError

    try:
        text = content.decode("utf-8-sig")
        found = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except UnicodeDecodeError as error:
        before = content[: error.start].count(b"\n")
        raise ConfigError(f"{where}, line {before + 1}: not UTF-8. Save the file as UTF-8.") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ConfigError(f"{where}{line}: {_told(error.problem or str(error))}") from error
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{where} cannot be read: {str(error).splitlines()[0]}.") from error
    except RecursionError as error:
        raise ConfigError(f"{where} cannot be read: an anchor in it refers to itself. Write the value out.") from error
    except OSError:  # so OmegaConf calls a number
        found = None
    if not isinstance(found, dict) or (":" not in text and found):  # OmegaConf makes a key of a mere word
        raise ConfigError(f"{where} holds no settings. Write them as 'key: value', one a line.")
    return {str(key): value for key, value in found.items()}


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        known = choices("experiment")
        ours = f" Did you mean {file.stem!r}?" if file.stem in known else " Ours are named without a path; see --help."
        raise ConfigError(f"There is no file {file} for --experiment.{ours}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read for --experiment ({error.strerror}). Name a YAML file.") from error


def _told(problem: str) -> str:
    twice = re.match(r"found duplicate key (.+)", problem)
    if twice:
        return f"{twice[1]} is given twice. Leave one out."
    if r"'\t'" in problem:
        return "a tab. Indent with spaces."
    return f"not YAML, {problem}."


def _picked(defaults: object, where: str) -> dict[str, str]:
    """Return what a list of defaults picks, such as ``override /data: cifar10``; Hydra's other forms are refused."""
    form = "Picks are written '- override /data: cifar10', one a line."
    if defaults is None:
        return {}
    if not isinstance(defaults, list):
        raise ConfigError(f"defaults in {where} are a list, found {defaults!r}. {form}")
    picked: dict[str, str] = {}
    for entry in defaults:
        if entry == "_self_":
            continue
        key, name = next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else (entry, None)
        group = re.sub(r"^(override\s+)?/?", "", str(key))
        if name is None:
            raise ConfigError(f"defaults in {where} pick files, found {entry!r}. {form}")
        if group not in GROUPS[:-1]:
            raise ConfigError(f"No group of files is called {group!r} in {where}. {nearest(group, GROUPS[:-1])}")
        if group in picked:
            raise ConfigError(f"{group} is picked twice in {where}: {picked[group]} and {name}. Leave one out.")
        check_choice(group, name, f"{where}: ")
        picked[group] = str(name)
    return picked
