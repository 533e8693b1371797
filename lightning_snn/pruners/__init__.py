"""Pruners by name: Lightning callbacks that prune outside of a search."""

import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from lightning_snn._options import as_meant
from lightning_snn._options import wrong_option
from lightning_snn.errors import PruningError
from lightning_snn.errors import nearest

if TYPE_CHECKING:
    from lightning_snn.pruners.bench import Bench
    from lightning_snn.pruners.pruner import Pruner

PRUNERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "lamp": "lightning_snn.pruners.layer_adaptive:Lamp",
        "magnitude": "lightning_snn.pruners.magnitude:Magnitude",
        "magnitude_nm": "lightning_snn.pruners.one_shot_nm:MagnitudeNM",
        "random": "lightning_snn.pruners.random:build",
        "random_nm": "lightning_snn.pruners.one_shot_nm:random_nm",
        "sca": "lightning_snn.pruners.sca:SCA",
        "slamp": "lightning_snn.pruners.layer_adaptive:Slamp",
        "slimming": "lightning_snn.pruners.slimming:Slimming",
        "spike_nm": "lightning_snn.pruners.spike_nm:SpikeNM",
        "sr_ste": "lightning_snn.pruners.sr_ste:SRSTE",
    }
)
"""Pruner name -> import path of what takes ``(bench=, target=, **options)``."""

__all__ = ["PRUNERS", "build_pruner", "check_pruner"]


def build_pruner(name: str, *, bench: "Bench", target: float | None = None, **options: Any) -> "Pruner":
    """Build the pruner that ``conf/pruning`` calls ``name``.

    Args:
        name: One of :data:`PRUNERS`.
        bench: Training data to measure on.
        target: Share of the dense network's SynOps that is kept; None: as the options say, or half.
        options: Arguments of the pruner, from ``pruning.options``.

    Raises:
        PruningError: If the name, an option or its value is wrong.
    """
    check_pruner(name, options)
    build = pkgutil.resolve_name(PRUNERS[name])
    pruner: Pruner = build(bench=bench, target=target, **as_meant(build, options))
    return pruner


def check_pruner(name: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown pruner or option, before anything costly is done.

    Raises:
        PruningError: If the name or an option is unknown, or an option is of a wrong type.
    """
    if name not in PRUNERS:
        raise PruningError(f"No pruner is called {name!r}. {nearest(name, PRUNERS)}")
    wrong = wrong_option(f"Pruner {name!r}", pkgutil.resolve_name(PRUNERS[name]), options, ("bench", "target"))
    if wrong is not None:
        raise PruningError(wrong)
