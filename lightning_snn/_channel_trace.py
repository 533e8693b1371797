"""Which positions of which layers must go together: Torch-Pruning's dependency graph, as plain index pairs.

Axes: B batch (one image), C channels or features, H rows, W columns; in a grouped convolution G blocks, I input
and O output channels of a block.
"""

from dataclasses import dataclass
from dataclasses import field
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn._channel_functions import check_function
from lightning_snn._channel_functions import correct_reshapes
from lightning_snn._channel_ports import Port
from lightning_snn._channel_ports import check_tensors
from lightning_snn._channel_ports import check_type
from lightning_snn._channel_ports import port_size
from lightning_snn._channel_ports import port_tensors
from lightning_snn._single_step_copy import WEIGHTED
from lightning_snn._single_step_copy import StandIn
from lightning_snn._single_step_copy import StandInPruner
from lightning_snn._single_step_copy import single_step_copy
from lightning_snn.errors import SurgeryError


@dataclass(frozen=True)
class Tie:
    """Position ``a[i]`` of ``port_a`` goes if and only if position ``b[i]`` of ``port_b`` goes."""

    port_a: Port
    a: NDArray[np.int64]
    port_b: Port
    b: NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """What ties the channels of a network."""

    sizes: dict[Port, int] = field(default_factory=dict)
    """Positions of each port, in the order in which the layers ran."""
    ties: list[Tie] = field(default_factory=list)
    fixed: set[str] = field(default_factory=set)
    """Layers whose output channels are outputs of the network."""


def trace(network: nn.Module, image_BCHW: Tensor) -> Trace:
    """Run one image through a single-step copy of the network, and collect what ties its channels.

    Raises:
        SurgeryError: If the copy does not run, or channels meet in a way that cannot be followed.
    """
    check_tensors(network)
    input_axes: dict[nn.Module, int] = {}
    outputs: list[Tensor] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        input_axes[module] = inputs[0].ndim

    def forward(module: nn.Module, inputs: tuple[Tensor]) -> Any:
        output = module(*inputs)
        outputs.extend(tp.utils.flatten_as_list(output))
        return output

    graph = tp.DependencyGraph()
    try:
        with torch.inference_mode(False), torch.enable_grad():  # dependencies are read from autograd's graph
            copied = single_step_copy(network)
            for module in copied.modules():
                if isinstance(module, (*WEIGHTED, tp.ops.TORCH_BATCHNORM, StandIn)):
                    module.register_forward_pre_hook(record)
            graph.build_dependency(
                copied,
                (image_BCHW,),
                forward_fn=forward,
                customized_pruners={StandIn: StandInPruner()},
                verbose=False,
            )
    except Exception as error:  # a user's forward can raise anything
        reason = str(error).partition("\n")[0]
        raise SurgeryError(
            f"{type(network).__name__} must run one image in single-step mode to be traced, found "
            f"{type(error).__name__}: {reason}. Use layers with both step modes, and an example that fits."
        ) from error
    correct_reshapes(graph)
    _check_layers(network, {graph._module2name[module]: axes for module, axes in input_axes.items()})
    return _Reader(graph, network, list(input_axes), {output.grad_fn for output in outputs}).read()


def _check_layers(network: nn.Module, input_axes: dict[str, int]) -> None:
    """Refuse what the graph hides: layers that did not run, linear layers over tokens, shared weights."""
    owner_of: dict[int, str] = {}
    for name, module in network.named_modules():
        if not isinstance(module, WEIGHTED):
            continue
        if name not in input_axes:
            raise SurgeryError(
                f"Layer {name!r} must run in evaluation mode to be traced, found that it did not. "
                "Remove layers that are not used, or only used in training."
            )
        if isinstance(module, nn.Linear) and input_axes[name] != 2:
            raise SurgeryError(
                f"Linear layer {name!r} must see features [B, C] in a step, found {input_axes[name]} axes. "
                "Flatten before it, and keep attention over tokens out of the network."
            )
        for parameter in module.parameters(recurse=False):
            if owner_of.setdefault(id(parameter), name) != name:
                raise SurgeryError(
                    f"Layers {owner_of[id(parameter)]!r} and {name!r} cannot be cut apart, found a parameter "
                    "that both have. Give each layer its own."
                )


class _Reader:
    """Reads ties out of Torch-Pruning's graph."""

    def __init__(
        self, graph: tp.DependencyGraph, network: nn.Module, visited: list[nn.Module], outputs: set[Any]
    ) -> None:
        self.graph = graph
        self.originals = dict(network.named_modules())
        self.names: dict[nn.Module, str] = {module: name for name, module in graph.model.named_modules()}
        self.visited = visited
        self.outputs = outputs
        self.found = Trace()

    def read(self) -> Trace:
        for module in self.visited:
            if isinstance(module, WEIGHTED):
                self._read_root(module)
        fed = {tie.port_b for tie in self.found.ties if tie.port_a.layer != tie.port_b.layer}
        self.found.fixed.update(
            port.layer for port in self.found.sizes if port.side == "in" and port not in fed
        )  # a grouped convolution of the network's input: its blocks cannot go
        order = {self.names[module]: place for place, module in enumerate(self.visited)}
        sizes = sorted(self.found.sizes.items(), key=lambda item: (order[item[0].layer], item[0].side))
        return Trace(dict(sizes), self.found.ties, self.found.fixed)

    def _read_root(self, root: nn.Module) -> None:
        """Follow the output channels of one layer to every place where they, or their partners, are found."""
        name = self.names[root]
        pruner = self.graph.get_pruner_of_module(root)
        channels = list(range(pruner.get_out_channels(root)))
        group = self.graph.get_pruning_group(root, pruner.prune_out_channels, channels)
        if any(self._is_output(item.dep) for item in group):
            self.found.fixed.add(name)
            return
        for item in group:
            node = item.dep.target
            roots_C, positions_C = np.asarray(item.root_idxs), np.asarray(item.idxs)
            for port, size in self._ports(name, node, item.dep.handler):
                if positions_C.max() >= size:
                    raise SurgeryError(
                        f"Layer {port.layer!r} cannot follow the {len(channels)} channels of layer {name!r}, "
                        f"found only {size} positions in it. Give both as many, and do not add to concatenations."
                    )
                self.found.sizes[port] = size
                self.found.ties.append(Tie(Port(name, "out"), roots_C, port, positions_C))
                if port.side == "out" and getattr(node.module, "groups", 1) > 1:
                    self.found.sizes[Port(port.layer, "in")] = port_size(node.module, "in")
                    self.found.ties.append(_block_tie(port.layer, node.module))

    def _is_output(self, dep: Any) -> bool:
        """Tell whether a channel that reaches this node is an output of the network."""
        module, pruner = dep.target.module, self.graph.get_pruner_of_module(dep.target.module)
        consumed = isinstance(module, WEIGHTED) and dep.handler != pruner.prune_out_channels
        return dep.target.grad_fn in self.outputs and not consumed

    def _ports(self, root: str, node: Any, handler: Any) -> list[tuple[Port, int]]:
        """Name the ports that Torch-Pruning would prune at a node, with their sizes."""
        module = node.module
        if isinstance(module, nn.Parameter):
            raise SurgeryError(
                f"Parameter {self.graph._param_to_name[module]!r} meets the channels of layer {root!r}, "
                "found it outside of neurons and layers. Move it into a MemoryModule or a batch norm."
            )
        if module not in self.names:
            if node.inputs:  # else a function of parameters alone: how a linear layer transposes its weight
                check_function(root, node.grad_fn)
            return []
        name = self.names[module]
        if isinstance(module, StandIn):
            owns_tensors = any(port_tensors(self.originals[name], "neuron", module.size))
            return [(Port(name, "neuron"), module.size)] if owns_tensors else []
        check_type(name, module)
        if not isinstance(module, WEIGHTED):
            return [(Port(name, "norm"), port_size(module, "norm"))]
        pruner = self.graph.get_pruner_of_module(module)
        ports = []
        if handler == pruner.prune_in_channels:
            ports.append((Port(name, "in"), port_size(module, "in")))
        if handler == pruner.prune_out_channels:  # both, where it sees a depthwise convolution
            ports.append((Port(name, "out"), port_size(module, "out")))
        return ports


def _block_tie(name: str, module: nn.Module) -> Tie:
    """Tie each block of a grouped convolution: its inputs to its outputs, and both among themselves.

    So blocks go as a whole, and what is left is a convolution of fewer blocks. Depthwise: one channel a block.
    """
    assert isinstance(module, nn.Conv2d)
    inputs_GI = np.arange(module.in_channels).reshape(module.groups, -1)
    outputs_GO = np.arange(module.out_channels).reshape(module.groups, -1)
    first_input_GO = np.broadcast_to(inputs_GI[:, :1], outputs_GO.shape)
    first_output_GI = np.broadcast_to(outputs_GO[:, :1], inputs_GI.shape)
    return Tie(
        Port(name, "in"),
        np.concatenate([first_input_GO.ravel(), inputs_GI.ravel()]),
        Port(name, "out"),
        np.concatenate([outputs_GO.ravel(), first_output_GI.ravel()]),
    )
