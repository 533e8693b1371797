"""How active channels are: mean of spikes plus absolute membrane potential, over time, samples and pixels.

    activity[c] = mean over T, B, H, W of  s[t, c] + |V[t, c]|

V is the potential after the step: after the reset, where the neuron has spiked. Source: SCA (Li et al., ICML 2024) as
coded by its authors; that V is taken after the reset is our reading.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import copy
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from typing import Self

import torch
from spikingjelly.activation_based.neuron import SimpleBaseNode
from torch import Tensor
from torch import nn
from torch.utils.hooks import RemovableHandle

from lightning_snn.errors import SurgeryError
from lightning_snn.neurons import spikes
from lightning_snn.time_axis import channel_axis


class ActivityMeter:
    """Average the activity of each neuron layer's channels while a network runs inside the ``with`` block."""

    def __init__(self, network: nn.Module, *, training_only: bool = False) -> None:
        """Prepare to watch.

        Args:
            network: SpikingJelly layers in either step mode.
            training_only: Whether passes in evaluation mode, of a validation say, are left out.
        """
        self._network, self._training_only = network, training_only
        self._sums: dict[str, tuple[Tensor, int]] = {}  # in order of execution: sum over all, values a channel
        self._stored: dict[Any, bool] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        """Start to watch the neurons, which keep the potential of every step until the end."""
        for name, module in self._network.named_modules():
            if spikes(module):
                if hasattr(type(module), "store_v_seq"):
                    self._stored[module] = bool(module.store_v_seq)
                    module.store_v_seq = module.step_mode == "m"
                self._watch(name, module)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; the means stay."""
        while self._handles:
            self._handles.pop().remove()
        for module, stored in self._stored.items():
            module.store_v_seq = stored

    def clear(self) -> None:
        """Forget what was seen."""
        self._sums.clear()

    def means(self) -> dict[str, Tensor]:
        """Return the mean activity of each channel ``[C]``, float64, by layer of neurons in order of execution."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def _watch(self, name: str, neurons: nn.Module) -> None:
        before: dict[str, Any] = {}

        def remember(module: Any, _: Any) -> None:
            before.update(getattr(module, "_memories", {}))

        @torch.no_grad()
        def add(module: Any, args: tuple[Any, ...], output: Any) -> None:
            if self._training_only and not module.training:
                return
            potential = _potentials(module, before, args[0])
            if not isinstance(potential, Tensor) or not isinstance(output, Tensor) or potential.shape != output.shape:
                raise SurgeryError(
                    "Activity needs the membrane potential of every neuron and step, which nobody can tell of the "
                    f"{type(module).__name__} in layer {name!r}. Use IF, LIF or parametric LIF neurons, or rank "
                    "channels by something else (--space.criterion l1; --pruning slimming)."
                )
            activity = output.detach().float() + potential.detach().float().abs()
            channels = channel_axis(module, activity)
            axes = [axis for axis in range(activity.ndim) if axis != channels]
            total, count = self._sums.get(name, (torch.zeros((), dtype=torch.float64, device=activity.device), 0))
            summed_C = activity.sum(axes).double()
            self._sums[name] = (total.to(summed_C.device) + summed_C, count + activity.numel() // len(summed_C))

        self._handles.append(neurons.register_forward_pre_hook(remember))
        self._handles.append(neurons.register_forward_hook(add))


def channel_activity(network: nn.Module, layer: str, neurons: str | None, means: Mapping[str, Tensor]) -> Tensor | None:
    """Return the mean activity of the neurons behind each output channel of a layer, ``[C]``.

    Args:
        network: What was watched.
        layer: A convolution or linear layer.
        neurons: Those that it drives, by :func:`next_neurons`.
        means: What an :class:`ActivityMeter` saw.

    Returns:
        None where no neurons follow, or ones that do not have the layer's channels.
    """
    found_C = None if neurons is None else means.get(neurons)
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return found_C if found_C is not None and len(found_C) == len(weight) else None


def _potentials(neurons: Any, before: dict[str, Any], x: Tensor) -> Any:
    """Return the potentials after each step of a call, or what is no tensor where they are not known.

    Args:
        neurons: After the call.
        before: Their memories before it.
        x: What they saw.
    """
    if hasattr(type(neurons), "store_v_seq"):
        return neurons.v_seq if neurons.step_mode == "m" else neurons.v
    if not isinstance(neurons, SimpleBaseNode):
        return None
    if neurons.step_mode == "s":
        return neurons.v
    again = copy.copy(neurons)  # they keep the last potential only
    again.__dict__["_memories"] = dict(before)
    found = []
    for x_B in x:
        again.single_step_forward(x_B)
        found.append(again.v)
    return torch.stack(found)
