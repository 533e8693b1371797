"""A sampler with one proposal: what a rule says, once. Base of ``uniform``, ``l1`` and the like."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from lightning_snn.seeds import seed_for
from search.errors import SearchError
from search.space import SearchContext


class RuleSampler(BaseSampler):
    """Propose given keep ratios, and be exhausted after one finished trial.

    Parameters that the rule does not name are drawn at random.
    """

    def __init__(self, ratios: Mapping[str, float], seed: int) -> None:
        """Hold the keep ratios by parameter name."""
        self._ratios = dict(ratios)
        self._random = RandomSampler(seed=seed_for(seed, "sampler") % 2**32)

    def is_exhausted(self, study: Study) -> bool:
        """Tell whether the one proposal was made and finished."""
        return any(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: every parameter is answered on its own."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the rule's ratio, held to the distribution's range."""
        if param_name in self._ratios and isinstance(param_distribution, FloatDistribution):
            return min(max(self._ratios[param_name], param_distribution.low), param_distribution.high)
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def need_context(context: SearchContext | None, strategy: str) -> SearchContext:
    """Return the context, or say that there is none.

    Raises:
        SearchError: If there is none.
    """
    if context is None:
        raise SearchError(
            f"Strategy {strategy!r} ranks the channels of a network and needs a SearchContext, found none. "
            "Run it with python -m search, or pass context=."
        )
    return context
