"""``python -m search.compare``: strategies x budgets x seeds, side by side.

Exit codes: 0 every result meets its budget, 2 wrong input (one sentence), 3 some do not or failed, 130 and 143
interrupted.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from conf import help as conf_help
from conf.identity import digest
from conf.identity import identity
from conf.identity import network_name
from conf.loading import given_keys
from conf.loading import load
from conf.loading import parse_arguments
from conf.schema import CompareConfig
from conf.schema import ConfigError
from lightning_snn._command import run_command
from lightning_snn.errors import nearest

USAGE = """\
Compare strategies: each with the same seeds, budgets and number of evaluations, on one dense network and estimator a
seed (slimming and sca rank channels otherwise, and have an estimator of their own).

  python -m search.compare --strategies ddpg,cmaes,random --seeds 0,1,2 --workers 2
  python -m search.compare --targets 0.7,0.5,0.3 --data cifar10 --network vgg_compact --strategy.evaluations 60
  python -m search.compare --task 7              (only the eighth search; scripts/compare.sbatch)

Settings go to every search, also --strategy.options.KEY: to compare one strategy with others under options of its own,
search one by one and name the runs to python -m search.report.

Out: runs/NAME/compare.html, compare.json, compare.md and compare.tex. Each search is an ordinary run beside it; what
is finished is not done again, so the same command goes on where an interrupted one was.
"""
OWN = ("strategies", "seeds", "targets", "reference", "workers", "task", "name", "seed", "strategy", "budget.target")
"""Settings that are not handed on to each search as they are."""

SEVERAL = {"strategy": "strategies", "seed": "seeds"}
"""Settings of a search that a comparison takes in the plural."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return the exit code."""
    return run_command(_compare, arguments, help_text)


def _compare(arguments: Sequence[str]) -> int:
    given = set(given_keys(arguments))
    for key, several in SEVERAL.items():
        if found := given & {key, f"{key}.name"}:
            raise ConfigError(f"A comparison has several: found {min(found)}. Write --{several}, separated by commas.")
    if {"targets", "budget.target"} <= given:
        raise ConfigError("targets and budget.target were given both. Leave one out.")
    config = load(CompareConfig, "compare", arguments)
    if "reference" in given and config.reference not in config.strategies:
        raise ConfigError(
            f"reference is one of the strategies, found {config.reference!r}. "
            f"{nearest(config.reference, config.strategies)}"
        )
    targets = config.targets or [config.budget.target]
    searches = len(config.strategies) * len(targets) * len(config.seeds)
    if config.task is not None and not 0 <= config.task < searches:
        raise ConfigError(f"task is one of {searches} searches, 0 to {searches - 1}, found {config.task}.")
    from search.comparison.plan import in_group
    from search.comparison.plan import plan_runs
    from search.comparison.run import About
    from search.comparison.run import run_comparison  # only now, with a valid command line

    network = network_name(config)
    settings = [f"{key}={value}" for key, value in parse_arguments(arguments) if key not in OWN]
    settings.append(f"strategy.evaluations={config.strategy.evaluations}")
    planned = plan_runs(
        settings,
        {name: (f"strategy={name}",) for name in config.strategies},
        targets=targets,
        seeds=config.seeds,
    )
    searched = [each.folder.name for each in planned]  # named by what data and networks hold, too
    name = config.name or f"compare-{config.data.name}-{network}-{digest([identity(config), searched])}"
    if config.logger.name != "none" and config.logger.group is None:
        planned = [in_group(each, name) for each in planned]
    about = About(
        title=f"{network} on {config.data.name}: {', '.join(config.strategies)}",
        command=shlex.join(["python", "-m", "search.compare", *arguments]),
        reference=config.reference,
    )
    return run_comparison(planned, Path(config.runs) / name, about, workers=config.workers, task=config.task)


def help_text() -> str:
    """Return what ``--help`` prints."""
    return conf_help.help_text(USAGE, CompareConfig, SEVERAL)


if __name__ == "__main__":
    raise SystemExit(main())
