"""What a comparison shows, in sentences that a rule draws from its numbers.

A variant is called better or worse than the reference where the 95 % interval of its paired difference in best
validation accuracy leaves 0 out; of all others it is said that no difference could be shown.
"""

from search.comparison.summary import Comparison
from search.comparison.summary import Line
from search.comparison.summary import what_seeds_can_show
from search.comparison.tables import difference


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
    better = [line for line, found in held if found.low > 0.0]
    worse = [line for line, found in held if found.high < 0.0]
    said = []
    for word, chosen in (("better", better), ("worse", worse)):
        if chosen:
            named = "; ".join(f"{line.variant} ({difference(line)} points)" for line in chosen)
            said.append(f"By best validation accuracy, {word} than {reference}: {named}.")
    if rest := [line.variant for line, _ in held if line not in better and line not in worse]:
        said.append(f"No difference from {reference} could be shown for {', '.join(rest)}.")
    return said


def _missed(lines: list[Line]) -> str:
    short = [line for line in lines if line.met < line.seeds]
    if not short:
        return "All results met the budget."
    named = (f"{line.variant} ({line.seeds - line.met} of {line.seeds})" for line in short)
    return f"The budget was missed by {', '.join(named)}."
