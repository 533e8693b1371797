"""Pruned networks with too few SynOps to predict from, or to divide by."""

import numpy as np
from numpy.typing import ArrayLike

from search.errors import SearchError

SILENT = 0.01
"""Share of the SynOps expected of pruned networks: with fewer, there is nothing to predict from. Ours."""


def refuse_silent(synops: ArrayLike, expected: ArrayLike, *, is_tuned: bool = False) -> None:
    """Refuse pruned networks that hardly spike: what follows divides by their SynOps.

    Args:
        synops: SynOps per sample, ``[n]``.
        expected: About what they should have been, by static cost or by the target, ``[n]``.
        is_tuned: Whether they were measured after fine-tuning.

    Raises:
        SearchError: If they do.
    """
    found, wanted = np.asarray(synops, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if wanted @ found <= SILENT * (wanted @ wanted):
        mend = (
            "Lower finetuning.learning_rate"
            if is_tuned
            else "Train the dense network longer (training.epochs), measure batch norms anew "
            "(space.recalibration_batches above 0)"
        )
        raise SearchError(
            f"Pruned networks hardly spike {'after' if is_tuned else 'before'} fine-tuning: {found.mean():.3g} SynOps "
            f"per sample on average over {len(found)}, where about {wanted.mean():.3g} were expected. {mend}, or raise "
            "budget.target."
        )
