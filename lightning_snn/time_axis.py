"""Where the time steps are in what a layer sees or returns.

That may be ``[T, B, ...]``, ``[T * B, ...]`` or, call by call, ``[B, ...]``, and a step mode does not say which: layers
in a container that folds, or behind ``x.flatten(0, 1)`` in ``forward``, are single-step and see all steps at once.
What arrived says it, together with T, B and the axes that a layer needs for one sample.

Axes: T time steps, B batch.
"""

import torch
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import WeightedLayer
from lightning_snn._fan_out import axis_count
from lightning_snn.errors import NetworkError


def channel_axis(module: nn.Module, x: Tensor) -> int:
    """Return the axis of the channels in what a layer, a batch norm or neurons see or return.

    Behind a linear layer it is the last one. Batch norms and neurons have it behind T and B where they are multi-step,
    and behind B or T * B where they are single-step: which of both they are decides what they do to the axes.

    Args:
        module: What sees ``x``.
        x: Its input or output.
    """
    if isinstance(module, WeightedLayer):
        return x.ndim - axis_count(module) - 1
    return 2 if getattr(module, "step_mode", "s") == "m" else 1


def steps_in(name: str, module: nn.Module, x: Tensor, time_steps: int, batch_size: int) -> int:
    """Return how many time steps one call holds: T, or 1.

    Args:
        name: Of the module, for the message.
        module: What sees ``x``.
        x: Its input or output.
        time_steps: T of the pass; 1 in a network that is shown one step after the other.
        batch_size: B of the pass.

    Raises:
        NetworkError: If the first axes are neither ``[B]`` nor ``[T, B]`` nor ``[T * B]``.
    """
    rows = tuple(x.shape[: channel_axis(module, x)])  # tokens may follow
    if rows[:2] == (time_steps, batch_size) or rows[:1] == (time_steps * batch_size,):
        return time_steps
    if rows[:1] == (batch_size,):
        return 1
    raise NetworkError(
        f"Layer {name} must see inputs that start with [B], [T, B] or [T * B] for T={time_steps} "
        f"and B={batch_size}, found {rows} before its channels. Keep steps and samples on the first axes, and announce "
        "every batch with its true sizes where you count yourself."
    )


def by_step(name: str, module: nn.Module, x: Tensor, time_steps: int, batch_size: int) -> Tensor:
    """Return ``x`` as ``[T, B, ...]``, or ``[1, B, ...]`` where a call holds one step. A view.

    Args:
        name: Of the module, for the message.
        module: What sees ``x``.
        x: Its input or output.
        time_steps: T of the pass; 1 in a network that is shown one step after the other.
        batch_size: B of the pass.

    Raises:
        NetworkError: As :func:`steps_in`.
    """
    steps = steps_in(name, module, x, time_steps, batch_size)
    stacked = channel_axis(module, x) > 1 and tuple(x.shape[:2]) == (steps, batch_size)
    return x if stacked else torch.unflatten(x, 0, (steps, batch_size))
