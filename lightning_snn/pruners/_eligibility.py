"""Which weights earned credit over time: an eligibility trace of their input times the error of the neuron they drive.

    z_j[t] = lam z_j[t-1] + s_j[t]                    trace of the input, lam = 1 - 1/tau (1 for IF neurons)
    C_ij   = | sum over t, samples and positions of  psi_i[t] L_i[t] z_j[t] |,   L = dLoss / d(output spike)

with psi the surrogate derivative: the gradient of the loss through all layers, but through no reset. With a soft
reset that carries no gradient it is the weight's exact one. Where no neuron follows (the classifier), L is the
gradient of the layer's own output and lam is 0; so they are where a pool lies between layer and neuron. A batch norm
between layer and neuron scales an output channel as a whole; blocks lie within a channel, and targets are relative to
their block, so the scale is left out. Source: after the eligibility traces of e-prop (Bellec et al., 2020); that
SpikeNM's distillation is made so is ours.

Axes: T time steps, N samples of all time steps, R blocks, M weights of a block.
"""

from collections.abc import Mapping
from typing import Any

import torch
from spikingjelly.activation_based.base import MemoryModule
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from lightning_snn._fan_out import WeightedLayer
from lightning_snn._next_neuron import next_neurons
from lightning_snn.forward import step_mode
from lightning_snn.pruners._traces import leak


class CreditWatch:
    """Follows one training step of a network, and returns the credit of each weight.

    ::

        watch.attach()
        loss(network(x)).backward()
        credits = watch.detach()
    """

    def __init__(self, network: nn.Module, layers: Mapping[str, WeightedLayer], example: Tensor) -> None:
        """Find the neurons that each layer drives.

        Args:
            network: Left in evaluation mode with clean neurons.
            layers: Those whose weights are asked for, by name.
            example: One input ``[T, B, C, H, W]`` on the network's device.
        """
        driven = next_neurons(network, example)
        self._network = network
        self._layers = {name: layer for name, layer in layers.items() if name in driven}
        self._neurons = {name: driven[name] for name in self._layers}
        self._seen: dict[str, _Seen] = {}
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Watch the next forward and backward pass."""
        for name in {*self._layers, *(found for found in self._neurons.values() if found is not None)}:
            self._seen[name] = seen = _Seen()
            self._handles.append(self._network.get_submodule(name).register_forward_hook(seen.note))

    def detach(self) -> dict[str, Tensor]:
        """Stop watching, and return the credits by layer, of the weight's shape; neurons are reset.

        Layers whose outputs had no gradient are not in it.

        Raises:
            PruningError: If the leak of a layer of neurons is not known.
        """
        while self._handles:
            self._handles.pop().remove()
        mode = step_mode(self._network)
        errors_T: dict[str, Tensor] = {}
        found = {}
        for name, layer in self._layers.items():
            neurons = self._neurons[name]
            if not (self._seen[name].complete and (neurons is None or self._seen[neurons].complete)):
                continue
            inputs_T, own_T = self._seen[name].over_time(mode)
            if neurons is not None and neurons not in errors_T:
                module = self._network.get_submodule(neurons)
                assert isinstance(module, MemoryModule)
                errors_T[neurons] = surrogate_errors(module, *self._seen[neurons].over_time(mode))
            if neurons is None or errors_T[neurons].shape != own_T.shape:  # a readout, or a pool lies between
                found[name] = credit(layer, inputs_T, own_T)
            else:
                found[name] = credit(layer, traces(inputs_T, leak(self._network, neurons)), errors_T[neurons])
        self._seen.clear()
        return found


class _Seen:
    """What went into a module, and the gradients of what came out, call by call."""

    def __init__(self) -> None:
        self._inputs: list[Tensor] = []
        self._gradients: dict[int, Tensor] = {}

    def note(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        call = len(self._inputs)
        self._inputs.append(args[0].detach())

        def keep(gradient: Tensor) -> None:
            self._gradients[call] = gradient.detach()

        if output.requires_grad:
            output.register_hook(keep)  # type: ignore[no-untyped-call]  # torch has no types for it

    @property
    def complete(self) -> bool:
        """Whether a gradient reached every call."""
        return 0 < len(self._inputs) == len(self._gradients)

    def over_time(self, mode: str) -> tuple[Tensor, Tensor]:
        """Return inputs and gradients, ``[T, B, ...]``."""
        gradients = [self._gradients[call] for call in range(len(self._inputs))]
        if mode == "s":
            return torch.stack(self._inputs), torch.stack(gradients)
        return self._inputs[-1], gradients[-1]


def traces(inputs_T: Tensor, lam: float) -> Tensor:
    """Return ``z[t] = lam z[t-1] + s[t]``, of the inputs' shape ``[T, ...]``."""
    found = [inputs_T[0]]
    for input_ in inputs_T[1:]:
        found.append(lam * found[-1] + input_)
    return torch.stack(found)


def surrogate_errors(neuron: MemoryModule, inputs_T: Tensor, errors_T: Tensor) -> Tensor:
    """Return ``psi[t] L[t]`` times what one unit of input adds to the potential, for each neuron and step.

    The neurons run again, step by step, each step cut off from the one before.

    Args:
        neuron: A layer of neurons; reset before and after.
        inputs_T: Its input, ``[T, ...]``.
        errors_T: ``dLoss / d(spikes)`` of each step, of the same shape.
    """
    found = []
    neuron.reset()
    for input_, error in zip(inputs_T, errors_T, strict=True):
        with torch.enable_grad():
            input_ = input_.detach().requires_grad_()
            spikes = neuron.single_step_forward(input_)
            found.append(torch.autograd.grad(spikes, input_, error)[0])
        neuron.detach()
    neuron.reset()
    return torch.stack(found)


def credit(layer: WeightedLayer, traces_T: Tensor, errors_T: Tensor) -> Tensor:
    """Return ``|sum of errors[t] x traces[t]|`` over steps, samples and positions, of the weight's shape.

    It is the gradient of a linear map with respect to its weight, whatever stride, padding and groups are.
    """
    weight = torch.zeros_like(layer.weight, requires_grad=True)
    traces_N, errors_N = traces_T.flatten(0, 1).to(weight.dtype), errors_T.flatten(0, 1).to(weight.dtype)
    with torch.enable_grad():
        if isinstance(layer, nn.Linear):
            output_N = F.linear(traces_N, weight)
        else:
            output_N = layer._conv_forward(traces_N, weight, None)
        return torch.autograd.grad(output_N, weight, errors_N)[0].abs()


def block_targets(credits_RM: Tensor, sharpness: float) -> Tensor:
    """Return ``Q = softmax(C / (tau_c mean of C))`` of each block; alike where there is no credit.

    Args:
        credits_RM: C, not negative; its scale does not matter.
        sharpness: ``1 / tau_c``.
    """
    mean_R1 = credits_RM.mean(dim=-1, keepdim=True)
    relative_RM = torch.where(mean_R1 > 0.0, credits_RM / mean_R1, 0.0)
    return torch.softmax(sharpness * relative_RM, dim=-1)
