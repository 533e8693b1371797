"""What a comparison shows, in sentences that a rule draws from its numbers.

A variant is called better or worse than the reference where the exact sign-flip test of its paired difference in best
validation accuracy has p <= 5 % by Holm's rule. Where that is not so, but the difference's 95 % interval leaves 0 out,
it is named as a hint: with few seeds the test can show nothing, and of many intervals some leave 0 out by chance.
"""

from typing import Final

from search.comparison.summary import Comparison
from search.comparison.summary import Line
from search.comparison.summary import what_seeds_can_show
from search.comparison.tables import difference

LEVEL: Final = 0.05
"""Of p by Holm's rule."""


def verdict(comparison: Comparison) -> str:
    """Return what is better and worse than the reference, which budgets were missed, and what the seeds can show."""
    several, reference = len(comparison.targets) > 1, comparison.reference
    said, tests = [], 0
    for target in comparison.targets:
        lines = [line for line in comparison.lines if line.target == target]
        if several:
            said.append(f"Budget of {target:.0%}:")
        if reference is not None:
            said += _against(reference, lines)
        said.append(_missed(lines))
        tests = max(tests, sum(line.p_corrected is not None for line in lines))
    if reference is None:
        return " ".join(["There is no reference among them, so nothing is tested.", *said])
    return " ".join([*said, what_seeds_can_show(min(line.seeds for line in comparison.lines), tests)])


def _against(reference: str, lines: list[Line]) -> list[str]:
    held = [(line, line.difference) for line in lines if line.difference is not None]
    shown = [(line, found) for line, found in held if line.p_corrected is not None and line.p_corrected <= LEVEL]
    equal = [line for line, found in held if found.mean == found.low == found.high == 0.0]
    hints = [
        line
        for line, found in held
        if (line, found) not in shown and found.low < found.high and (found.low > 0.0 or found.high < 0.0)
    ]
    said = []
    for word, chosen in (
        ("better", [line for line, found in shown if found.mean > 0.0]),
        ("worse", [line for line, found in shown if found.mean < 0.0]),
    ):
        if chosen:
            said.append(f"By best validation accuracy, {word} than {reference}: {_named(chosen)}.")
    if hints:
        said.append(f"Not shown, but the 95 % interval alone leaves 0 out: {_named(hints)}.")
    if equal:
        said.append(f"The same as {reference} with every seed: {'; '.join(line.variant for line in equal)}.")
    named = [*(line for line, _ in shown), *hints, *equal]
    if rest := [line.variant for line, _ in held if line not in named]:
        said.append(f"No difference from {reference} could be shown for {'; '.join(rest)}.")
    return said


def _named(lines: list[Line]) -> str:
    return "; ".join(f"{line.variant} ({difference(line)} points)" for line in lines)


def _missed(lines: list[Line]) -> str:
    short = [line for line in lines if line.met < line.seeds]
    if not short:
        return "All results met the budget."
    named = (f"{line.variant} ({line.seeds - line.met} of {line.seeds})" for line in short)
    return f"The budget was missed by {'; '.join(named)}."
