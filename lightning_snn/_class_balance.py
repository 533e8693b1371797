"""How accuracies read where classes are unequal: beside what always answering the largest class would give.

Balanced accuracy is the mean, over the classes that occur, of the share of their samples that is classified right.
Held against the largest class alone, sample by sample, a network gains the other classes' samples that it gets right
and loses those of the largest class that it gets wrong: gains and losses differ by chance by the root of their sum.
Source: the sign test (McNemar, 1947); what counts as unequal is ours.
"""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final

import numpy as np

from lightning_snn.inference import Evaluation

SPLITS: Final = ("test", "validation")
BALANCE: Final = ("balanced_accuracy", "largest_class", "beats_largest_class")
"""What is said of a split with unequal classes; behind its name and ``_`` where figures of two stand together."""
UNEQUAL: Final = 1.1
"""Times an equal share that the largest class must have for classes to be unequal; and two more than the smallest."""
ERRORS: Final = 2.0
"""Standard errors by which a network must be better than the largest class alone."""


def describe_balance(evaluation: Evaluation) -> dict[str, Any]:
    """Return what accuracy must be read with; nothing where classes are equal, or were not counted."""
    samples_K, right_K = np.array(evaluation.samples_K), np.array(evaluation.right_K)
    if len(samples_K) == 0 or np.ptp(samples_K) <= 1 or samples_K.max() <= UNEQUAL * samples_K.mean():
        return {}
    largest, occurs_K = int(samples_K.argmax()), samples_K > 0
    losses = int(samples_K[largest] - right_K[largest])
    gains = int(right_K.sum() - right_K[largest])
    found = (
        float((right_K[occurs_K] / samples_K[occurs_K]).mean()),
        float(samples_K[largest] / samples_K.sum()),
        gains - losses > ERRORS * math.sqrt(gains + losses),
    )
    return dict(zip(BALANCE, found, strict=True))


def balance_rows(
    networks: Sequence[Mapping[str, Any]], splits: Sequence[str] = SPLITS, *, sign: str = "%"
) -> list[list[str]]:
    """Return rows for a table, a cell for each network: those of splits whose classes are unequal.

    Args:
        networks: What ``describe_network`` returned of each.
        splits: In this order.
        sign: Behind a number.
    """
    return [
        [title.format(split), *(f"{100.0 * each[f'{split}_{key}']:.2f}{sign}" for each in networks)]
        for title, key in (("balanced {} accuracy", "balanced_accuracy"), ("largest class ({})", "largest_class"))
        for split in splits
        if all(f"{split}_{key}" in each for each in networks)
    ]


def balance_note(networks: Mapping[str, Mapping[str, Any]], split: str = "test") -> str:
    """Say which networks do no better on a split than the largest class alone; empty where all do.

    Args:
        networks: What each is called, and what ``describe_network`` returned of it.
        split: ``test`` or ``validation``.
    """
    named = [name for name, each in networks.items() if each.get(f"{split}_beats_largest_class") is False]
    if not named:
        return ""
    largest = networks[named[0]][f"{split}_largest_class"]
    return (
        f"No better on {split} data than always answering the largest class ({largest:.2%} of the samples), within two "
        f"standard errors: {' and '.join(named)}."
    )
