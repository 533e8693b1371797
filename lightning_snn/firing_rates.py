"""Firing rates: spikes per neuron and time step, by layer of neurons."""

from types import TracebackType
from typing import Any
from typing import Self

import torch
from torch import Tensor
from torch import nn
from torch.utils.hooks import RemovableHandle

from lightning_snn.neurons import spikes


class RateMeter:
    """Count the spikes of all neurons (``neurons.py``) while a network runs inside the ``with`` block.

    A spike is an output that is not zero. Counts add up over several blocks; nothing waits for the device.
    """

    def __init__(self, network: nn.Module) -> None:
        """Prepare to count."""
        self._network = network
        self._counts: dict[str, tuple[Tensor, int]] = {}  # in order of execution: spikes, outputs
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        """Start to watch the neurons."""
        for name, module in self._network.named_modules():
            if spikes(module):
                self._handles.append(self._watch(name, module))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; the counts stay."""
        while self._handles:
            self._handles.pop().remove()

    def rates(self) -> dict[str, float]:
        """Return the mean rate in [0, 1] of each layer of neurons that was executed, in order of execution."""
        return {name: float(spiked) / outputs for name, (spiked, outputs) in self._counts.items()}

    def _watch(self, name: str, neurons: nn.Module) -> RemovableHandle:
        @torch.no_grad()
        def count(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                spiked, outputs = self._counts.get(name, (torch.zeros((), dtype=torch.int64), 0))
                self._counts[name] = (spiked.to(output.device) + output.count_nonzero(), outputs + output.numel())

        return neurons.register_forward_hook(count)
