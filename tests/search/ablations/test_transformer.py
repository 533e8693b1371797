"""What is said of the line on a spiking transformer."""

import numpy as np
import pytest

from search.ablations import transformer
from tests.search.ablations.made import pool


def test_a_transformer_is_judged_by_its_own_line() -> None:
    pre = np.linspace(0.4, 0.6, 16)
    noise = np.random.default_rng(0).normal(0.0, 1.0, 16)
    near, far = (pool(pre.tolist(), (0.9 * pre + size * noise).tolist()) for size in (0.002, 0.1))
    assert "holds for a small Spikformer" in transformer.conclude({3: near, 4: near}, "SmallSpikformer.").conclusion
    assert "does not hold for a small Spikformer" in transformer.conclude({3: far, 4: far}, "").conclusion
    assert [row[0] for row in transformer.conclude({3: near, 4: near}, "SmallSpikformer.").rows] == ["3", "4"]


def test_a_sample_that_was_silent_before_is_no_share_of_the_drift() -> None:
    assert transformer.mean_drift(pool([0.5, 0.4, 0.0], [0.6, 0.44, 0.3])) == pytest.approx(1.15)
