"""The table of a comparison: as Markdown, as LaTeX, and in plain cells for a page."""

import math
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

from search.comparison.outcomes import SearchOutcome
from search.comparison.statistics import Difference
from search.comparison.summary import Comparison
from search.comparison.summary import Line
from search.comparison.summary import Mean

Cell = Callable[[Line], str]

COLUMNS: Final[dict[str, Cell]] = {
    "strategy": lambda line: line.variant,
    "budget, %": lambda line: f"{100 * line.target:g}",
    "best validation, %": lambda line: percent(line.best, 2),
    "difference [95 %], points": lambda line: difference(line),
    "p (Holm)": lambda line: p_of(line.difference, line.p_corrected),
    "rank": lambda line: "" if math.isnan(line.rank) else f"{line.rank:.1f}",
    "test, %": lambda line: percent(line.test_accuracy, 2),
    "balanced test, %": lambda line: percent(line.balanced, 2),
    "SynOps, %": lambda line: percent(line.synops, 1),
    "violation, %": lambda line: percent(line.violation, 1),
    "met": lambda line: f"{line.met}/{line.seeds}",
    "evaluations": lambda line: plain(line.evaluations, 0),
    "to 99 % of the best": lambda line: (
        f"{plain(line.evaluations_to_close, 0)} ({line.reached}/{line.seeds})" if line.reached else f"0/{line.seeds}"
    ),
    "search, s": lambda line: plain(line.search_seconds, 0),
}
"""Column -> its cell of a line."""

NO_SPREAD: Final = "no spread"
"""In place of an interval."""
ALIKE: Final = f"[{NO_SPREAD}]: the same with each seed, so that there is no interval"

IN_PAPER: Final = (
    "strategy",
    "budget, %",
    "best validation, %",
    "difference [95 %], points",
    "p (Holm)",
    "test, %",
    "balanced test, %",
    "SynOps, %",
    "met",
)
"""What matters most."""
MEANINGS: Final = {
    "best validation, %": (
        "Best validation: accuracy of the best network within the budget, before fine-tuning (0 where there was none)."
    ),
    "difference [95 %], points": (
        f"Difference: of it from the reference, seed by seed, with Student's interval ({ALIKE})."
    ),
    "p (Holm)": "p: sign-flip test, by Holm's rule over the variants of a budget.",
    "rank": "Rank: mean over seeds by best validation, 1 is first.",
    "test, %": "Test accuracy and SynOps (of the dense network's): of the result, after fine-tuning, on test data.",
    "balanced test, %": "Balanced test: mean over classes of the share of their test samples that is right.",
    "violation, %": "Violation: SynOps above the budget on test data, as a share of it.",
    "met": "Met: seeds whose result is in the budget on test data, and on validation data with two standard errors.",
    "evaluations": "Evaluations: made; a search whose proposals repeat, or are used up, ends before all it is allowed.",
    "to 99 % of the best": (
        "To 99 % of the best: evaluations until 99 % of the best accuracy that any variant found with the same seed, "
        "and in how many seeds; the mean is over these alone."
    ),
    "search, s": "Search: seconds of proposing and measuring, without dense network, estimator and fine-tuning.",
}
"""Column -> the sentence that explains it."""


def cells(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return head and rows, without columns that would say nothing.

    That is the budget where there is only one, tests where there is no reference, and balanced accuracy where classes
    are equal.
    """
    leave_out = set[str]()
    if all(math.isnan(line.balanced.mean) for line in comparison.lines):
        leave_out.add("balanced test, %")
    if len(comparison.targets) == 1:
        leave_out.add("budget, %")
    if comparison.reference is None:
        leave_out |= {"difference [95 %], points", "p (Holm)"}
    head = [name for name in COLUMNS if name not in leave_out]
    return head, [[COLUMNS[name](line) for name in head] for line in comparison.lines]


def markdown(comparison: Comparison) -> str:
    """Return the table as Markdown."""
    return f"{markdown_table(*cells(comparison))}\n{legend(comparison)}\n"


def latex(comparison: Comparison) -> str:
    """Return the columns that a paper shows as LaTeX, for the package booktabs."""
    head, rows = cells(comparison)
    chosen = [index for index, name in enumerate(head) if name in IN_PAPER]
    narrow = [[row[index] for index in chosen] for row in (head, *rows)]
    return f"{latex_table(narrow[0], narrow[1:])}% {legend(comparison, narrow[0])}\n"


def legend(comparison: Comparison, head: Sequence[str] = ()) -> str:
    """Return what was searched, and what columns mean: by default all that there are."""
    head = head or cells(comparison)[0]
    reference = [] if comparison.reference is None else [f"Reference: {comparison.reference}."]
    meanings = [MEANINGS[name] for name in head if name in MEANINGS]
    missing = [missing_said(comparison.failed)] if comparison.failed else []
    said = [comparison.scope, *missing, *largest_class_said(comparison.outcomes), *reference]
    return " ".join([*said, "Mean ± standard error over seeds.", *meanings])


def largest_class_said(outcomes: Sequence[SearchOutcome]) -> list[str]:
    """Return a sentence on the largest class and the results that are no better than it, where classes are unequal."""
    unequal = [each for each in outcomes if each.largest_class is not None]
    if not unequal:
        return []
    shares = ", ".join(dict.fromkeys(f"{100.0 * (each.largest_class or 0.0):.2f}" for each in unequal))
    worse = sum(each.beats_largest_class is False for each in unequal)
    return [
        f"Always answering the largest class is right for {shares} % of the test samples; {worse} of {len(unequal)} "
        f"results {'is' if worse == 1 else 'are'} no better, within two standard errors."
    ]


def missing_said(titles: Iterable[str]) -> str:
    """Return a sentence on searches without a result, for tables that lack their seeds."""
    return f"Without a result, so that means are over the other seeds: {'; '.join(titles)}."


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown: first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, rule, *rows))


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as LaTeX, for the package booktabs."""
    top, *body = (" & ".join(map(_escaped, row)) + r" \\" for row in (head, *rows))
    columns = "l" + "r" * (len(head) - 1)
    opened = [r"\begingroup\small\setlength{\tabcolsep}{4pt}", rf"\begin{{tabular}}{{{columns}}}"]
    lines = [*opened, r"\toprule", top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\endgroup", ""]
    return "\n".join(lines)


def percent(value: Mean, digits: int) -> str:
    """Return a mean in percent, with its error where there is one."""
    return plain(Mean(100.0 * value.mean, 100.0 * value.error), digits)


def in_percent(value: Mean, digits: int) -> str:
    """Return the same for a sentence, with its unit."""
    return f"{percent(value, digits)} %"


def plain(value: Mean, digits: int) -> str:
    """Return a mean with its error where there is one."""
    if math.isnan(value.mean):
        return ""
    error = "" if math.isnan(value.error) else f" ± {value.error:.{digits}f}"
    return f"{value.mean:.{digits}f}{error}"


def p_of(found: Difference | None, corrected: float | None) -> str:
    """Return a corrected p; none where there is no difference, or of one seed, which cannot be tested."""
    return "" if found is None or corrected is None or found.seeds < 2 else f"{corrected:.3f}"


def difference(line: Line) -> str:
    """Return a line's paired difference from the reference, where it has one."""
    return "" if line.difference is None else in_points(line.difference)


def in_points(found: Difference) -> str:
    """Return a paired difference in points, with its interval; where all seeds differ alike, there is none to draw."""
    if math.isnan(found.low):
        return _points(found.mean)
    interval = f"{_points(found.low)}, {_points(found.high)}" if found.has_interval else NO_SPREAD
    return f"{_points(found.mean)} [{interval}]"


def _points(share: float) -> str:
    return f"{round(100.0 * share, 9) + 0.0:+.2f}"  # a rounding error of 1e-17 must not look like a minus


def _escaped(text: str) -> str:
    for plain_text, escaped in (("%", r"\%"), ("_", r"\_"), ("&", r"\&"), ("±", r"$\pm$")):
        text = text.replace(plain_text, escaped)
    return re.sub(r"(?<!\w)-(?=\d)", r"$-$", text)  # a minus, not a hyphen
