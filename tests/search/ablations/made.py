"""Parts that ablations conclude from, made by hand."""

import numpy as np

from search.ablations.pool import Pool
from search.budget import Budget
from search.comparison.outcomes import SearchOutcome
from search.comparison.summary import Comparison
from search.comparison.summary import compare
from search.sampling import Sample


def pool(pre: list[float], post: list[float]) -> Pool:
    """Samples of a dense network of 1,000 SynOps in two layers."""
    samples = [
        Sample(n, [1], 1000 * x, 1000 * y, 0.5, 0.9, 1.0, {"a": (400 * x, 200 * x), "b": (600 * x, 900 * x)})
        for n, (x, y) in enumerate(zip(pre, post, strict=True))
    ]
    return Pool(Budget(500.0, 1000.0), ["a", "b"], samples, np.array(pre) ** 2)


def made(outcomes: list[SearchOutcome], failed: dict[str, str] | None = None) -> Comparison:
    return compare("title", "command", outcomes, reference="", failed=failed or {})
