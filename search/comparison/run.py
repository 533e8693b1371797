"""A comparison from its plan to its files: carry out, read back, summarise, write."""

from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from conf.schema import ConfigError
from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.files import write_text
from lightning_snn.progress import Reporter
from lightning_snn.run_folder import PLAN
from lightning_snn.run_folder import refuse_other_kinds
from search.comparison.execution import carry_out
from search.comparison.outcomes import read_outcome
from search.comparison.page import write_page
from search.comparison.plan import Member
from search.comparison.plan import Planned
from search.comparison.plan import what_searches_cost
from search.comparison.summary import Comparison
from search.comparison.summary import compare
from search.comparison.tables import IN_PAPER
from search.comparison.tables import cells
from search.comparison.tables import latex
from search.comparison.tables import markdown
from search.comparison.verdict import verdict


@dataclass(frozen=True)
class About:
    """What a comparison is called, how it is made, and what its variants are held against."""

    title: str = ""
    command: str = ""
    reference: str = ""


def run_comparison(
    planned: Sequence[Planned], folder: Path, about: About, *, workers: int, task: int | None = None
) -> int:
    """Carry out what is left of a comparison, and write its page and tables.

    Args:
        planned: All its searches.
        folder: Of the comparison.
        about: What is said of it.
        workers: Searches at a time.
        task: Only this one, and no page.

    Returns:
        0 where every search, or the one of ``task``, met its budget, else 3.

    Raises:
        RunError: If another process works on it, its folder is of something else, or no search has a result.
    """
    refuse_other_kinds(folder, PLAN)
    _refuse_another(folder, planned)
    console = Console(markup=False)
    if task is not None:
        with Reporter(console) as reporter, reporter.phase("searches") as phase:
            failed = carry_out([planned[task]], 1, folder / "logs", phase)
        return _exit_code(console, failed, met=bool(failed) or read_outcome(planned[task]).met)
    with locked(folder, wait=False):
        write_plan(folder, planned, about)
        console.print(_what_comes(planned, folder, about), soft_wrap=True, highlight=False)
        with Reporter(console) as reporter, reporter.phase("searches") as phase:
            failed = carry_out(planned, workers, folder / "logs", phase)
        comparison = summarise(planned, about, failed)
        write_comparison(folder, comparison)
    console.print(comparison_table(comparison))
    console.print(f"\n{verdict(comparison)}\n", soft_wrap=True, highlight=False)
    say_where(console, folder)
    return _exit_code(console, failed, met=all(each.met for each in comparison.outcomes))


def _what_comes(planned: Sequence[Planned], folder: Path, about: About) -> str:
    """Say what is going to be done, and where it can be watched."""
    left = [each for each in planned if not each.is_finished]
    said = [what_searches_cost(left)]
    if left:
        said.append(f"What each of them says is in {folder / 'logs'}.")
    if len(left) < len(planned) and planned[0].config.logger.name == "wandb":
        said.append(
            f"{len(planned) - len(left)} searches are finished and tell Weights & Biases nothing more: "
            f"python -m search.report {folder} --wandb makes their runs in this group."
        )
    variants = {each.variant for each in planned}
    if len(variants) > 1 and about.reference not in variants:
        said.append(
            f"Nothing will be tested, as {about.reference} is not among the strategies: --reference "
            f"{planned[0].variant} holds the others against that one."
        )
    return " ".join(said)


def _refuse_another(folder: Path, planned: Sequence[Planned]) -> None:
    """Refuse a folder whose comparison has searches that this one has not; one that goes further is welcome."""
    if not (folder / PLAN).exists():
        return
    with suppress(RunError):  # what cannot be read is written anew
        there, _ = read_plan(folder)
        here = {each.folder.name for each in planned}
        lost = [each for each in there if each.folder.name not in here]
        if lost:
            raise ConfigError(
                f"{folder} holds another comparison: {len(lost)} of its {len(there)} searches ({lost[0].title}, say) "
                "would be none of this one. Choose another --name, or leave it out to get one by itself."
            )


def write_plan(folder: Path, members: Sequence[Member], about: About) -> None:
    """Leave in the folder of a comparison what it consists of, so that all else can be made again from the runs."""
    listed = [
        {"variant": each.variant, "target": each.target, "seed": each.seed, "run": str(each.folder.resolve())}
        for each in members
    ]
    write_json(folder / PLAN, {"schema": 1, **vars(about), "members": listed})


def read_plan(folder: Path) -> tuple[list[Member], About]:
    """Return what a comparison consists of. Runs that were moved together with its folder are found beside it.

    Raises:
        RunError: If it cannot be read, or is no plan.
    """
    plan = read_json(folder / PLAN)
    members = []
    try:
        for each in plan["members"]:
            run = Path(each["run"])
            beside = folder.parent / run.name
            found = beside if beside.exists() else run
            members.append(Member(str(each["variant"]), float(each["target"]), int(each["seed"]), found))
        return members, About(str(plan["title"]), str(plan["command"]), str(plan["reference"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / PLAN} is not the plan of a comparison of this version ({type(error).__name__}: {error}). Give "
            "the comparison's own command again, which writes it anew."
        ) from error


def summarise(members: Sequence[Member], about: About, failed: Mapping[str, str]) -> Comparison:
    """Summarise the finished searches of a comparison.

    Raises:
        RunError: If none is finished.
    """
    order = list(dict.fromkeys(each.variant for each in members))
    finished = [each for each in members if each.is_finished]
    if not finished and failed:
        raise RunError(f"No search of the comparison has a result: {' '.join(dict.fromkeys(failed.values()))}")
    if not finished:
        raise RunError(
            f"No search of the comparison has a result yet, {members[0].folder} for one. Its command goes on with it"
            + (f": {about.command}" if about.command else ".")
        )
    missing = {
        each.title: failed.get(each.title, f"no result in {each.folder}") for each in members if not each.is_finished
    }
    outcomes = sorted(
        map(read_outcome, finished), key=lambda each: (-each.target, order.index(each.variant), each.seed)
    )
    return compare(about.title, about.command, outcomes, reference=about.reference, failed=missing)


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write page, tables and figures of a comparison; each is replaced whole."""
    write_page(folder / "compare.html", comparison)
    write_text(folder / "compare.md", f"{verdict(comparison)}\n\n{markdown(comparison)}")
    write_text(folder / "compare.tex", latex(comparison))
    write_json(folder / "compare.json", comparison.as_json())


def comparison_table(comparison: Comparison) -> Table:
    """Return the table for a terminal, with the columns that matter most: p is in the sentences below it."""
    head, rows = cells(comparison)
    shown = [index for index, name in enumerate(head) if name in IN_PAPER and name != "p (Holm)"]
    against = f"Difference from {comparison.reference}. " if comparison.reference else ""
    table = Table(title=comparison.title, caption=f"{against}All columns are in compare.html and compare.md.")
    for index in shown:
        table.add_column(head[index], justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    return table


def say_where(console: Console, folder: Path) -> None:
    """Say where the files of a comparison are."""
    console.print(
        f"{folder / 'compare.html'} shows it; compare.json, compare.md and compare.tex lie beside it.", soft_wrap=True
    )


def _exit_code(console: Console, failed: Mapping[str, str], *, met: bool) -> int:
    """Say what failed; return the exit code."""
    for title, why in failed.items():
        console.print(f"{title} failed: {why}", highlight=False, soft_wrap=True)
    return 0 if met and not failed else 3
