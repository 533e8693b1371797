"""A network of the user's own, from the import path of its class or of a function that returns it."""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from torch import nn

from lightning_snn._options import as_meant
from lightning_snn._user_code import user_code
from lightning_snn._wrappers import unwrapped
from lightning_snn.errors import NetworkError


def build_own_network(target: str, *, num_classes: int, in_channels: int, **options: Any) -> nn.Module:
    """Build a user's network from its import path, ``package.module.Class``, also from the current folder.

    ``num_classes`` and ``in_channels`` are passed where the signature names them (or takes any keyword);
    ``options`` are passed always, whole numbers as floats where it means floats. Of wrappers (``DataParallel``,
    ``torch.compile``, ...) what they hold is returned.

    Raises:
        NetworkError: If the path cannot be imported, the code raises anything, or it returns no module.
    """
    build = _found(target)
    if not callable(build):
        raise NetworkError(f"{target} could not be built: it is no class or function, found {build!r}. Name one.")
    with user_code(target):
        parameters = inspect.signature(build).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    given = {"num_classes": num_classes, "in_channels": in_channels}
    arguments = {name: value for name, value in given.items() if takes_any or name in parameters}
    arguments |= as_meant(build, options)
    _refuse_misfit(target, build, arguments)
    with user_code(target):
        network = build(**arguments)
    if not isinstance(network, nn.Module):
        raise NetworkError(f"{target} must return a torch.nn.Module, found {type(network).__name__}.")
    return unwrapped(network)


def _refuse_misfit(target: str, build: Callable[..., Any], arguments: dict[str, Any]) -> None:
    try:
        inspect.signature(build).bind(**arguments)
    except TypeError as error:
        raise NetworkError(
            f"{target} could not be built: {error}. Give its arguments as network.options.NAME=VALUE."
        ) from error


def _found(target: str) -> Any:
    """Return what an import path names.

    Not ``pkgutil.resolve_name``: where a module cannot be imported for want of another, that says it is not there.
    """
    module, colon, inside = target.partition(":")
    names = [*module.split("."), *(inside.split(".") if colon else ())]
    if not all(name.isidentifier() for name in names):
        raise _no_path(target, "it is none")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # python -P leaves it out; at the end, it shadows nothing
    first, *rest = names
    with user_code(target):
        path = [first] if importlib.util.find_spec(first) is not None else []
        if not path:
            raise _no_path(target, f"No module named {first!r}")
        found: Any = importlib.import_module(first)
        while rest and hasattr(found, "__path__") and importlib.util.find_spec(".".join([*path, rest[0]])) is not None:
            path.append(rest.pop(0))
            found = importlib.import_module(".".join(path))
    for name in rest:
        if not hasattr(found, name):
            raise _no_path(target, f"{'.'.join(path)} has no {name!r}")
        found = getattr(found, name)
        path.append(name)
    return found


def _no_path(target: str, reason: str) -> NetworkError:
    return NetworkError(
        f"network._target_ must be an import path such as my_package.MyNet, found {target!r} ({reason}). "
        "Check the spelling, and that the package is installed or in the current folder."
    )
