"""Choosing samples at random with every class in its share.

Axes: N samples, K classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def stratified_choice(labels_N: NDArray[Any], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``count`` samples, each class in proportion to its size.

    A class of ``n`` among ``N`` samples gives ``count * n / N``, rounded down; what is left over goes to the
    largest remainders (ties: to the smaller label). So every class is within one sample of its exact share.

    Args:
        labels_N: Class of every sample.
        count: Samples to choose, from 1 to N.
        generator: Decides which samples of a class are chosen.

    Returns:
        Positions of the chosen samples, ascending.

    Source:
        Largest remainders (Hamilton's apportionment), in integers so that rounding errors decide nothing.
    """
    total = len(labels_N)
    assert 1 <= count <= total
    _, class_N, size_K = np.unique(labels_N, return_inverse=True, return_counts=True)
    quota_K, remainder_K = np.divmod(count * size_K, total)
    largest = np.argsort(-remainder_K, kind="stable")[: count - quota_K.sum()]
    quota_K[largest] += 1

    shuffled_N = generator.permutation(total)
    by_class_N = shuffled_N[np.argsort(class_N[shuffled_N], kind="stable")]
    start_K = np.cumsum(size_K) - size_K
    chosen = [by_class_N[start : start + quota] for start, quota in zip(start_K, quota_K, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
