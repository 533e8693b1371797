"""``python -m search.report RUN...``: make pages, tables and W&B runs again from run folders alone.

Exit codes: 0 done, 2 wrong input (one sentence), 130 and 143 interrupted.
"""

import argparse
import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from conf.schema import ConfigError
from lightning_snn._command import run_command
from lightning_snn.errors import nearest

USAGE = """\
Make pages, tables and W&B runs again from what runs left; nothing is trained or measured.

  python -m search.report runs/NAME                     its report.html
  python -m search.report runs/A runs/B runs/C --out D  those of each, and D/compare.html of all
  python -m search.report runs/compare-NAME             those of its runs, and its compare.html
  python -m search.report runs/NAME --wandb             also as a run at Weights & Biases, of its name

Settings:
  RUN ...           folders of finished searches, or of comparisons
  --out DIR         folder for the comparison; by default its own, and report beside the runs where several are named
  --reference NAME  strategy that the others are held against; by default the comparison's own, and random for several
  --debug           show where in the code a mistake was found
  --wandb           send each run to Weights & Biases, in the group of the comparison that was named, else of its own:
                    online where there is a key, else offline in its folder
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as our other commands do."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}. python -m search.report --help shows what can be given.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the reports; return the exit code."""
    return run_command(_report, arguments, lambda: USAGE)


def _report(arguments: Sequence[str]) -> int:
    parser = _Parser(prog="python -m search.report", add_help=False)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reference")
    parser.add_argument("--wandb", action="store_true")
    asked = parser.parse_args(list(arguments))
    from rich.console import Console

    from lightning_snn.progress import Reporter
    from lightning_snn.run_folder import KINDS
    from lightning_snn.run_folder import PLAN
    from lightning_snn.run_folder import of_unknown_content
    from search.comparison.plan import members_of
    from search.comparison.run import About
    from search.comparison.run import read_plan
    from search.comparison.run import say_where
    from search.comparison.run import summarise
    from search.comparison.run import write_comparison
    from search.record import read_record
    from search.run_page import write_report
    from search.tracking import open_tracker
    from search.tracking import send

    command = shlex.join(["python", "-m", "search.report", *arguments])
    named = list(dict.fromkeys(run.resolve() for run in asked.runs))  # the current folder has a name too
    comparisons = [folder for folder in named if (folder / PLAN).exists()]
    runs = [folder for folder in named if folder not in comparisons]
    plans = {folder: read_plan(folder) for folder in comparisons}
    if len(runs) > 1:
        plans[runs[0].parent / "report"] = (members_of(runs), About(f"{len(runs)} searches", command, "random"))
    if asked.reference is not None:
        for out, (members, about) in plans.items():
            variants = dict.fromkeys(each.variant for each in members)
            if asked.reference not in variants:
                raise ConfigError(f"No strategy of {out} is {asked.reference!r}. {nearest(asked.reference, variants)}")
            plans[out] = (members, dataclasses.replace(about, command=command, reference=asked.reference))
    if len(plans) != 1 and (asked.out or (asked.reference and not plans)):
        found = ", ".join(map(str, plans)) or f"a single search, {runs[0]}"
        raise ConfigError(
            f"--out and --reference are for one comparison, found {found}. Name several searches, or the folder of one "
            "comparison."
        )
    if asked.out and asked.out.resolve() not in plans:
        held = next((what for mark, what in KINDS.items() if (asked.out / mark).exists()), None)
        if held is not None:
            raise ConfigError(f"--out names a folder for a report, found that of {held}, {asked.out}. Name another.")
    records = {run: read_record(run) for run in runs}
    groups = {each.folder: out.name for out, (members, _) in plans.items() for each in members if each.is_finished}
    records |= {run: read_record(run) for run in groups if run not in records}
    summaries = {asked.out or out: summarise(members, about, {}) for out, (members, about) in plans.items()}
    for out in summaries:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{out} is no folder to write to ({error.strerror}). Name another by --out.") from error
    console = Console(markup=False)
    for run in (run for run, record in records.items() if not record.config.content.is_known):
        console.print(of_unknown_content(run), soft_wrap=True, highlight=False)
    for out, comparison in summaries.items():
        write_comparison(out, comparison)
        for title, why in comparison.failed.items():
            console.print(f"{title} is missing: {why}.", soft_wrap=True, highlight=False)
        say_where(console, out)
    with Reporter(console) as reporter, reporter.phase("reports", len(records)) as phase:
        for run, record in records.items():
            write_report(run / "report.html", record)
            if asked.wandb:
                logger = record.config.logger
                logger = dataclasses.replace(logger, name="wandb", group=groups.get(run, logger.group))
                send(record, open_tracker(dataclasses.replace(record.config, logger=logger), run))
            console.print(f"{run / 'report.html'}", soft_wrap=True)
            phase.advance("")
    if asked.wandb:
        console.print(
            "Sent to Weights & Biases where there is a key, else written to RUN/wandb: wandb sync RUN/wandb/offline-* "
            "sends it later."
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
