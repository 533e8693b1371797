"""Options by name, as a command line gives them, against the signature of what takes them."""

import inspect
from collections.abc import Callable
from collections.abc import Container
from collections.abc import Mapping
from types import NoneType
from types import UnionType
from typing import Any
from typing import get_args

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
        kind = parameters[option].annotation
        kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
        fits = type(value) in kinds or (type(value) is int and float in kinds)
        if not fits and all(each in PLAIN for each in kinds):
            wanted = " or ".join(PLAIN[each] for each in kinds)
            return f"Option {option!r} of {what[0].lower()}{what[1:]} is {wanted}, found {value!r}."
    return None
