"""A comparison from its plan to its files: carry out, read back, summarise, write."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import write_json
from lightning_snn.files import write_text
from lightning_snn.progress import Reporter
from search.comparison.execution import carry_out
from search.comparison.outcomes import read_outcome
from search.comparison.page import write_page
from search.comparison.plan import Planned
from search.comparison.summary import Comparison
from search.comparison.summary import compare
from search.comparison.tables import cells
from search.comparison.tables import latex
from search.comparison.tables import markdown


def run_comparison(
    planned: Sequence[Planned],
    folder: Path,
    *,
    title: str,
    command: str,
    reference: str,
    workers: int,
    task: int | None,
) -> int:
    """Carry out what is left of a comparison, and write its page and tables.

    Args:
        planned: All its searches.
        folder: Of the comparison.
        title: Of the page.
        command: That this is.
        reference: Variant that the others are held against.
        workers: Searches at a time.
        task: Only this one, and no page.

    Returns:
        0 where every search met its budget, else 3.

    Raises:
        RunError: If another process works on it, the task is none of it, or no search has a result.
    """
    console = Console()
    if task is not None:
        if not 0 <= task < len(planned):
            raise RunError(f"task is one of {len(planned)} searches, 0 to {len(planned) - 1}, found {task}.")
        with Reporter(console) as reporter, reporter.phase("searches", 1) as phase:
            failed = carry_out([planned[task]], 1, folder / "logs", phase)
        return _said(console, failed) if failed else 0
    with locked(folder, wait=False):
        with Reporter(console) as reporter, reporter.phase("searches", len(planned)) as phase:
            failed = carry_out(planned, workers, folder / "logs", phase)
        comparison = read_comparison(planned, title=title, command=command, reference=reference, failed=failed)
        write_comparison(folder, comparison)
    console.print(comparison_table(comparison))
    console.print(f"{folder / 'compare.html'} shows it; compare.json, compare.md and compare.tex lie beside it.")
    return 0 if all(each.met for each in comparison.outcomes) and not _said(console, failed) else 3


def read_comparison(
    planned: Sequence[Planned], *, title: str, command: str, reference: str, failed: Mapping[str, str]
) -> Comparison:
    """Summarise the finished searches of a plan.

    Raises:
        RunError: If none is finished.
    """
    order = list(dict.fromkeys(each.variant for each in planned))
    finished = [each for each in planned if (each.folder / "result.json").exists()]
    if not finished:
        reasons = "; ".join(dict.fromkeys(failed.values())) or "none was carried out"
        raise RunError(f"No search of the comparison has a result ({reasons}). Mend that, and give the command again.")
    outcomes = sorted(
        map(read_outcome, finished), key=lambda each: (-each.target, order.index(each.variant), each.seed)
    )
    return compare(
        title,
        command,
        outcomes,
        reference=reference,
        evaluations=max(each.config.strategy.evaluations for each in planned),
        failed=failed,
    )


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write page, tables and figures of a comparison; each is replaced whole."""
    write_page(folder / "compare.html", comparison)
    write_text(folder / "compare.md", markdown(comparison))
    write_text(folder / "compare.tex", latex(comparison))
    write_json(folder / "compare.json", comparison.as_json())


def comparison_table(comparison: Comparison) -> Table:
    """Return the table for a terminal."""
    head, rows = cells(comparison)
    table = Table(title=comparison.title, caption=f"Reference: {comparison.reference}.")
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _said(console: Console, failed: Mapping[str, str]) -> int:
    """Say what failed; return the exit code."""
    for title, why in failed.items():
        console.print(f"[bold]{title}[/bold] failed: {why}", highlight=False)
    return 3 if failed else 0
