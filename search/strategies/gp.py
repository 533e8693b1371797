"""Bayesian optimisation with a Gaussian process: Optuna's, ten random trials first.

A proposal costs tenths of a second and grows with the cube of the trials: best below about 200 evaluations.
"""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(
    *, seed: int, context: SearchContext | None = None, n_startup_trials: int = 10, deterministic: bool = True
) -> GPSampler:
    """Return Optuna's GP sampler; ``deterministic`` as the evaluator is (same widths, same accuracy)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # deterministic_objective may change its name one day
        return GPSampler(
            seed=seed_for(seed, "sampler") % 2**32,
            n_startup_trials=n_startup_trials,
            deterministic_objective=deterministic,
        )
