"""A copy of a network that Torch-Pruning can trace: single-step, in one piece, with plain functions only.

Torch-Pruning takes the time loop of a multi-step network for a split of channels, and then prunes wrongly
without an error; it skips frozen parameters without a word, and leaves its subject in evaluation mode. Hence a
copy. Its neurons are replaced by products with one: they act on each channel alone, and their inside has nothing
to tell.
"""

import copy
from collections import OrderedDict
from typing import Final

import torch_pruning as tp
from spikingjelly.activation_based import base
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn

WEIGHTED: Final = (tp.ops.TORCH_CONV, tp.ops.TORCH_LINEAR)


class StandIn(nn.Module):
    """Takes a neuron's place: a product with one, which autograd shows as a single element-wise function."""

    size = 0

    def forward(self, x_BC: Tensor) -> Tensor:
        self.size = x_BC.shape[1]
        return x_BC * 1.0


class StandInPruner(tp.pruner.BasePruningFunc):  # type: ignore[misc]  # torch_pruning is untyped
    """Tells Torch-Pruning that what goes into a neuron comes out of it; nothing is ever pruned through it."""

    def prune_out_channels(self, layer: StandIn, idxs: list[int]) -> StandIn:
        return layer

    prune_in_channels = prune_out_channels  # the same function: this is how Torch-Pruning ties both sides

    def get_out_channels(self, layer: StandIn) -> int:
        return layer.size

    get_in_channels = get_out_channels


def single_step_copy(network: nn.Module) -> nn.Module:
    """Copy a network, with stand-ins for its neurons and every parameter unfrozen; names stay as they are.

    The numbers in the parameters are shared: only look at the copy. The state of the network's neurons is reset,
    as what a pass with gradients leaves cannot be copied.
    """
    functional.reset_net(network)
    unfrozen: dict[int, object] = {id(p): nn.Parameter(p.detach()) for p in network.parameters()}
    copied = _replaced(copy.deepcopy(network, unfrozen), {})
    functional.set_step_mode(copied, "s")
    return copied


def _replaced(module: nn.Module, stand_ins: dict[nn.Module, StandIn]) -> nn.Module:
    if isinstance(module, base.MemoryModule) and not any(isinstance(m, WEIGHTED) for m in module.modules()):
        return stand_ins.setdefault(module, StandIn())
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = _replaced(child, stand_ins)
    if isinstance(module, layer.SeqToANNContainer | layer.MultiStepContainer):
        return nn.Sequential(OrderedDict(module._modules))
    return module
