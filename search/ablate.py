"""``python -m search.ablate NAME``: one question, one page.

Exit codes: 0 done, 2 wrong input (one sentence), 3 a search has no result, 130 and 143 interrupted.
"""

import dataclasses
import pkgutil
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from conf import help as conf_help
from conf.identity import digest
from conf.identity import identity
from conf.identity import network_name
from conf.identity import places
from conf.loading import given_keys
from conf.loading import load
from conf.loading import parse_arguments
from conf.schema import AblateConfig
from conf.schema import ConfigError
from lightning_snn._command import run_command
from lightning_snn.errors import nearest
from search.ablations import ABLATIONS

USAGE = """\
Answer one question by runs of its own: a table, a picture and a conclusion that a rule draws from the numbers.

  python -m search.ablate estimator-samples
  python -m search.ablate reward --seeds 0,1,2,3,4 --workers 2
  python -m search.ablate estimator-form --data cifar10 --network vgg_compact

Out: runs/NAME/ablation.html, .md, .tex and .json. What is finished is not done again, so the same command goes on
where an interrupted one was. It says what it costs before it starts. Searches are by the strategies that the question
names: by CMA-ES in criterion, first-layer and recalibration, where --strategy does not name another.

Questions (python -m search.ablate NAME --help says how one is answered):
"""
OWN = ("seeds", "workers", "name", "budget.target")
"""Settings that are not handed on to each search as they are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one question; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run_command(_ablate, given, lambda: help_text(given))


def _ablate(arguments: Sequence[str]) -> int:
    asked = _question(arguments)
    if asked is None:
        raise ConfigError(f"Name a question first, such as python -m search.ablate reward. {nearest('', ABLATIONS)}")
    rest, (source, question) = arguments[1:], ABLATIONS[asked]
    if "seed" in given_keys(rest):
        raise ConfigError("An ablation has several seeds: found seed. Write --seeds, separated by commas.")
    config = load(AblateConfig, "ablate", rest)
    import torch
    from rich.console import Console

    from lightning_snn.progress import Reporter
    from lightning_snn.run_folder import QUESTION
    from lightning_snn.run_folder import RunFolder
    from lightning_snn.task import identified
    from search.ablations.ablation import Ablation
    from search.ablations.ablation import Setting
    from search.ablations.finding import write_finding

    ablation: Ablation = pkgutil.resolve_name(source)
    settings = [f"{key}={value}" for key, value in parse_arguments(rest) if key not in OWN]
    cost = ablation.cost(Setting(config, settings, Path(config.runs)))  # refuses what the question cannot take
    config = identified(config)
    named = f"{asked}-{config.data.name}-{network_name(config)}"
    name = config.name or f"ablate-{named}-{digest(identity(config))}"
    setting = Setting(config, settings, Path(config.runs) / name)
    console = Console(markup=False)
    torch.set_num_threads(config.threads)
    whole = {"question": asked, **identity(config)}
    with RunFolder(setting.folder, whole, places(config), QUESTION).open():
        console.print(cost, soft_wrap=True, highlight=False)
        with Reporter(console) as reporter, reporter.phase(asked) as phase:
            finding = ablation.find(setting, phase)
            finding = dataclasses.replace(finding, about=finding.about or setting.scope())
        write_finding(
            setting.folder, asked, question, finding, shlex.join(["python", "-m", "search.ablate", *arguments])
        )
    console.print(f"\n{question}\n{finding.verdict}\n", soft_wrap=True, highlight=False)
    console.print(f"{setting.folder / 'ablation.html'} shows it.", soft_wrap=True)
    return 3 if finding.failed else 0


def _question(arguments: Sequence[str]) -> str | None:
    """Return the question that a command line begins with, if it begins with one.

    Raises:
        ConfigError: If there is none of that name.
    """
    asked = arguments[0] if arguments else ""
    if not asked or asked == "help" or asked.startswith("-") or "=" in asked:
        return None
    if asked not in ABLATIONS:
        raise ConfigError(f"No ablation is called {asked!r}. {nearest(asked, ABLATIONS)}")
    return asked


def help_text(arguments: Sequence[str]) -> str:
    """Return what ``--help`` prints: of one question, where a command line names one."""
    asked = _question(arguments)
    if asked is not None:
        from search.ablations.explanation import explain

        return explain(asked)
    width = max(map(len, ABLATIONS)) + 2
    questions = "".join(f"  {name:<{width}}{question}\n" for name, (_, question) in ABLATIONS.items())
    return conf_help.help_text(USAGE + questions, AblateConfig, {"seed": "seeds"})


if __name__ == "__main__":
    raise SystemExit(main())
