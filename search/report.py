"""``python -m search.report RUN...``: make pages, tables and W&B runs again from run folders alone.

Exit codes: 0 done, 2 wrong input (one sentence), 130 and 143 interrupted.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lightning_snn._command import run_command

USAGE = """\
Make pages, tables and W&B runs again from what runs left; nothing is trained or measured.

  python -m search.report runs/NAME                     its report.html
  python -m search.report runs/A runs/B runs/C --out D  those of each, and D/compare.html of all
  python -m search.report runs/compare-NAME             those of its runs, and its compare.html
  python -m search.report runs/NAME --wandb             also as a run at Weights & Biases, of its name

Settings:
  RUN ...      folders of finished searches, or of comparisons
  --out DIR    folder for the comparison of several runs; by default report in the folder of the runs
  --reference  strategy that the others are held against, of several runs; random by default
  --wandb      send each run to Weights & Biases, in one group: online where there is a key, else offline in its folder
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the reports; return the exit code."""
    return run_command(_report, arguments, lambda: USAGE)


def _report(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m search.report", add_help=False)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reference", default="random")
    parser.add_argument("--wandb", action="store_true")
    try:
        asked = parser.parse_args(list(arguments))
    except SystemExit as wrong:
        return int(wrong.code or 0)
    from rich.console import Console

    from search.comparison.plan import members_of
    from search.comparison.run import PLAN
    from search.comparison.run import About
    from search.comparison.run import read_plan
    from search.comparison.run import say_where
    from search.comparison.run import summarise
    from search.comparison.run import write_comparison
    from search.record import read_record
    from search.run_page import write_report
    from search.tracking import open_tracker
    from search.tracking import send

    console = Console()
    comparisons = [folder for folder in asked.runs if (folder / PLAN).exists()]
    runs = [folder for folder in asked.runs if folder not in comparisons]
    plans = {folder: read_plan(folder) for folder in comparisons}
    if len(runs) > 1:
        out = asked.out or runs[0].parent / "report"
        about = About(f"{len(runs)} searches", "python -m search.report " + " ".join(map(str, runs)), asked.reference)
        plans[out] = (members_of(runs), about)
    groups = {each.folder: out.name for out, (members, _) in plans.items() for each in members if each.is_finished}
    for run in dict.fromkeys([*runs, *groups]):
        record = read_record(run)
        write_report(run / "report.html", record)
        console.print(f"{run / 'report.html'}", soft_wrap=True)
        if asked.wandb:
            logger = dataclasses.replace(record.config.logger, name="wandb", group=groups.get(run))
            send(record, open_tracker(dataclasses.replace(record.config, logger=logger), run))
    for out, (members, about) in plans.items():
        write_comparison(out, summarise(members, about, {}))
        say_where(console, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
