"""The groups of ``conf/``: a folder each, whose files a command picks by name."""

import difflib
from collections.abc import Iterable
from importlib import resources

from conf.schema import ConfigError

GROUPS = ("data", "network", "training", "pruning", "strategy", "logger", "experiment")
WORDS = {"data": "data set", "training": "training recipe", "pruning": "pruner"}
"""What a name of a group is called in a sentence, where the group's own name will not do."""


def choices(group: str) -> dict[str, str]:
    """Return the names of a group with the first comment line of each file, read without importing anything big."""
    found = {}
    for file in sorted(resources.files("conf").joinpath(group).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            lines = file.read_bytes().decode("utf-8-sig", "replace").splitlines()
            comments = [line for line in lines if line.startswith("# ") and "@package" not in line]
            found[file.name.removesuffix(".yaml")] = comments[0].removeprefix("# ") if comments else ""
    return found


def check_choice(group: str, name: object, where: str = "") -> None:
    """Refuse a name that a group does not have; ``where`` it was found, if not on the command line.

    Raises:
        ConfigError: If there is no file of that name.
    """
    known = choices(group)
    if name not in known:
        raise ConfigError(f"{where}No {WORDS.get(group, group)} is called {name!r}. {nearest(str(name), known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the sentence that ends a message about an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    spelt = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), spelt, n=1)
    return f"Did you mean {spelt[near[0]]!r}?" if near else f"Known names: {', '.join(known) or 'none'}."
