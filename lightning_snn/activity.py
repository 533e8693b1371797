"""How active channels are: mean of spikes plus absolute membrane potential, over time, samples and pixels.

    activity[c] = mean over T, B, H, W of  s[t, c] + |V[t, c]|

V is the potential after the step: after the reset, where the neuron has spiked. Source: SCA (Li et al., ICML 2024) as
coded by its authors; that V is taken after the reset is our reading.
"""

from types import TracebackType
from typing import Any
from typing import Self

import torch
from spikingjelly.activation_based.neuron import BaseNode
from torch import Tensor
from torch import nn
from torch.utils.hooks import RemovableHandle


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
        self._stored: dict[BaseNode, bool] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        """Start to watch the neurons, which keep the potential of every step until the end."""
        for name, module in self._network.named_modules():
            if isinstance(module, BaseNode):
                self._stored[module] = module.store_v_seq
                module.store_v_seq = module.step_mode == "m"
                self._handles.append(self._watch(name, module))
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

    def _watch(self, name: str, neurons: BaseNode) -> RemovableHandle:
        channel_axis = 2 if neurons.step_mode == "m" else 1  # after [T, B] or [B]

        @torch.no_grad()
        def add(module: Any, _: Any, spikes: Tensor) -> None:
            if self._training_only and not module.training:
                return
            potential = module.v_seq if module.step_mode == "m" else module.v
            activity = spikes.detach().float() + potential.detach().float().abs()
            axes = [axis for axis in range(activity.ndim) if axis != channel_axis]
            total, count = self._sums.get(name, (torch.zeros((), dtype=torch.float64, device=activity.device), 0))
            summed_C = activity.sum(axes).double()
            self._sums[name] = (total.to(summed_C.device) + summed_C, count + activity.numel() // len(summed_C))

        handle: RemovableHandle = neurons.register_forward_hook(add)
        return handle
