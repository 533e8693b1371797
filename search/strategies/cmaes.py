"""Covariance matrix adaptation (CMA-ES): Optuna's. It ignores constraints, so it needs projection or TAR."""

import warnings

from optuna.samplers import CmaEsSampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(
    *,
    seed: int,
    context: SearchContext | None = None,
    sigma0: float | None = None,
    popsize: int | None = None,
) -> CmaEsSampler:
    """Return Optuna's CMA-ES sampler.

    Args:
        seed: Root seed.
        context: Not used.
        sigma0: First standard deviation, in units of the ratios; Optuna's default is a sixth of the range.
        popsize: Proposals per generation; the ``cmaes`` package's default is 4 + 3 ln(L).
    """
    # The budget's constraint is recorded for every strategy; that this one ignores it is known (module docstring).
    warnings.filterwarnings("ignore", message="Constraints have been set, but CmaEsSampler")
    return CmaEsSampler(
        seed=seed_for(seed, "sampler") % 2**32,
        sigma0=sigma0,
        popsize=popsize,
        warn_independent_sampling=False,
    )
