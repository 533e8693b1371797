"""Errors that a user can cause and mend: one sentence each, shown by the command line without a traceback."""

import difflib
from collections.abc import Iterable


class NetworkError(ValueError):
    """A network cannot be built, or cannot be used the way it was asked for."""


class SurgeryError(ValueError):
    """Channels cannot be removed from a network, or removing them did not have its effect."""


class PruningError(ValueError):
    """A network cannot be pruned the way it was asked for."""


class ArtifactError(ValueError):
    """A saved network is missing, incomplete, or not ours."""


class RunError(ValueError):
    """A run of a command cannot start or go on."""


class BusyError(RunError):
    """Another process works in a folder."""


def nearest(name: str, known: Iterable[str], what: str = "names") -> str:
    """Return the sentence that ends a message about an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    spelt = {each.lower(): each for each in known}
    parts = [each for each in spelt if len(name) > 2 and name.lower() in each]
    near = parts if len(parts) == 1 else difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"Did you mean {spelt[near[0]]!r}?" if near else f"Known {what}: {', '.join(known) or 'none'}."
