"""Which layer of neurons each convolution or linear layer drives: the first one that its output reaches.

Followed through autograd's graph: the output of every layer becomes a leaf of it, neurons let nothing through, and so
what lies between a layer and its neurons (batch norms, pools, additions, reshapes, folded axes) does not matter.
"""

import copy
from typing import Any
from typing import Final

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.autograd.function import BackwardCFunction

from lightning_snn._any_output import run_any_output
from lightning_snn._fan_out import WeightedLayer
from lightning_snn.neurons import is_neuron

UNKNOWN: Final = "?"
"""Stands for neurons that are there, as a function of one's own say, but are no module that is known as one."""


def next_neurons(network: nn.Module, example: Tensor) -> dict[str, str | None]:
    """Run the network, and return for each weighted layer the neurons that its output reaches first.

    Around a residual addition several layers drive the same neurons; a pool may lie between, or another layer: of two
    convolutions in a row, both drive the neurons behind the second.

    Args:
        network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
        example: One input ``[T, B, C, H, W]`` on the network's device.

    Returns:
        Names, in order of execution; a layer that was not executed is not in it. None: a readout, whose output is one
        of the network. :data:`UNKNOWN`: neither is reached, or only through a function of the user's own.
    """
    flow = _Flow()
    functional.reset_net(network)
    with torch.inference_mode(False), torch.enable_grad():
        # a copy, lest modules that remember what they saw hold on to the graph; its weights are the network's own
        copied = copy.deepcopy(network, {id(each): each for each in network.parameters()}).eval()
        for name, module in copied.named_modules():
            if isinstance(module, WeightedLayer):
                module.register_forward_pre_hook(lambda _, args, name=name: flow.arrive(name, args))
                module.register_forward_hook(lambda _, __, output, name=name: flow.start(name, output))
            elif is_neuron(module):
                module.register_forward_pre_hook(lambda _, args, name=name: flow.arrive(name, args, ends=True))
                module.register_forward_hook(lambda _, __, output: _cut_off(output))
        flow.finish(run_any_output(copied, example.clone()))
    return {layer: flow.driven_by(layer) for layer in flow.layers}


class _Flow:
    """What the output of each layer reaches, in one pass."""

    def __init__(self) -> None:
        self.layers: list[str] = []
        self._leaves: list[tuple[Tensor, str]] = []
        self._neurons: dict[str, str] = {}
        self._next_layers: dict[str, list[str]] = {}
        self._readouts: set[str] = set()

    def arrive(self, name: str, args: tuple[Any, ...], *, ends: bool = False) -> None:
        """Note which layers' outputs reach a layer, or the neurons at which they end."""
        if name not in self.layers and not ends:
            self.layers.append(name)
        for source, known in self._sources(args[0]).items():
            if ends:
                self._neurons.setdefault(source, name)
            elif known:
                self._next_layers.setdefault(source, []).append(name)

    def start(self, name: str, output: Tensor) -> Tensor:
        """Return the output of a layer as a leaf of the graph."""
        leaf = output.detach().requires_grad_()
        self._leaves.append((leaf, name))
        return leaf.clone()  # may be changed in place, as the leaf may not

    def finish(self, output: Tensor) -> None:
        """Note which layers' outputs are the network's."""
        self._readouts.update(source for source, known in self._sources(output).items() if known)

    def driven_by(self, layer: str) -> str | None:
        """Return the neurons that a layer drives."""
        ahead, seen = [layer], {layer}
        for name in ahead:  # grows: layers without neurons between pass on
            if name in self._neurons:
                return self._neurons[name]
            ahead += [each for each in self._next_layers.get(name, []) if each not in seen]
            seen.update(ahead)
        return None if self._readouts.intersection(ahead) else UNKNOWN

    def _sources(self, x: Any) -> dict[str, bool]:
        """Return the layers that a tensor comes from, and whether every function on the way there is known."""
        leaves = {id(leaf): name for leaf, name in self._leaves}
        found: dict[str, bool] = {}
        start = x.grad_fn if isinstance(x, Tensor) else None
        waiting, seen = [(start, True)], {start: True}
        while waiting:
            node, known = waiting.pop()
            known = known and not isinstance(node, BackwardCFunction)
            for ahead, _ in getattr(node, "next_functions", ()):
                source = leaves.get(id(getattr(ahead, "variable", None)))
                if source is not None:
                    found[source] = known and found.get(source, True)
                elif ahead is not None and (ahead not in seen or (seen[ahead] and not known)):
                    seen[ahead] = known
                    waiting.append((ahead, known))
        return found


def _cut_off(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.detach()
    return type(output)(_cut_off(each) for each in output) if isinstance(output, list | tuple) else output
