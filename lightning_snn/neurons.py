"""What a layer of neurons is, whichever class it is of, and how much of its membrane potential it keeps in a step.

SpikingJelly has some fifty classes of neurons, and not all share a base. Users write their own, which have one of its
surrogate functions: without one they could not be trained.
"""

import torch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers

PACKAGE = neuron.__name__
DYNAMICS = (
    "forward",
    "single_step_forward",
    "multi_step_forward",
    "single_step_functional_forward",
    "multi_step_functional_forward",
    "neuronal_charge",
    "materialize_states",
)
"""Methods that say how a neuron of SpikingJelly charges; a subclass with one of its own is another neuron."""
INTEGRATORS = (neuron.IFNode, neuron.SimpleIFNode, neuron.NonSpikingIFNode)
LEAKY = (neuron.LIFNode, neuron.SimpleLIFNode, neuron.SLTTLIFNode, neuron.NonSpikingLIFNode)


def is_neuron(module: nn.Module) -> bool:
    """Tell whether a module is a layer of neurons: of SpikingJelly's, or of one's own with a surrogate function."""
    if any(kind.__module__.startswith(f"{PACKAGE}.") for kind in type(module).__mro__):
        return True
    owned = [*vars(module).values(), *module._modules.values()]
    has_surrogate = any(isinstance(each, surrogate.SurrogateFunctionBase) for each in owned)
    return has_surrogate and not weighted_layers(module)  # else a block, a recurrent cell say


def spikes(module: nn.Module) -> bool:
    """Tell whether a module is a layer of neurons whose outputs are spikes, not potentials."""
    silent = (neuron.NonSpikingBaseNode, neuron.NoisyNonSpikingBaseNode)
    return is_neuron(module) and not isinstance(module, silent)


def leak_of(neurons: nn.Module) -> float | None:
    """Return the share of its potential that a neuron keeps in a step, or None where its dynamics are not known.

    Known are integrate-and-fire neurons, leaky ones and parametric leaky ones of SpikingJelly, and subclasses that
    change nothing of how they charge.
    """
    if _charges_like(neurons, (neuron.ParametricLIFNode,)):
        return _one_number(1.0 - torch.as_tensor(neurons.w).sigmoid())
    if _charges_like(neurons, LEAKY):
        return _one_number(1.0 - 1.0 / torch.as_tensor(neurons.tau, dtype=torch.float64))
    return 1.0 if _charges_like(neurons, INTEGRATORS) else None


def _charges_like(neurons: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    return any(
        isinstance(neurons, kind)
        and all(getattr(type(neurons), each, None) is getattr(kind, each, None) for each in DYNAMICS)
        for kind in kinds
    )


def _one_number(leak: Tensor) -> float | None:
    """Return a leak that all neurons of a layer share; a subclass may have one for each channel."""
    return float(leak.detach()) if leak.numel() == 1 else None
