"""Commands that are killed without warning, in a process of their own."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest


def killed_at(owner: Any, name: str, calls: int, command: Callable[[], Any]) -> None:
    """Run a command in a fork of this process that kills itself in a call of ``owner.name``.

    A fork has the libraries loaded: a new interpreter would take seconds to.

    Args:
        owner: Module or class.
        name: Of the function.
        calls: How many calls go well.
        command: What to run.
    """
    child = os.fork()
    if child == 0:
        original, left = getattr(owner, name), calls

        def deadly(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return original(*arguments, **options)

        setattr(owner, name, deadly)
        try:
            command()
        finally:
            os._exit(1)  # it was to die
    _, status = os.waitpid(child, 0)
    if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        pytest.fail(f"The command was to die in call {calls} of {name}, found status {status}.")
