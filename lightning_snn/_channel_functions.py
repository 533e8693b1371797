"""What functions between layers do to channels: only those that are known to keep them apart are let through.

Torch-Pruning treats a function that it does not know as if it kept channels apart, guesses what a reshape does,
and takes axis 1 for that of the channels. Here all three are read from autograd, which knows every function's name
and shapes. One image at one step is traced: ``[B=1, C, ...]``, in a folded copy also ``[T=1, B=1, C, ...]``.
"""

import math
import re
from typing import Any
from typing import Final

import torch_pruning as tp
from torch_pruning.dependency.index_mapping import _ConcatIndexMapping
from torch_pruning.dependency.index_mapping import _FlattenIndexMapping

from lightning_snn.errors import SurgeryError

ELEMENTWISE: Final = {"Add", "Sub", "Rsub", "Mul", "Div", "Neg", "Relu", "Sigmoid", "Clone", "ToCopy"}
POOLING: Final = {
    "MaxPool",
    "AvgPool",
    "AdaptiveMaxPool",
    "AdaptiveAvgPool",
    "UpsampleNearest",
    "UpsampleBilinear",
}
"""Functions that keep channels apart whatever their arguments, by autograd's names (without "2D" and such)."""


def check_function(root: str, grad_fn: Any, *, folded: bool) -> None:
    """Refuse a function that could mix or reorder the channels of layer ``root``.

    Args:
        root: The layer's name.
        grad_fn: The function, as autograd knows it.
        folded: Whether tensors may have a time axis as well, ``[1, 1, C, ...]`` beside ``[1, C, ...]``.

    Raises:
        SurgeryError: With the name of the function.
    """
    name = re.sub(r"Backward\d*$", "", grad_fn.name())
    kind = re.sub(r"[123]D(WithIndices)?$", "", name)
    shape = _output_shape(grad_fn)
    if kind == "Mean":
        before = tuple(grad_fn._saved_self_sym_sizes)
        axes = [_signed(axis) % len(before) for axis in getattr(grad_fn, "_saved_dim", ())]  # without: over everything
        channels = _channel_axis(before, folded)
        keeps_apart = axes != [] and all(axis > channels or (folded and axis < channels) for axis in axes)
    elif kind == "Cat":
        axis = _signed(grad_fn._saved_dim) % len(shape)
        keeps_apart = any(_channel_axis(each, folded) == axis for each in _input_shapes(grad_fn))
        keeps_apart |= folded and shape[axis] == 1  # of steps, of which there is one
    elif kind in {"Select", "Stack", "Unbind"}:  # of steps, by a loop over them
        longer = {"Select": _saved_shape(grad_fn), "Stack": shape, "Unbind": (1, *shape)}[kind]
        axis = _signed(grad_fn._saved_dim) % len(longer)
        keeps_apart = folded and longer[axis] == 1 and axis < _channel_axis(longer, folded)
    elif kind in {"View", "UnsafeView"}:
        keeps_apart = _positions_a_channel(grad_fn, folded) > 0
    elif kind in {"Squeeze", "Unsqueeze"}:
        before, axis = _input_shapes(grad_fn)[0], _channel_axis(shape, folded)
        keeps_apart = 1 <= axis < len(shape) and shape[axis] == before[_channel_axis(before, folded)]
    else:
        keeps_apart = kind in ELEMENTWISE | POOLING
    if not keeps_apart:
        raise SurgeryError(
            f"The channels of layer {root!r} cannot be followed through a function after it, found {name} "
            f"with output {shape}. Use functions that keep channels apart and in order, on axis 1 of a step."
        )


def correct_mappings(graph: tp.DependencyGraph, *, folded: bool) -> None:
    """Tell Torch-Pruning what reshapes do, and concatenations behind a time axis."""
    reshapes = [node for node in graph.module2node.values() if node.type == tp.ops.OPTYPE.RESHAPE]
    for node in reshapes:
        node.type = tp.ops.OPTYPE.ELEMENTWISE  # else the guess comes back with every query
        for dep in _dependencies(node, [*node.inputs, *node.outputs]):
            dep.index_mapping[0] = None
    for node in reshapes:  # only now: one may follow another
        _correct_reshape(node, folded)
    for node in graph.module2node.values():
        if node.type == tp.ops.OPTYPE.CONCAT and folded and _signed(node.grad_fn._saved_dim) > 1:
            _correct_concatenation(node)


def _dependencies(node: Any, neighbours: list[Any]) -> list[Any]:
    """Return those between a node and its neighbours, in both directions."""
    back = [dep for neighbour in neighbours for dep in neighbour.dependencies if dep.target is node]
    return back + [dep for dep in node.dependencies if dep.target in neighbours]


def _correct_reshape(node: Any, folded: bool) -> None:
    """Let a flatten spread each channel over its pixels, and every other reshape leave it."""
    pixels = max(_positions_a_channel(node.grad_fn, folded), 1)
    for dep in _dependencies(node, node.inputs):
        dep.index_mapping[0] = _FlattenIndexMapping(pixels, reverse=dep.source is node)


def _correct_concatenation(node: Any) -> None:
    """Put the channels of each input behind those of the one before it: Torch-Pruning does it on axis 1 only.

    An input that no layer had a part in has no node. Then nothing is done: the reader of the concatenation is
    refused later, because it has channels that nobody produced.
    """
    if len(node.inputs) < len(node.grad_fn.next_functions):
        return
    end = 0
    for source, shape in zip(node.inputs, _input_shapes(node.grad_fn), strict=True):
        start, end = end, end + shape[node.grad_fn._saved_dim]
        for here, there, reverse in ((node, source, True), (source, node, False)):
            dep = next(d for d in here.dependencies if d.target is there and d.index_mapping[1] is None)
            dep.index_mapping[1] = _ConcatIndexMapping((start, end), reverse=reverse)


def _positions_a_channel(grad_fn: Any, folded: bool) -> int:
    """Return how many positions on the channel axis a channel takes after a reshape; 0 if it has none of its own."""
    before, after = tuple(grad_fn._saved_self_sym_sizes), _output_shape(grad_fn)
    axis = _channel_axis(after, folded)
    if len(after) < 2 or axis < 1 or math.prod(after[:axis]) > 1:
        return 0
    pixels_before = math.prod(before[_channel_axis(before, folded) + 1 :])
    pixels_after = math.prod(after[axis + 1 :])
    return pixels_before // pixels_after if pixels_before % pixels_after == 0 else 0


def _channel_axis(shape: tuple[int, ...], folded: bool) -> int:
    """Return the axis of the channels: one image at one step leaves size one to all axes before it."""
    return next((axis for axis, size in enumerate(shape) if size > 1), len(shape) - 1) if folded else 1


def _input_shapes(grad_fn: Any) -> list[tuple[int, ...]]:
    """Return the shapes of those inputs that a layer had a part in."""
    return [
        tuple(source._input_metadata[index].shape) for source, index in grad_fn.next_functions if source is not None
    ]


def _saved_shape(grad_fn: Any) -> tuple[int, ...]:
    return tuple(getattr(grad_fn, "_saved_self_sym_sizes", ()))


def _output_shape(grad_fn: Any) -> tuple[int, ...]:
    return tuple(grad_fn._input_metadata[0].shape)  # goes into the backward: came out of the forward


def _signed(axis: int) -> int:
    """Autograd saves negative axes as unsigned 64-bit numbers."""
    return axis - 2**64 if axis >= 2**63 else axis
