"""Options by name, as a command line gives them, against the signature of what takes them."""

import inspect
import math
from collections.abc import Callable
from collections.abc import Container
from collections.abc import Mapping
from types import NoneType
from types import UnionType
from typing import Any
from typing import Union
from typing import get_args
from typing import get_origin

from lightning_snn.errors import nearest

PLAIN = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", NoneType: "null"}


def wrong_option(
    what: str, takes: Callable[..., Any], options: Mapping[str, Any], others: Container[str]
) -> str | None:
    """Return the sentence that refuses the first option that is unknown or of a wrong type; None where all will do.

    Only options that are annotated as plain values are checked by type.

    Args:
        what: Who has the options, such as ``"Pruner 'lamp'"``.
        takes: A function or class.
        options: What it shall be called with.
        others: Its arguments that are no options.
    """
    parameters = inspect.signature(takes, eval_str=True).parameters
    known = [each for each in parameters if each not in others]
    for option, value in options.items():
        if option not in known:
            return f"{what} has no option {option!r}. {nearest(option, known, 'options')}"
        kinds = _kinds(parameters[option].annotation)
        fits = type(value) in kinds or (type(value) is int and float in kinds)
        fits &= not isinstance(value, float) or math.isfinite(value)
        if not fits and all(each in PLAIN for each in kinds):
            wanted = " or ".join(PLAIN[each] for each in kinds)
            return f"Option {option!r} of {what[0].lower()}{what[1:]} is {wanted}, found {value!r}."
    return None


def as_meant(takes: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with whole numbers as floats where the signature means numbers: 2 is 2.0.

    A command line gives 2 for 2.0, and SpikingJelly asserts that its time constants and thresholds are floats. What
    an option means is said by its annotation, or without one by its default.

    Args:
        takes: A function or class.
        options: What it shall be called with.
    """
    try:
        parameters = inspect.signature(takes, eval_str=True).parameters
    except NameError:  # annotations that only a type checker can resolve
        parameters = inspect.signature(takes).parameters
    return {
        name: float(value) if _means_float(parameters.get(name), value) else value for name, value in options.items()
    }


def _means_float(parameter: inspect.Parameter | None, value: Any) -> bool:
    if parameter is None or type(value) is not int:
        return False
    if parameter.annotation is parameter.empty:
        return type(parameter.default) is float
    kinds = _kinds(parameter.annotation)
    return int not in kinds and (float in kinds or kinds == ("float",))


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
