"""When a prediction is said to hold, for all ablations of the line.

It holds where the 95 % interval of its mean error over seeds ends at or below 2 % of the dense network's SynOps, and
does not where that interval begins above it. All else is undecided: more seeds are needed. What the prediction is worth
is another matter: where SynOps hardly move, no prediction at all (SynOps stay as they are) errs as little, and is named
beside it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

from search.comparison.statistics import mean_interval
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent

GOOD: Final = 0.02
"""Error, as a share of the dense network's SynOps."""


def judged(errors_S: Sequence[float]) -> str:
    """Return ``holds``, ``does not hold`` or ``undecided``.

    Args:
        errors_S: Mean absolute error of each seed, as a share of the dense network's SynOps.
    """
    _, low, high = mean_interval(errors_S)
    return "holds" if high <= GOOD else "does not hold" if low > GOOD else "undecided"


def judgement(what: str, errors: Mapping[str, Sequence[float]], without: Mapping[str, Sequence[float]]) -> str:
    """Return a sentence on where a prediction holds.

    Args:
        what: The prediction.
        errors: Place or condition -> its error with each seed.
        without: The same -> error of no prediction, with each seed.
    """
    said = []
    for word, verb in (
        ("holds", "holds for"),
        ("does not hold", "does not hold for"),
        ("undecided", "can be called neither for"),
    ):
        named = [
            f"{name} ({in_percent(mean_of(found), 2)}; without it {in_percent(mean_of(without[name]), 2)})"
            for name, found in errors.items()
            if judged(found) == word
        ]
        if named:
            said.append(f"{verb} {', '.join(named)}")
    return f"{what}, with an error of {100 * GOOD:g} % of the dense network's SynOps as the limit, {'; '.join(said)}."
