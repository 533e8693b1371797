"""Quasi-random keep ratios: a scrambled Sobol sequence, which fills the space more evenly than chance."""

from optuna.samplers import QMCSampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(*, seed: int, context: SearchContext | None = None) -> QMCSampler:
    """Return Optuna's quasi-Monte Carlo sampler."""
    return QMCSampler(
        qmc_type="sobol", scramble=True, seed=seed_for(seed, "sampler") % 2**32, warn_independent_sampling=False
    )
