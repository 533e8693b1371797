"""Lightning data modules: digits, CIFAR, event cameras. Knows nothing of networks, pruning or searching."""

import difflib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from datamodules.errors import DataError

if TYPE_CHECKING:
    from datamodules.base import BaseDataModule

DATAMODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cifar10": "datamodules.cifar:CIFAR10DataModule",
        "cifar100": "datamodules.cifar:CIFAR100DataModule",
        "cifar10_dvs": "datamodules.event_sets:CIFAR10DVSDataModule",
        "digits": "datamodules.digits:DigitsDataModule",
        "digits_events": "datamodules.digits_events:DigitsEventsDataModule",
        "dvs128_gesture": "datamodules.event_sets:DVS128GestureDataModule",
        "event_folder": "datamodules.event_folder:EventFolderDataModule",
        "nmnist": "datamodules.event_sets:NMNISTDataModule",
    }
)
__all__ = ["DATAMODULES", "DataError", "build_datamodule", "datamodule_class"]


def build_datamodule(name: str, **options: Any) -> "BaseDataModule":
    """Build the data module that ``conf/data`` calls ``name``.

    Args:
        name: A key of :data:`DATAMODULES`.
        options: Keyword arguments of that class; ``seed`` is always needed.

    Raises:
        DataError: If no data module has that name, or an option is out of its range.
    """
    return datamodule_class(name)(**options)


def datamodule_class(name: str) -> "type[BaseDataModule]":
    """Return the class that ``conf/data`` calls ``name``; only now is it imported.

    Raises:
        DataError: If no data module has that name.
    """
    if name in DATAMODULES:
        found: type[BaseDataModule] = pkgutil.resolve_name(DATAMODULES[name])
        return found
    near = difflib.get_close_matches(name, DATAMODULES, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known names: {', '.join(sorted(DATAMODULES))}."
    raise DataError(f"No data set is called {name!r}. {hint}")
