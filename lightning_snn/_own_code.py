"""A digest of the code that a user wrote for a network: of what it says, not of how it is laid out.

What a network computes on noise (``fingerprint.py``) cannot show a line that only other inputs reach, or that only a
longer training does. So the syntax trees of the user's files count too, without comments, docstrings and layout: those
with the classes of the network's layers, and those of the user's own that they take names from.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from torch import nn

from lightning_snn._user_code import is_of_user


def digest_of_own_code(network: nn.Module, *files: str) -> str:
    """Return the digest of a network's own code; that of nothing for a network whose classes are all of libraries.

    Args:
        network: Its layers' classes say in which files to look.
        files: Names of further modules, such as that with the function that builds it.
    """
    names = {kind.__module__ for module in network.modules() for kind in type(module).__mro__} | set(files)
    found = hashlib.sha256()
    for file in sorted(_own_files(names)):
        found.update(ast.dump(_without_docstrings(ast.parse(file.read_bytes()))).encode())
    return found.hexdigest()


def _own_files(names: set[str]) -> set[Path]:
    """Return the user's files behind some modules, and behind those that they take names from."""
    found: dict[str, Path] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is None or name in found or file is None or not file.endswith(".py") or not is_of_user(file):
            continue
        found[name] = Path(file)
        waiting |= set(_names_in(module))
    return set(found.values())


def _names_in(module: ModuleType) -> Iterator[str]:
    """Yield the names of modules that the values in a module come from."""
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
