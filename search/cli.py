"""``python -m search``: one search, from the command line to the exit code.

Exit codes: 0 the budget is met, 2 wrong input (one sentence), 3 finished but infeasible, 130 and 143 interrupted.
"""

from collections.abc import Sequence

from conf import help as conf_help
from conf.schema import SearchConfig
from lightning_snn._command import run_command

USAGE = """\
Search how many channels each layer of a spiking network keeps, under a budget of synaptic operations.

  python -m search --strategy ddpg
  python -m search --strategy cmaes --data cifar10 --network vgg16 --budget.target 0.4
  python -m search --strategy gp --network._target_ my_package.MyNet --name my-run

A run lies in runs/NAME/: report.html, result.json, best/ (the smaller network), study.db (every trial).
The same command goes on where an interrupted run was, and shows the result of a finished one.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one search; return the exit code."""
    return run_command(_search, arguments, help_text)


def _search(arguments: Sequence[str]) -> int:
    from search.configuration import load_config

    config = load_config(arguments)
    from search.pipeline import run_search  # only now, with a valid command line: torch takes seconds to import

    return 0 if run_search(config)["budget"]["met"] else 3


def help_text() -> str:
    """Return what ``--help`` prints: usage, names by group, settings with their defaults."""
    return conf_help.help_text(USAGE, SearchConfig)
