"""Tree-structured Parzen estimator: Optuna's, with its defaults (multivariate, ten random trials first)."""

from optuna.samplers import TPESampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(*, seed: int, context: SearchContext | None = None, n_startup_trials: int = 10) -> TPESampler:
    """Return Optuna's TPE sampler; it respects the budget's constraint by itself."""
    return TPESampler(seed=seed_for(seed, "sampler") % 2**32, n_startup_trials=n_startup_trials)
