"""The configuration of a search: read from the command line or from a run, and the folders it is named by."""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path

from conf import identity
from conf.loading import given_keys
from conf.loading import load
from conf.loading import say
from conf.schema import ConfigError
from conf.schema import SearchConfig
from lightning_snn.run_folder import QUESTION


def load_config(arguments: Sequence[str]) -> SearchConfig:
    """Compose and validate the configuration of one search.

    Raises:
        ConfigError: If a key, a name or a value is wrong; the message names the nearest valid one. Or if a reward is
            given that has no effect.
    """
    config = load(SearchConfig, "search", arguments)
    given = [key for key in given_keys(arguments) if key.startswith("reward.")]
    if given and config.budget.projection:
        raise ConfigError(
            f"{given[0]} has no effect: with projection all proposals are within the budget and worth their accuracy. "
            "Leave it out, or add --budget.projection false."
        )
    return config


def restore_config(run: Path) -> SearchConfig:
    """Return the configuration of a run from its folder, ``runs/<name>``: with a name where it was given one.

    Raises:
        ConfigError: If there is none.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not (run / "settings.json").exists():
        lacks = "it is a file" if run.is_file() else "it holds no settings.json"
        raise ConfigError(f"{run} is not the folder of a run: {lacks}. {_what_else(run)}")
    try:
        settings = json.loads((run / "settings.json").read_text(encoding="utf-8"))
        if "strategy" not in settings:
            raise ConfigError(f"{run} is not the folder of a search, but of a training. Name that of a search.")
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SearchConfig), settings))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{run} holds settings of another version. {say(error)}") from error
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run / 'settings.json'} cannot be read ({error}). Make the run again.") from error
    assert isinstance(config, SearchConfig)
    found = dataclasses.replace(config, name=None, runs=str(run.parent))
    return found if run_name(found) == run.name else dataclasses.replace(found, name=run.name)


def _what_else(run: Path) -> str:
    """Return what to do with a folder that is not a run's."""
    if (run / QUESTION).exists() or (run / "ablation.json").exists():
        return "It is an ablation's, whose page its own command makes again."
    if (run / "compare.json").exists():
        return (
            "It holds the tables of a comparison without its searches: name the folder below runs/ that they are from."
        )
    near = difflib.get_close_matches(run.name, [each.parent.name for each in run.parent.glob("*/settings.json")], n=1)
    return f"Did you mean {run.parent / near[0]}?" if near else "Name a folder below runs/."


def run_name(config: SearchConfig) -> str:
    """Return the folder name of a run: the same configuration finds its run again."""
    target = f"{config.budget.target:g}" if config.budget.synops is None else f"{config.budget.synops:g}synops"
    return identity.run_name(config, config.strategy.name, target)


def shared_folders(config: SearchConfig) -> tuple[Path, Path]:
    """Return the folders of the dense network and of the estimator's samples, named by all that shapes them.

    The strategy does not, so that runs with ten strategies share them.
    """
    settings = identity.identity(config)
    drawn = {key: settings[key] for key in ("finetuning", "synops", "space")}
    drawn["target"] = (config.budget.target, config.budget.synops)
    folder = identity.dense_folder(config)
    return folder, folder / f"samples-{identity.digest(drawn)}"
