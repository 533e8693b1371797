"""Strategies: Optuna samplers by name. Each file of this package has one, with a ``build`` function."""

import inspect
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

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
        "l1": "search.strategies.l1:build",
        "nsga2": "search.strategies.nsga2:build",
        "random": "search.strategies.random:build",
        "spear": "search.strategies.spear:build",
        "tpe": "search.strategies.tpe:build",
        "uniform": "search.strategies.uniform:build",
    }
)
"""Strategy name -> import path of its ``build(*, seed, context, **options)``."""

__all__ = ["STRATEGIES", "build_strategy", "check_strategy"]


def build_strategy(name: str, *, seed: int, context: "SearchContext | None" = None, **options: Any) -> "BaseSampler":
    """Build the sampler that ``conf/strategy`` calls ``name``.

    Args:
        name: One of :data:`STRATEGIES`.
        seed: Root seed; the same seed and record propose the same.
        context: What the strategy may know of the network; rules such as ``uniform`` and ``l1`` need it.
        options: Arguments of the strategy, from ``strategy.options``.

    Raises:
        SearchError: If the name or an option is unknown, or a needed context is missing.
    """
    check_strategy(name, options)
    build = pkgutil.resolve_name(STRATEGIES[name])
    sampler: BaseSampler = build(seed=seed, context=context, **options)
    return sampler


def check_strategy(name: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown strategy or option, before anything costly is done.

    Raises:
        SearchError: If the name or an option is unknown.
    """
    if name not in STRATEGIES:
        raise SearchError(f"No strategy is called {name!r}. {nearest(name, STRATEGIES)}")
    build = pkgutil.resolve_name(STRATEGIES[name])
    known = [each for each in inspect.signature(build).parameters if each not in ("seed", "context")]
    for option in options:
        if option not in known:
            raise SearchError(f"Strategy {name!r} has no option {option!r}. {nearest(option, known, 'options')}")
