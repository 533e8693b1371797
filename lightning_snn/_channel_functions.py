"""What functions between layers do to channels: only those that are known to keep them apart are let through.

Torch-Pruning treats a function that it does not know as if it kept channels apart, and guesses what a reshape
does. Here both are read from autograd, which knows every function's name and shapes.
"""

import math
import re
from typing import Any
from typing import Final

import torch_pruning as tp
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


def check_function(root: str, grad_fn: Any) -> None:
    """Refuse a function that could mix or reorder the channels of layer ``root``.

    Raises:
        SurgeryError: With the name of the function.
    """
    name = re.sub(r"Backward\d*$", "", grad_fn.name())
    kind = re.sub(r"[123]D(WithIndices)?$", "", name)
    shape = _output_shape(grad_fn)
    if kind == "Mean":
        axes = getattr(grad_fn, "_saved_dim", (0,))  # without it, the mean is over everything
        keeps_apart = all(_signed(axis) % len(grad_fn._saved_self_sym_sizes) >= 2 for axis in axes)
    elif kind == "Cat":
        keeps_apart = _signed(grad_fn._saved_dim) % len(shape) == 1
    elif kind in {"View", "UnsafeView"}:
        before = tuple(grad_fn._saved_self_sym_sizes)
        keeps_apart = shape[:2] in {before[:2], (before[0], math.prod(before[1:]))}
    else:
        keeps_apart = kind in ELEMENTWISE | POOLING
    if not keeps_apart:
        raise SurgeryError(
            f"The channels of layer {root!r} cannot be followed through a function after it, found {name} "
            f"with output {shape}. Use functions that keep channels apart and in order, on axis 1 of a step."
        )


def correct_reshapes(graph: tp.DependencyGraph) -> None:
    """Tell Torch-Pruning what reshapes do: a flatten spreads each channel over its pixels, others leave it."""
    for node in graph.module2node.values():
        if node.type != tp.ops.OPTYPE.RESHAPE:
            continue
        node.type = tp.ops.OPTYPE.ELEMENTWISE  # else the guess comes back with every query
        before, after = node.grad_fn._saved_self_sym_sizes, _output_shape(node.grad_fn)
        pixels = max(after[1] // before[1], 1) if min(len(before), len(after)) > 1 else 1
        for dep in node.dependencies:
            back = dep.target in node.inputs
            dep.index_mapping[0] = _FlattenIndexMapping(pixels, reverse=True) if back else None
        for source in node.inputs:
            for dep in source.dependencies:
                if dep.target is node:
                    dep.index_mapping[0] = _FlattenIndexMapping(pixels)
        for reader in node.outputs:
            for dep in reader.dependencies:
                if dep.target is node:
                    dep.index_mapping[0] = None


def _output_shape(grad_fn: Any) -> tuple[int, ...]:
    return tuple(grad_fn._input_metadata[0].shape)  # goes into the backward: came out of the forward


def _signed(axis: int) -> int:
    """Autograd saves negative axes as unsigned 64-bit numbers."""
    return axis - 2**64 if axis >= 2**63 else axis
