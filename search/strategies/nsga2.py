"""Genetic algorithm NSGA-II: Optuna's, with a population that suits a hundred evaluations."""

from optuna.samplers import NSGAIISampler

from lightning_snn.seeds import seed_for
from search.space import SearchContext


def build(*, seed: int, context: SearchContext | None = None, population_size: int = 20) -> NSGAIISampler:
    """Return Optuna's NSGA-II sampler; feasible trials beat infeasible ones."""
    return NSGAIISampler(seed=seed_for(seed, "sampler") % 2**32, population_size=population_size)
