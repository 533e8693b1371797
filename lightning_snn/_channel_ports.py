"""Where a layer's channels lie in its tensors: four kinds of port, each with its tensors and their axes.

Not here: which ports belong together (``_channel_trace.py``, ``_channel_groups.py``).
"""

from collections.abc import Iterator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from typing import Literal
from typing import NamedTuple

from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_snn._fan_out import WeightedLayer
from lightning_snn._made_weights import check_copyable
from lightning_snn._made_weights import made_weight
from lightning_snn.errors import SurgeryError

SUPPORTED: Final = frozenset(
    {
        nn.Conv1d,
        nn.Conv2d,
        nn.Linear,
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        layer.Conv1d,
        layer.Conv2d,
        layer.Linear,
        layer.BatchNorm1d,
        layer.BatchNorm2d,
        layer.ThresholdDependentBatchNorm1d,
        layer.ThresholdDependentBatchNorm2d,
        layer.TemporalEffectiveBatchNorm1d,
        layer.TemporalEffectiveBatchNorm2d,
    }
)
OWN_TENSORS: Final[Mapping[type[nn.Module], frozenset[str]]] = MappingProxyType(
    {
        layer.TemporalEffectiveBatchNorm1d: frozenset({"scale"}),  # of each step, the same for all channels
        layer.TemporalEffectiveBatchNorm2d: frozenset({"scale"}),
    }
)

PARALLEL: Final = (neuron.PSN, neuron.MaskedPSN, neuron.SlidingPSN)
"""Neurons whose tensors run along time steps, of which there may be as many as channels."""

Side = Literal["in", "norm", "neuron", "out"]


class Port(NamedTuple):
    """One side of one layer.

    ``in`` and ``out`` belong to a convolution or linear layer, ``norm`` to a batch norm, and ``neuron`` to a
    neuron that owns tensors with one value per channel.
    """

    layer: str
    side: Side


def check_type(name: str, module: nn.Module) -> None:
    """Refuse a layer that is none of ``SUPPORTED``.

    A subclass is refused as well: it may normalise its weights (``WSConv2d``) or keep tensors of its own.

    Raises:
        SurgeryError: With the layer's name.
    """
    if type(module) not in SUPPORTED:
        raise SurgeryError(
            f"Channels cannot be removed through layer {name!r}, found a {type(module).__name__}. "
            "Use Conv1d, Conv2d, Linear, BatchNorm1d and BatchNorm2d of torch.nn or of spikingjelly's layer module, "
            "or its threshold-dependent or temporal effective batch norms."
        )


def odd_tensors(network: nn.Module) -> dict[str, str]:
    """Find layers that keep tensors of their own beside the usual ones, and say so, by name.

    Raises:
        SurgeryError: If a weight is made of other tensors, by torch's pruning or weight norm, say: such a network
            cannot be copied.
    """
    known = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    found = {}
    check_copyable(network)
    for name, module in network.named_modules():
        made = made_weight(name, module) if isinstance(module, WeightedLayer) else None
        if made is not None:
            found[name] = made
        own = set(module._parameters) | set(module._buffers)
        extra = own - known - OWN_TENSORS.get(type(module), frozenset())
        if type(module) in SUPPORTED and (extra or "weight" not in own):
            found[name] = (
                f"Channels of layer {name!r} cannot be removed, found the tensors {sorted(own)} in it. "
                "Keep nothing in it but weight, bias and running statistics."
            )
    return found


def port_size(module: nn.Module, side: Side) -> int:
    """Return how many positions a port of a layer has (a neuron does not know; the trace does)."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return module.in_channels if side == "in" else module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features if side == "in" else module.out_features
    assert isinstance(module, _BatchNorm)
    return module.num_features


def port_tensors(module: nn.Module, side: Side, size: int) -> Iterator[tuple[Tensor, int]]:
    """Yield every tensor that a port of ``size`` positions runs along, and the axis."""
    if side == "neuron" and isinstance(module, PARALLEL):
        return
    if side == "neuron":
        for tensor in (*module.parameters(), *module.buffers()):
            long_axes = [axis for axis, length in enumerate(tensor.shape) if length > 1]
            if len(long_axes) == 1 and tensor.shape[long_axes[0]] == size:
                yield tensor, long_axes[0]
        return
    if side == "in":
        if getattr(module, "groups", 1) == 1:  # else the axis counts inside one block, and whole blocks go
            yield module.get_parameter("weight"), 1
        return
    for name in ("weight", "bias", "running_mean", "running_var"):
        along: Tensor | None = getattr(module, name, None)
        if along is not None:
            yield along, 0


def resize(module: nn.Module, side: Side, size: int) -> None:
    """Write the number of positions that are left into the layer's own attributes."""
    if isinstance(module, nn.Conv1d | nn.Conv2d) and side == "in":
        module.in_channels = size
    elif isinstance(module, nn.Conv1d | nn.Conv2d):
        module.groups = module.groups * size // module.out_channels if module.groups > 1 else 1
        module.out_channels = size
    elif isinstance(module, nn.Linear):
        setattr(module, f"{side}_features", size)
    elif isinstance(module, _BatchNorm):
        module.num_features = size
