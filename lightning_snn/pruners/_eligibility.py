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
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from lightning_snn._fan_out import WeightedLayer
from lightning_snn._next_neuron import next_neurons
from lightning_snn.errors import PruningError
from lightning_snn.forward import step_mode
from lightning_snn.neurons import spikes
from lightning_snn.pruners._traces import known_leaks
from lightning_snn.pruners._traces import leak
from lightning_snn.time_axis import by_step


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
            network: Its neurons are reset, nothing else is changed.
            layers: Those whose weights are asked for, by name.
            example: One input ``[T, B, C, H, W]`` on the network's device.

        Raises:
            PruningError: If the leak of a layer of neurons is not known.
        """
        known_leaks(network, example)
        driven = next_neurons(network, example)
        self._network = network
        self._layers = {name: layer for name, layer in layers.items() if name in driven}
        # neurons that do not spike have no surrogate: the gradient of what drives them is exact as it is
        self._neurons = {
            name: neurons if (neurons := driven[name]) is not None and spikes(network.get_submodule(neurons)) else None
            for name in self._layers
        }
        self._sizes: list[tuple[int, int]] = []
        self._seen: dict[str, _Seen] = {}
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Watch the next forward and backward pass."""
        step_by_step = step_mode(self._network) == "s"

        def note_size(_: nn.Module, args: tuple[Any, ...]) -> None:
            self._sizes.append((1, args[0].shape[0]) if step_by_step else tuple(args[0].shape[:2]))

        self._handles.append(self._network.register_forward_pre_hook(note_size))
        for name in {*self._layers, *(found for found in self._neurons.values() if found is not None)}:
            self._seen[name] = seen = _Seen()
            self._handles.append(self._network.get_submodule(name).register_forward_hook(seen.note))

    def detach(self) -> dict[str, Tensor]:
        """Stop watching, and return the credits by layer, of the weight's shape; neurons are reset.

        Layers whose outputs had no gradient are not in it.

        Raises:
            PruningError: If a layer saw more or fewer than the T steps, or the leak of neurons is not known.
        """
        while self._handles:
            self._handles.pop().remove()
        errors_T: dict[str, Tensor] = {}
        found = {}
        for name, layer in self._layers.items():
            neurons = self._neurons[name]
            if not (self._seen[name].complete and (neurons is None or self._seen[neurons].complete)):
                continue
            inputs_T, own_T = self._over_time(name)
            if neurons is not None and neurons not in errors_T:
                module: Any = self._network.get_submodule(neurons)
                errors_T[neurons] = surrogate_errors(module, *self._over_time(neurons))
            if neurons is None or errors_T[neurons].shape != own_T.shape:  # a readout, or a pool lies between
                found[name] = credit(layer, inputs_T, own_T)
            else:
                found[name] = credit(layer, traces(inputs_T, leak(self._network, neurons)), errors_T[neurons])
        self._seen.clear()
        self._sizes.clear()
        return found

    def _over_time(self, name: str) -> tuple[Tensor, Tensor]:
        """Return inputs and output gradients of a layer, ``[T, B, ...]``, whichever axes and calls they came in."""
        module, size = self._network.get_submodule(name), self._sizes[0]
        inputs_T, gradients_T = (
            torch.cat([by_step(name, module, each, *size) for each in calls]) for calls in self._seen[name].calls()
        )
        steps = sum(each for each, _ in self._sizes)
        if len(inputs_T) != steps:
            raise PruningError(
                f"Credits need layers that see each of the T={steps} steps once, found {len(inputs_T)} steps in layer "
                f"{name!r}. Give each use of it a layer of its own, or set pruning.options.eid=false."
            )
        return inputs_T, gradients_T


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

    def calls(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the inputs and gradients of each call, in order."""
        return self._inputs, [self._gradients[call] for call in range(len(self._inputs))]


def traces(inputs_T: Tensor, lam: float) -> Tensor:
    """Return ``z[t] = lam z[t-1] + s[t]``, of the inputs' shape ``[T, ...]``."""
    found = [inputs_T[0]]
    for input_ in inputs_T[1:]:
        found.append(lam * found[-1] + input_)
    return torch.stack(found)


def surrogate_errors(neuron: Any, inputs_T: Tensor, errors_T: Tensor) -> Tensor:
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
            output = neuron.single_step_forward(input_)
            found.append(torch.autograd.grad(output, input_, error)[0])
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
