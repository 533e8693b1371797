"""Copies of a network with channels cut out, or silenced. The network itself is only reset.

Copying is most of the cost, so tensors are cut first, and the copy takes the cut ones in their place.
"""

import copy
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_snn._channel_groups import ChannelUse
from lightning_snn._channel_ports import Port
from lightning_snn._channel_ports import port_tensors
from lightning_snn._channel_ports import resize

FAR_BELOW_THRESHOLD: Final = -1e4
"""Drive that no neuron fires at; fits into half precision."""


def cut_copy(network: nn.Module, sizes: Mapping[Port, int], kept: Mapping[Port, NDArray[np.int64]]) -> nn.Module:
    """Copy a network with only the kept positions of some ports.

    Args:
        network: The parent; its modes and ``requires_grad`` flags are those of the copy.
        sizes: Positions of each port in the parent.
        kept: For ports that lose something, the positions that stay, ascending.
    """
    modules = dict(network.named_modules())
    originals: dict[int, Tensor] = {}
    cut: dict[int, Tensor] = {}
    with torch.inference_mode(False), torch.no_grad():
        for port, positions in kept.items():
            index = torch.from_numpy(positions)
            for tensor, axis in port_tensors(modules[port.layer], port.side, sizes[port]):
                originals[id(tensor)] = tensor
                so_far = cut.get(id(tensor), tensor)
                cut[id(tensor)] = so_far.index_select(axis, index.to(tensor.device))
        memo: dict[int, object] = dict(cut)
        for key, original in originals.items():
            if isinstance(original, nn.Parameter):
                memo[key] = nn.Parameter(cut[key], original.requires_grad)
        functional.reset_net(network)  # the state left by a pass with gradients cannot be copied
        small = copy.deepcopy(network, memo)
    modules = dict(small.named_modules())
    for port, positions in kept.items():
        resize(modules[port.layer], port.side, len(positions))
    return small


def silenced_copy(network: nn.Module, groups: Iterable[tuple[Sequence[ChannelUse], NDArray[np.int64]]]) -> nn.Module:
    """Copy a network, and let some channels carry nothing: filters, batch-norm scales and shifts are zero.

    Zero drive is silence for a neuron that rests below its threshold, and nothing where no neuron follows. A
    neuron with tensors of its own may fire without drive: there the shift is far below any threshold.

    Args:
        network: The parent.
        groups: The uses of each group, and the indices of its channels that are silenced.
    """
    functional.reset_net(network)
    with torch.inference_mode(False), torch.no_grad():
        silenced = copy.deepcopy(network)
        modules = dict(silenced.named_modules())
        for uses, channels in groups:
            shift = FAR_BELOW_THRESHOLD if any(use.side == "neuron" for use in uses) else 0.0
            for use in uses:
                if use.side in {"out", "norm"}:
                    _silence(modules[use.layer], torch.from_numpy(use.positions_CP[channels].ravel()), shift)
    return silenced


def _silence(module: nn.Module, positions: Tensor, shift: float) -> None:
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear | _BatchNorm)
    if module.weight is not None:
        module.weight[positions] = 0.0
        if module.bias is not None:
            module.bias[positions] = shift
    elif module.running_mean is not None:  # a batch norm without scale and shift
        module.running_mean[positions] = -shift
        module.running_var[positions] = 1.0
