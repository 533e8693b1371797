"""Uniformly random keep ratios: with projection, the control that every strategy has to beat."""

from optuna.samplers import RandomSampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(*, seed: int, context: SearchContext | None = None) -> RandomSampler:
    """Return Optuna's random sampler."""
    return RandomSampler(seed=seed_for(seed, "sampler") % 2**32)
