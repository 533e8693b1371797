"""Quasi-random keep ratios: a scrambled Sobol sequence, which fills the space more evenly than chance."""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import QMCSampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(*, seed: int, context: SearchContext | None = None) -> QMCSampler:
    """Return Optuna's quasi-Monte Carlo sampler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change one day
        return QMCSampler(
            qmc_type="sobol", scramble=True, seed=seed_for(seed, "sampler") % 2**32, warn_independent_sampling=False
        )
