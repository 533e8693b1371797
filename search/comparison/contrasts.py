"""One variant held against another, seed by seed, and whether the difference can be said to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from search.comparison.statistics import Difference
from search.comparison.statistics import holm
from search.comparison.statistics import paired_difference

LEVEL: Final = 0.05
"""Of p by Holm's rule."""


@dataclass(frozen=True)
class Contrast:
    """A difference, and what is tested with it."""

    variant: str
    reference: str
    difference: Difference
    p_corrected: float
    """By Holm's rule over all that are tested together."""

    @property
    def is_shown(self) -> bool:
        """Tell whether the test shows a difference."""
        return self.p_corrected <= LEVEL

    @property
    def is_equal(self) -> bool:
        """Tell whether there is no difference with any seed."""
        found = self.difference
        return found.mean == found.low == found.high == 0.0

    @property
    def is_hint(self) -> bool:
        """Tell whether the interval leaves 0 out where the test shows nothing."""
        found = self.difference
        return not self.is_shown and found.has_interval and (found.low > 0.0 or found.high < 0.0)


def contrasts(figures: Mapping[str, Mapping[int, float]], references: Mapping[str, str]) -> list[Contrast]:
    """Hold variants against their references over the seeds that both have; those without such a seed are left out.

    Args:
        figures: Variant -> seed -> what is compared.
        references: Variant -> the one that it is held against; all of them are tested together.
    """
    differences = {}
    for variant, reference in references.items():
        mine, other = figures.get(variant, {}), figures.get(reference, {})
        if shared := sorted(set(mine) & set(other)):
            differences[variant] = paired_difference([mine[s] for s in shared], [other[s] for s in shared])
    corrected = holm({variant: each.p for variant, each in differences.items()})
    return [Contrast(name, references[name], each, corrected[name]) for name, each in differences.items()]


def against(reference: str, variants: Mapping[str, object]) -> dict[str, str]:
    """Return the references of variants that are all held against the same one."""
    return {name: reference for name in variants if name != reference}
