"""Strategies: Optuna samplers by name. Each file of this package has one, with a ``build`` function."""

import inspect
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from lightning_snn._options import as_meant
from lightning_snn._options import wrong_option
from lightning_snn.errors import nearest
from search.errors import SearchError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from search.space import SearchContext

STRATEGIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cmaes": "search.strategies.cmaes:build",
        "ddpg": "search.strategies.ddpg:build",
        "gp": "search.strategies.gp:build",
        "gradient": "search.strategies.gradient:build",
        "greedy": "search.strategies.greedy:build",
        "l1": "search.strategies.l1:build",
        "legr": "search.strategies.legr:build",
        "nsga2": "search.strategies.nsga2:build",
        "qmc": "search.strategies.qmc:build",
        "random": "search.strategies.random:build",
        "sca": "search.strategies.sca:build",
        "slimming": "search.strategies.slimming:build",
        "spear": "search.strategies.spear:build",
        "tpe": "search.strategies.tpe:build",
        "uniform": "search.strategies.uniform:build",
    }
)
"""Strategy name -> import path of its ``build(*, seed, context, **options)``."""

RANKED_BY: Final[Mapping[str, str]] = MappingProxyType({"sca": "activity", "slimming": "bn_gamma"})
"""Strategy name -> the only criterion whose scores it can rank; the others take any."""

RUN_NETWORK: Final = frozenset({"gradient"})
"""Strategies that run the network on training samples: ``space.recalibration_batches`` must not be 0."""

__all__ = [
    "RANKED_BY",
    "RUN_NETWORK",
    "STRATEGIES",
    "build_strategy",
    "check_strategy",
    "check_warmup",
    "is_all_warmup",
]


def build_strategy(name: str, *, seed: int, context: "SearchContext | None" = None, **options: Any) -> "BaseSampler":
    """Build the sampler that ``conf/strategy`` calls ``name``.

    Args:
        name: One of :data:`STRATEGIES`.
        seed: Root seed; the same seed and record propose the same.
        context: What the strategy may know of the network; rules such as ``uniform`` and ``l1`` need it.
        options: Arguments of the strategy, from ``strategy.options``.

    Raises:
        SearchError: If the name or an option is unknown, a needed context is missing, or its scores are known to be
            by another criterion than the strategy ranks.
    """
    check_strategy(name, options, None if context is None else context.criterion)
    build = pkgutil.resolve_name(STRATEGIES[name])
    sampler: BaseSampler = build(seed=seed, context=context, **as_meant(build, options))
    return sampler


def check_strategy(name: str, options: Mapping[str, Any], criterion: str | None = None) -> None:
    """Refuse an unknown strategy or option, or channels scored by a wrong criterion, before anything costly is done.

    Args:
        name: As for :func:`build_strategy`.
        options: Arguments of the strategy.
        criterion: What scores the channels; None: unknown.

    Raises:
        SearchError: If the name or an option is unknown, or the strategy ranks channels by another criterion.
    """
    if name not in STRATEGIES:
        raise SearchError(f"No strategy is called {name!r}. {nearest(name, STRATEGIES)}")
    build = pkgutil.resolve_name(STRATEGIES[name])
    wrong = wrong_option(f"Strategy {name!r}", build, options, ("seed", "context", "evaluations"))
    if wrong is not None:
        raise SearchError(wrong)
    ranked = RANKED_BY.get(name)
    if None not in (ranked, criterion) and ranked != criterion:
        raise SearchError(
            f"Strategy {name!r} ranks channels by {ranked}, found space.criterion {criterion!r}. "
            "Leave that setting to the strategy, or choose the strategy l1, which ranks by any."
        )


def check_warmup(name: str, options: Mapping[str, Any], evaluations: int) -> None:
    """Refuse a warm-up that was asked for, or is the strategy's own, and leaves nothing of the search to learn in.

    Raises:
        SearchError: If it is as long as the search.
    """
    warmup = _named_warmup(name, options)
    if isinstance(warmup, int) and warmup >= evaluations:
        raise SearchError(
            f"Strategy {name!r} proposes at random in its warm-up of {warmup} evaluations, found strategy.evaluations "
            f"{evaluations}: it would learn nothing. Allow more, or set strategy.options.warmup lower."
        )


def is_all_warmup(name: str, options: Mapping[str, Any], evaluations: int) -> bool:
    """Tell whether a search is so short that a strategy of ours, left to itself, proposes at random to its end."""
    if name != "ddpg" or _named_warmup(name, options) is not None:
        return False
    from search.strategies.ddpg import default_warmup

    return default_warmup(evaluations) >= evaluations


def _named_warmup(name: str, options: Mapping[str, Any]) -> Any:
    """Return the warm-up that the options or the strategy itself name; None where it has none, or finds it itself."""
    parameter = inspect.signature(pkgutil.resolve_name(STRATEGIES[name])).parameters.get("warmup")
    return None if parameter is None else options.get("warmup", parameter.default)
