"""Which positions of which layers must go together: Torch-Pruning's dependency graph, as plain index pairs.

Axes: B batch (one image), C channels or features, H rows, W columns; in a grouped convolution G blocks, I input
and O output channels of a block.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn._channel_functions import check_function
from lightning_snn._channel_ports import Port
from lightning_snn._channel_ports import check_type
from lightning_snn._channel_ports import odd_tensors
from lightning_snn._channel_ports import port_size
from lightning_snn._channel_ports import port_tensors
from lightning_snn._channel_run import Run
from lightning_snn._channel_run import run_copy
from lightning_snn._single_step_copy import WEIGHTED
from lightning_snn._single_step_copy import StandIn
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
    skipped: dict[str, str] = field(default_factory=dict)
    """Layers whose output channels cannot be followed, and why."""
    roots: tuple[str, ...] = ()
    """Convolutions and linear layers, in the order in which they ran."""


def trace(network: nn.Module, image_BCHW: Tensor, *, skip_unsupported: bool = False) -> Trace:
    """Run one image through a copy of the network at one time step, and collect what ties its channels.

    Args:
        network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
        image_BCHW: A batch of one.
        skip_unsupported: Leave channels that cannot be followed out of the ties, instead of refusing the network.

    Raises:
        SurgeryError: If the copy does not run, or a layer of the network does not take part; and, but for
            ``skip_unsupported``, if channels meet in a way that cannot be followed.
    """
    odd = odd_tensors(network)
    _refuse(odd, skip_unsupported)
    run = run_copy(network, image_BCHW)
    odd |= _odd_layers(network, {run.graph._module2name[module]: shape for module, shape in run.input_shapes.items()})
    _refuse(odd, skip_unsupported)
    return _Reader(run, network, odd, skip_unsupported).read()


def _refuse(odd: dict[str, str], skip_unsupported: bool) -> None:
    if odd and not skip_unsupported:
        raise SurgeryError(next(iter(odd.values())))


def _odd_layers(network: nn.Module, input_shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Find what the graph hides: linear layers over tokens, shared weights; and say so, by layer.

    Raises:
        SurgeryError: If a layer did not run: nobody knows whose channels it reads.
    """
    found: dict[str, str] = {}
    owner_of: dict[int, str] = {}
    for name, module in network.named_modules():
        if not isinstance(module, WEIGHTED):
            continue
        if name not in input_shapes:
            raise SurgeryError(
                f"Layer {name!r} must run in evaluation mode to be traced, found that it did not. "
                "Remove layers that are not used, or only used in training."
            )
        if isinstance(module, nn.Linear) and math.prod(input_shapes[name][:-1]) > 1:
            found[name] = (
                f"Linear layer {name!r} must see features [B, C] in a step, found {len(input_shapes[name])} axes. "
                "Flatten before it, and keep attention over tokens out of the network."
            )
        for parameter in module.parameters(recurse=False):
            owner = owner_of.setdefault(id(parameter), name)
            if owner != name:
                found[owner] = found[name] = (
                    f"Layers {owner!r} and {name!r} cannot be cut apart, found a parameter that both have. "
                    "Give each layer its own."
                )
    return found


class _Reader:
    """Reads ties out of Torch-Pruning's graph."""

    def __init__(self, run: Run, network: nn.Module, odd: dict[str, str], skip_unsupported: bool) -> None:
        self.graph = run.graph
        self.folded = run.folded
        self.originals = dict(network.named_modules())
        self.names: dict[nn.Module, str] = {module: name for name, module in run.graph.model.named_modules()}
        self.visited = list(run.input_shapes)
        self.ran = set(self.visited)
        self.outputs = {output.grad_fn for output in run.outputs}
        self.odd = odd
        self.skip_unsupported = skip_unsupported
        self.found = Trace()

    def read(self) -> Trace:
        roots = {self.names[module]: module for module in self.visited if isinstance(module, WEIGHTED)}
        for name, root in roots.items():
            try:
                self._read_root(name, root)
            except SurgeryError as error:
                if not self.skip_unsupported:
                    raise
                self.found.skipped[name] = str(error)
        fed = {tie.port_b for tie in self.found.ties if tie.port_a.layer != tie.port_b.layer}
        self.found.fixed.update(
            port.layer for port in self.found.sizes if port.side == "in" and port not in fed
        )  # a grouped convolution of the network's input: its blocks cannot go
        order = {self.names[module]: place for place, module in enumerate(self.visited)}
        order |= {other: place for name, place in order.items() for other in self._at_other_steps(name)}
        sizes = sorted(self.found.sizes.items(), key=lambda item: (order[item[0].layer], item[0].side))
        return replace(self.found, sizes=dict(sizes), roots=tuple(roots))

    def _read_root(self, name: str, root: nn.Module) -> None:
        """Follow the output channels of one layer to every place where they, or their partners, are found."""
        group = self._group_of(name, root)
        if any(self._is_output(item.dep) for item in group):
            self.found.fixed.add(name)
            return
        sizes: dict[Port, int] = {}
        ties: list[Tie] = []
        for item in group:
            node = item.dep.target
            roots_C, positions_C = np.asarray(item.root_idxs), np.asarray(item.idxs)
            for port, size in self._ports(name, node, item.dep.handler):
                if positions_C.max() >= size:
                    raise SurgeryError(
                        f"Layer {port.layer!r} cannot follow the {len(group[0].idxs)} channels of layer {name!r}, "
                        f"found only {size} positions in it. Give both as many, and do not add to concatenations."
                    )
                sizes[port] = size
                ties.append(Tie(Port(name, "out"), roots_C, port, positions_C))
                if port.side == "out" and getattr(node.module, "groups", 1) > 1:
                    sizes[Port(port.layer, "in")] = port_size(node.module, "in")
                    ties.append(_block_tie(port.layer, node.module))
        self.found.sizes.update(sizes)
        self.found.ties.extend(ties)

    def _group_of(self, name: str, root: nn.Module) -> Any:
        pruner = self.graph.get_pruner_of_module(root)
        try:
            channels = list(range(pruner.get_out_channels(root)))
            return self.graph.get_pruning_group(root, pruner.prune_out_channels, channels)
        except Exception as error:  # Torch-Pruning met something that it does not know
            raise SurgeryError(
                f"The channels of layer {name!r} cannot be followed, found {type(error).__name__} in Torch-Pruning: "
                f"{error}. Use functions that keep channels apart and in order."
            ) from error

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
                check_function(root, node.grad_fn, folded=self.folded)
            return []
        name = self.names[module]
        if name in self.odd:
            raise SurgeryError(self.odd[name])
        if isinstance(module, StandIn):
            owns_tensors = any(port_tensors(self.originals[name], "neuron", module.size))
            return [(Port(name, "neuron"), module.size)] if owns_tensors else []
        check_type(name, self.originals[name])
        if not isinstance(module, WEIGHTED):
            return [(Port(each, "norm"), port_size(module, "norm")) for each in (name, *self._at_other_steps(name))]
        pruner = self.graph.get_pruner_of_module(module)
        ports = []
        if handler == pruner.prune_in_channels:
            ports.append((Port(name, "in"), port_size(module, "in")))
        if handler == pruner.prune_out_channels:  # both, where it sees a depthwise convolution
            ports.append((Port(name, "out"), port_size(module, "out")))
        return ports

    def _at_other_steps(self, name: str) -> Iterator[str]:
        """Yield the batch norms that stand in one list with one that ran, and did not run themselves.

        They are those of later steps, of which the copy runs the first only. The proof runs them all.
        """
        siblings, _, _ = name.rpartition(".")
        if isinstance(self.originals.get(siblings), nn.ModuleList):
            for key, module in self.originals[siblings].named_children():
                other = f"{siblings}.{key}"
                if type(module) is type(self.originals[name]) and self.graph.model.get_submodule(other) not in self.ran:
                    yield other


def _block_tie(name: str, module: nn.Module) -> Tie:
    """Tie each block of a grouped convolution: its inputs to its outputs, and both among themselves.

    So blocks go as a whole, and what is left is a convolution of fewer blocks. Depthwise: one channel a block.
    """
    assert isinstance(module, nn.Conv1d | nn.Conv2d)
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
