"""A gate of 0 or 1 behind the batch norms of every channel: a closed channel is silent, and may come back.

    y[c] = g[c] BN(conv(x))[c]

A gate before the batch norm would leak its shift. Filter, scale and shift of a closed channel stay as they are: no
gradient reaches them, and what weight decay and momentum do is undone. The gradient of the loss with respect to a
closed gate says what opening it would bring; with filter, scale and shift set to zero it would vanish. Source: ours.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from lightning_snn.pruners.masks import optimizer_memory
from lightning_snn.surgery import ChannelPlan
from lightning_snn.time_axis import channel_axis


class ChannelGates:
    """One gate a channel, for all groups in one vector: group after group, in network order."""

    def __init__(self, network: nn.Module, plan: ChannelPlan) -> None:
        """Open all gates; nothing is attached yet.

        Args:
            network: On its device.
            plan: Its channels.
        """
        self._network = network
        device = next(network.parameters()).device
        widths = [group.width for group in plan.groups]
        self.starts = np.concatenate([[0], np.cumsum(widths)])
        """Where the channels of each group start, and the number of all."""
        self.gates_G = torch.ones(int(self.starts[-1]), device=device, requires_grad=True)
        self._channels: dict[str, Tensor] = {}  # batch norm -> gate of each of its positions, or one past the end
        self._filters: list[tuple[Tensor, Tensor]] = []  # parameter, gate of each of its rows
        for start, group in zip(self.starts, plan.groups, strict=False):
            for use in plan.positions(group.name):
                if use.side not in ("norm", "out"):
                    continue
                module = network.get_submodule(use.layer)
                index_P = self._channels.get(use.layer, torch.full((_rows(module),), int(self.starts[-1])))
                index_P[torch.from_numpy(use.positions_CP)] = torch.arange(group.width).unsqueeze(1) + int(start)
                self._channels[use.layer] = index_P
        self._channels = {name: index_P.to(device) for name, index_P in self._channels.items()}
        for name, index_P in self._channels.items():
            for parameter in network.get_submodule(name).parameters(recurse=False):
                self._filters.append((parameter, index_P))
        self._norms = [name for name in self._channels if isinstance(network.get_submodule(name), _BatchNorm)]
        self._held: list[tuple[Tensor, Tensor, Tensor]] = []  # parameter, closed rows, their values
        self._handles: list[RemovableHandle] = []

    @property
    def open_G(self) -> Tensor:
        """Return which gates are open."""
        return self.gates_G.detach() > 0.0

    def attach(self) -> None:
        """Gate the network's batch norms from now on."""
        for name in self._norms:
            self._handles.append(self._network.get_submodule(name).register_forward_hook(self._gate(name)))

    def detach(self) -> None:
        """Leave the network alone."""
        while self._handles:
            self._handles.pop().remove()

    def set(self, open_G: Tensor) -> None:
        """Open and close gates, and hold the filters, scales and shifts of the closed ones where they are."""
        with torch.no_grad():
            self.gates_G.copy_(open_G)
        self.gates_G.grad = None
        closed_G = torch.cat([~open_G, open_G.new_zeros(1)])
        self._held = [
            (parameter, closed_G[index_P], parameter.detach()[closed_G[index_P]].clone())
            for parameter, index_P in self._filters
        ]

    @torch.no_grad()
    def hold(self, optimizers: list[torch.optim.Optimizer]) -> None:
        """Undo what an optimizer step did to closed channels, and clear what the optimizer remembers of them."""
        for parameter, closed_P, values in self._held:
            parameter[closed_P] = values
            for memory in optimizer_memory(optimizers, parameter):
                memory[closed_P] = 0.0

    def gradients(self) -> Tensor:
        """Return the gradient's absolute value at each gate, summed over the batches since they were set."""
        return torch.zeros_like(self.gates_G) if self.gates_G.grad is None else self.gates_G.grad.abs()

    def scale_gradients(self) -> Tensor:
        """Return the absolute gradient of each channel's batch-norm scales, in the last batch."""
        total_G = self.gates_G.detach().new_zeros(len(self.gates_G) + 1)
        for name in self._norms:
            scale = self._network.get_submodule(name).weight
            if isinstance(scale, Tensor) and scale.grad is not None:
                total_G.index_add_(0, self._channels[name], scale.grad.abs())
        return total_G[:-1]

    @torch.no_grad()
    def silence(self, closed_G: Tensor) -> None:
        """Set filters, scales and shifts of channels to zero, once: as SCA's authors prune."""
        closed_G = torch.cat([closed_G, closed_G.new_zeros(1)])
        for parameter, index_P in self._filters:
            parameter[closed_G[index_P]] = 0.0

    def _gate(self, name: str) -> Any:
        index_P = self._channels[name]

        def gate(module: nn.Module, _: Any, output: Tensor) -> Tensor:
            gates_P = torch.cat([self.gates_G, self.gates_G.new_ones(1)])[index_P]
            shape = [1] * output.ndim
            shape[channel_axis(module, output)] = len(gates_P)
            return output * gates_P.view(shape).to(output.dtype)

        return gate


def _rows(module: nn.Module) -> int:
    weight, mean = getattr(module, "weight", None), getattr(module, "running_mean", None)
    rows = weight if isinstance(weight, Tensor) else mean
    assert isinstance(rows, Tensor)
    return len(rows)
