"""``python -m search``: one search, from the command line to the exit code.

Exit codes: 0 the budget is met, 2 wrong input (one sentence), 3 finished but infeasible, 130 and 143 interrupted.
"""

import dataclasses
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from conf.loading import choices

USAGE = """\
Search how many channels each layer of a spiking network keeps, under a budget of synaptic operations.

  python -m search --strategy ddpg
  python -m search --strategy cmaes --data cifar10 --network vgg16 --budget.target 0.4
  python -m search --strategy gp --network._target_ my_package.MyNet --name my-run

A run lies in runs/NAME/: report.html, result.json, best/ (the smaller network), study.db (every trial).
The same command goes on where an interrupted run was, and shows the result of a finished one.
"""


class Terminated(BaseException):
    """The process was asked to end; derived like KeyboardInterrupt, so that nothing swallows it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one search; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if {"-h", "--help", "help"} & set(arguments):
        print(help_text())
        return 0
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _search(arguments)
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    except Terminated:
        print("Terminated. The same command goes on from here.", file=sys.stderr)
        return 143
    finally:
        signal.signal(signal.SIGTERM, before)


def _search(arguments: Sequence[str]) -> int:
    from conf.schema import ConfigError
    from search.configuration import load_config

    try:
        config = load_config(arguments)
    except ConfigError as error:
        return _refuse(error)

    # Only now, with a valid command line, the libraries that take seconds to import.
    from datamodules.errors import DataError
    from lightning_snn.errors import ArtifactError
    from lightning_snn.errors import NetworkError
    from lightning_snn.errors import SurgeryError
    from search.errors import SearchError
    from search.pipeline import run_search

    try:
        result = run_search(config)
    except (ConfigError, DataError, NetworkError, SurgeryError, ArtifactError, SearchError) as error:
        return _refuse(error)
    return 0 if result["budget"]["met"] else 3


def help_text() -> str:
    """Return what ``--help`` prints: usage, names by group, settings with their defaults."""
    from conf.schema import SearchConfig

    lines = [USAGE]
    for group, title in (("strategy", "Strategies"), ("data", "Data sets"), ("network", "Networks")):
        lines.append(f"{title} (--{group} NAME):")
        lines += [f"  {name:<14}{about}" for name, about in choices(group).items()] + [""]
    for group in ("training", "logger", "experiment"):
        lines.append(f"--{group}: {', '.join(choices(group)) or 'none'}")
    lines += ["", "Settings (--KEY VALUE), with their defaults:"]
    config = SearchConfig()
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if not dataclasses.is_dataclass(value):
            lines.append(f"  {each.name}={value}")
        elif each.name not in ("training", "finetuning"):
            lines += [f"  {each.name}.{leaf.name}={getattr(value, leaf.name)}" for leaf in dataclasses.fields(value)]
    lines.append("  training.*, finetuning.*: " + ", ".join(f.name for f in dataclasses.fields(config.training)))
    return "\n".join(lines).replace("=None", "=null")


def _refuse(error: Exception) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
