"""Tensors that modules keep between passes in Python lists: delay lines, say, which ``reset_net`` does not know."""

from collections import deque

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output


def list_state(network: nn.Module, example: Tensor) -> str | None:
    """Run a network once, and return the sentence about a list of tensors that the pass changed; None if it did not.

    Args:
        network: In evaluation mode; its neurons are reset, and its lists are what they were.
        example: One input ``[T, B, C, H, W]``.
    """
    functional.reset_net(network)
    lists = _lists(network)
    before = {key: list(each) for key, each in lists.items()}
    try:
        with torch.no_grad():
            run_any_output(network, example)
    except Exception:  # a user's forward can raise anything; whoever asks has an error of their own
        pass
    functional.reset_net(network)
    found = None
    for (name, attribute), now in _lists(network).items():
        earlier = before.get((name, attribute), [])
        if any(isinstance(each, Tensor) for each in (*now, *earlier)) and [*map(id, now)] != [*map(id, earlier)]:
            found = (
                f"Module {name or type(network).__name__!r} keeps tensors between passes in a Python list, "
                f"{attribute!r}: no reset clears it, and no copy of the network can do without it. Make it a "
                "MemoryModule with register_memory, or use spikingjelly's layer.Delay."
            )
    for key, each in lists.items():
        each.clear()
        each.extend(before[key])
    return found


def _lists(network: nn.Module) -> dict[tuple[str, str], list[object] | deque[object]]:
    return {
        (name, attribute): value
        for name, module in network.named_modules()
        for attribute, value in vars(module).items()
        if isinstance(value, list | deque)
    }
