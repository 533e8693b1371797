"""What a comparison shows, in sentences that a rule draws from its numbers.

One variant is called better or worse than another where the sign-flip test of their paired difference has p <= 5 % by
Holm's rule. Where that is not so, but the difference's 95 % interval leaves 0 out, it is named as a hint: with few
seeds the test can show nothing, and of many intervals some leave 0 out by chance.
"""

from collections.abc import Sequence

from search.comparison.contrasts import Contrast
from search.comparison.summary import Comparison
from search.comparison.summary import Line
from search.comparison.summary import what_seeds_can_show
from search.comparison.tables import in_points


def verdict(comparison: Comparison) -> str:
    """Return what is better and worse than the reference, which budgets were missed, and what the seeds can show."""
    several, reference = len(comparison.targets) > 1, comparison.reference
    said, groups = [], []
    for target in comparison.targets:
        lines = [line for line in comparison.lines if line.target == target]
        if several:
            said.append(f"Budget of {100 * target:g} %:")
        contrasts = [
            Contrast(line.variant, reference, line.difference, line.p_corrected)
            for line in lines
            if reference is not None and line.difference is not None and line.p_corrected is not None
        ]
        said += differences_said("best validation accuracy", contrasts)
        said.append(which_missed(lines))
        groups.append(contrasts)
    if reference is None:
        return " ".join(["There is no reference among them, so nothing is tested.", *said])
    return " ".join([*said, what_tests_can_show(groups)])


def what_tests_can_show(groups: Sequence[Sequence[Contrast]]) -> str:
    """Return what the seeds of contrasts can show, and which of these have fewer seeds than the others.

    Args:
        groups: Each was tested together.
    """
    every = [each for group in groups for each in group]
    if not every:
        return "There is nothing to test."
    seeds = max(each.difference.seeds for each in every)
    said = what_seeds_can_show(seeds, max(map(len, groups)))
    fewer = dict.fromkeys(f"{e.variant} ({e.difference.seeds})" for e in every if e.difference.seeds < seeds)
    return f"{said} Fewer seeds, and a higher least p, have: {', '.join(fewer)}." if fewer else said


def differences_said(
    figure: str, contrasts: Sequence[Contrast], words: tuple[str, str] = ("better", "worse")
) -> list[str]:
    """Return a sentence for each kind of difference that there is.

    Args:
        figure: What was compared.
        contrasts: All that were tested together.
        words: For more and less of it.
    """
    more, less = (
        [each for each in contrasts if each.is_shown and each.difference.mean * sign > 0.0] for sign in (1.0, -1.0)
    )
    hints = [each for each in contrasts if each.is_hint]
    equal = [each for each in contrasts if each.is_equal]
    rest = [each for each in contrasts if not (each.is_shown or each.is_hint or each.is_equal)]
    by = f"By {figure},"
    said = [f"{by} {word} than {_named(chosen)}." for word, chosen in zip(words, (more, less), strict=True) if chosen]
    if hints:
        said.append(f"{by} hints that the test does not confirm (95 % intervals leave 0 out) against {_named(hints)}.")
    if equal:
        said.append(f"{by} the same with every seed as {_named(equal, figures=False)}.")
    if rest:
        said.append(f"{by} no difference could be shown from {_named(rest, figures=False)}.")
    return said


def _named(contrasts: Sequence[Contrast], *, figures: bool = True) -> str:
    """Return ``reference: variant (difference), variant; other reference: ...``."""
    by_reference: dict[str, list[str]] = {}
    for each in contrasts:
        shown = f"{each.variant} ({in_points(each.difference)} points)" if figures else each.variant
        by_reference.setdefault(each.reference, []).append(shown)
    return "; ".join(f"{reference}: {', '.join(variants)}" for reference, variants in by_reference.items())


def which_missed(lines: Sequence[Line]) -> str:
    """Return which variants missed the budget with how many seeds."""
    short = [line for line in lines if line.met < line.seeds]
    if not short:
        return "All results met the budget."
    named = (f"{line.variant} ({line.seeds - line.met} of {line.seeds})" for line in short)
    return f"The budget was missed by {'; '.join(named)}."
