"""Copies of a network that Torch-Pruning can trace: one time step, in one piece, with plain functions only.

Torch-Pruning takes the time loop of a multi-step network for a split of channels, and then prunes wrongly
without an error; it skips frozen parameters without a word, and leaves its subject in evaluation mode. Hence a
copy. Its neurons are replaced by products with one: they act on each channel alone, and their inside has nothing
to tell.

The copy is single-step where the network's ``forward`` allows it. A ``forward`` that is written for
``[T, B, ...]`` (SpikingJelly's MS-ResNet, its transformers) gets a copy in step mode ``"m"`` that is shown one
step, and whose layers are single-step behind a fold of T and B: no time loop is left in it either.

Axes: T time steps, B batch, C channels.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from typing import Final

import torch
import torch_pruning as tp
from spikingjelly.activation_based import base
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn

from lightning_snn.neurons import is_neuron

WEIGHTED: Final = (tp.ops.TORCH_CONV, tp.ops.TORCH_LINEAR)
CONTAINERS: Final = (layer.SeqToANNContainer, layer.MultiStepContainer, layer.StepModeContainer)
"""They fold T and B, or loop over T, around single-step content."""
PLAIN: Final[Mapping[type[nn.Module], type[nn.Module]]] = MappingProxyType(
    {
        layer.ThresholdDependentBatchNorm1d: layer.BatchNorm1d,
        layer.ThresholdDependentBatchNorm2d: layer.BatchNorm2d,
        layer.TemporalEffectiveBatchNorm1d: layer.BatchNorm1d,
        layer.TemporalEffectiveBatchNorm2d: layer.BatchNorm2d,
    }
)
"""Batch norms that are multi-step only -> what does to channels as they do, in either step mode."""


class StandIn(nn.Module):
    """Takes a neuron's place: a product with one, which autograd shows as a single element-wise function."""

    size = 0

    def __init__(self, channel_axis: int) -> None:
        """Expect channels on this axis."""
        super().__init__()
        self.channel_axis = channel_axis

    def forward(self, x: Tensor) -> Tensor:
        self.size = x.shape[self.channel_axis]
        return x * 1.0


class StandInPruner(tp.pruner.BasePruningFunc):  # type: ignore[misc]  # torch_pruning is untyped
    """Tells Torch-Pruning that what goes into a neuron comes out of it; nothing is ever pruned through it."""

    def prune_out_channels(self, layer: StandIn, idxs: list[int]) -> StandIn:
        return layer

    prune_in_channels = prune_out_channels  # the same function: this is how Torch-Pruning ties both sides

    def get_out_channels(self, layer: StandIn) -> int:
        return layer.size

    get_in_channels = get_out_channels


class _Folded:
    """Mixed into a single-step layer: it takes ``[T, B, ...]``, and its hooks see what it does to ``[T * B, ...]``."""

    def __call__(self, x_TB: Tensor) -> Any:
        axes = x_TB.ndim - 1 if isinstance(self, nn.Linear) else 2
        y = super().__call__(x_TB.flatten(0, axes - 1))  # type: ignore[misc]  # of nn.Module
        return y.unflatten(0, x_TB.shape[:axes])


def single_step_copy(network: nn.Module) -> nn.Module:
    """Copy a network, with stand-ins for its neurons and every parameter unfrozen; names stay as they are.

    The numbers in the parameters are shared: only look at the copy. The state of the network's neurons is reset,
    as what a pass with gradients leaves cannot be copied.
    """
    copied = _replaced(_unfrozen_copy(network), {}, folded=False)
    functional.set_step_mode(copied, "s")
    return copied


def folded_copy(network: nn.Module) -> nn.Module:
    """Do what :func:`single_step_copy` does for a multi-step network whose ``forward`` needs ``[T, B, ...]``."""
    return _replaced(_unfrozen_copy(network), {}, folded=True)


def _unfrozen_copy(network: nn.Module) -> nn.Module:
    functional.reset_net(network)
    # contiguous, as a network that is trained with its channels last has strides that autograd cannot be read through
    unfrozen: dict[int, object] = {id(p): nn.Parameter(in_order(p.detach())) for p in network.parameters()}
    return copy.deepcopy(network, unfrozen)


def in_order(x: Tensor) -> Tensor:
    """Return a tensor whose strides are those of its shape: itself, or a copy."""
    plain = torch.empty(x.shape, device="meta").stride()
    return x if x.stride() == plain else x.clone(memory_format=torch.contiguous_format)


def _replaced(module: nn.Module, stand_ins: dict[nn.Module, StandIn], *, folded: bool) -> nn.Module:
    if _stands_alone(module):
        return stand_ins.setdefault(module, StandIn(channel_axis=2 if folded else 1))
    if type(module) in PLAIN:
        module.__class__ = PLAIN[type(module)]
    container = isinstance(module, CONTAINERS)
    children = {name: child for name, child in module._modules.items() if child is not None}
    for name, child in children.items():
        children[name] = _replaced(child, stand_ins, folded=folded and not container)
    module._modules.update(children)
    if container:
        module = nn.Sequential(OrderedDict(children))
    return _folded(module) if folded and (container or _folds(module)) else module


def _stands_alone(module: nn.Module) -> bool:
    """Tell whether a module acts on each channel alone: neurons, and what else keeps something between steps.

    Batch norms that take turns, one a step, are followed as what they are.
    """
    if any(isinstance(each, WEIGHTED) for each in module.modules()):
        return False
    normalises = any(isinstance(each, tp.ops.TORCH_BATCHNORM) for each in module.modules())
    return is_neuron(module) or (isinstance(module, base.MemoryModule) and not normalises)


def _folds(module: nn.Module) -> bool:
    """Tell whether a layer does the same to every step, one by one or all at once."""
    if isinstance(module, nn.Linear):
        return True
    return isinstance(module, base.StepModule) and "s" in module.supported_step_mode() and not module._modules


def _folded(module: nn.Module) -> nn.Module:
    if not isinstance(module, _Folded):  # else it was met before, under another name
        if isinstance(module, base.StepModule):
            module.step_mode = "s"
        module.__class__ = type(f"Folded{type(module).__name__}", (_Folded, type(module)), {})
    return module
