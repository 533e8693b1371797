"""Export of 2:4 sparse layers to PyTorch's semi-structured format, whose products NVIDIA GPUs (8.0 and later) speed up.

PyTorch multiplies such matrices with dense ones; it has no convolution for them. A convolution is therefore exported
as the matrix ``[O, K]`` that multiplies its unfolded input ``[K, positions]``, with the columns in the order in which
the pattern's blocks lie side by side.

Axes: O outputs, K inputs times kernel positions, P output positions of all samples and time steps.
"""

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.sparse import to_sparse_semi_structured

from lightning_snn._fan_out import WeightedLayer
from lightning_snn.errors import PruningError
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import assert_pattern


def weight_matrix(layer: WeightedLayer, blocks: str = "channels") -> Tensor:
    """Return a layer's weight as ``[O, K]``, each block of the pattern in neighbouring columns.

    Args:
        layer: A linear layer, or a convolution without groups.
        blocks: ``channels`` or ``flat``, as the network was pruned.

    Raises:
        PruningError: If a block has more than two live weights of four, or the layer has groups.
    """
    if not isinstance(layer, nn.Linear) and layer.groups > 1:
        raise PruningError(f"Layers without groups have one weight matrix, found {layer.groups} groups.")
    weight = layer.weight.detach()
    assert_pattern(type(layer).__name__, weight, Pattern(2, 4, blocks))
    return (weight.movedim(1, -1) if blocks == "channels" else weight).reshape(len(weight), -1)


def unfolded(layer: WeightedLayer, x_BCHW: Tensor, blocks: str = "channels") -> Tensor:
    """Return a layer's input as ``[K, P]``: the layer's weight matrix times it is the layer's output, without bias.

    Args:
        layer: A linear layer, or a 2D convolution whose padding is a number.
        x_BCHW: Its input, ``[B, C, H, W]``; of a linear layer ``[B, C]``.
        blocks: As for :func:`weight_matrix`.
    """
    if isinstance(layer, nn.Linear):
        return x_BCHW.T
    assert isinstance(layer, nn.Conv2d)
    assert not isinstance(layer.padding, str)
    x_BKP = F.unfold(x_BCHW, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    if blocks == "channels":
        x_BKP = torch.unflatten(x_BKP, 1, (layer.in_channels, -1)).transpose(1, 2).flatten(1, 2)
    return x_BKP.movedim(1, 0).flatten(1)


def semi_structured(layer: WeightedLayer, blocks: str = "channels") -> Tensor:
    """Return a layer's weight matrix in PyTorch's semi-structured format, in half precision on the GPU.

    Args:
        layer: As for :func:`weight_matrix`.
        blocks: As for :func:`weight_matrix`.

    Raises:
        PruningError: If there is no GPU that has the format, or the layer is not 2:4.
    """
    matrix_OK = weight_matrix(layer, blocks)
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0):
        raise PruningError(
            "PyTorch's semi-structured format needs an NVIDIA GPU of compute capability 8.0 or more, found none. "
            "Run it where there is one."
        )
    sparse: Tensor = to_sparse_semi_structured(matrix_OK.half().cuda().contiguous())
    return sparse
