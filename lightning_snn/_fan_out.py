"""How many live synapses one input value reaches: the fan-out map of a convolution or a linear layer.

    F[c, i, j] = sum over outputs o and taps q, q' of  1[W[o, c, q, q'] != 0] * V_h[q, i] * V_w[q', j]

with V_a[q, i] the number of output positions whose tap q meets input index i along axis a. Only positions
that exist are in V, so borders, strides and dilations are exact, and zero padding costs nothing. The three
other padding modes copy real values, so that an input index is met through its copies too.

Axes: C input channels, O output channels, G groups; along one axis K kernel taps, I input positions, P padded
positions, L output positions; S all input positions (1 for a linear layer).
Source: ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F

ConvLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d
WeightedLayer = ConvLayer | nn.Linear


@dataclass(frozen=True)
class FanOut:
    """What one layer costs at one input size. Tensors stay on the layer's device."""

    live_CS: Tensor
    """Non-zero weights that a value at channel C and position S meets, float64."""
    dense: int
    """Multiply-accumulates of one input row if no value and no weight were zero, borders exact."""
    connectivity: Tensor
    """Non-zero weights / all weights, a number."""


def weighted_layers(network: nn.Module) -> dict[str, WeightedLayer]:
    """Return convolutions and linear layers by name, in network order; a layer used twice once."""
    return {name: module for name, module in network.named_modules() if isinstance(module, WeightedLayer)}


def axis_count(layer: WeightedLayer) -> int:
    """Return the number of spatial axes of a layer's input, 0 for a linear layer."""
    return 0 if isinstance(layer, nn.Linear) else layer.weight.ndim - 2


def fan_out(layer: WeightedLayer, size: tuple[int, ...]) -> FanOut:
    """Build the map of a layer from its *effective* weight (after masks and parametrisations).

    Args:
        layer: The layer, as it was in the forward pass that is counted.
        size: Spatial size of its input, empty for a linear layer.
    """
    live_weight = layer.weight.detach() != 0
    connectivity = live_weight.double().mean()
    if isinstance(layer, nn.Linear):
        return FanOut(live_weight.sum(0).double().unsqueeze(1), live_weight.numel(), connectivity)
    live_GOCK = torch.unflatten(live_weight.double(), 0, (layer.groups, -1))
    map_CK = live_GOCK.sum(1).flatten(0, 1)  # channels, then one axis for each kernel axis
    dense = layer.in_channels * (layer.out_channels // layer.groups)
    for axis, positions in enumerate(size):
        meetings_KI = _meetings(layer, axis, positions)
        dense *= int(meetings_KI.sum())
        # Takes the first kernel axis away and puts its positions last: after all of them, [C, *size].
        map_CK = torch.tensordot(map_CK, meetings_KI.to(map_CK.device), dims=([1], [0]))
    return FanOut(map_CK.flatten(1), dense, connectivity)


def _meetings(layer: ConvLayer, axis: int, positions: int) -> Tensor:
    """Count, along one axis, the output positions whose tap K meets input position I: V, ``[K, I]``."""
    kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
    span = dilation * (kernel - 1)
    if isinstance(layer.padding, str):
        before = span // 2 if layer.padding == "same" else 0
        after = span - before if layer.padding == "same" else 0
    else:
        before = after = layer.padding[axis]
    index_I = torch.arange(positions, dtype=torch.float64).view(1, 1, -1)
    if layer.padding_mode == "zeros":  # a padded zero is nobody's copy: position I, cut off below
        source_P = F.pad(index_I, (before, after), value=positions).long().flatten()
    else:
        source_P = F.pad(index_I, (before, after), mode=layer.padding_mode).long().flatten()
    outputs = (positions + before + after - span - 1) // stride + 1
    padded_KL = torch.arange(kernel).unsqueeze(1) * dilation + torch.arange(outputs) * stride
    met_KL = source_P[padded_KL]
    meetings_KI = torch.zeros(kernel, positions + 1, dtype=torch.float64)
    return meetings_KI.scatter_add_(1, met_KL, torch.ones_like(met_KL, dtype=torch.float64))[:, :-1]
