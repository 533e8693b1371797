"""What time adds to the distortion of pruned weights: leaky traces of spikes, layer by layer and step by step.

A change ``dW`` of a layer's weights moves the membrane potentials behind it by ``sum over u <= t of
lam^(t-u) dW s[u]``, so that with the trace ``z``

    ||dV[t]|| <= ||dW||_F ||z[t]||        z[t] = lam z[t-1] + s[t]

``s`` is the layer's input, each value counted once for every output position that reads it, and ``lam`` the leak of
the neurons that the layer drives. Reset and threshold are left out: a bound on what reaches the potentials, not an
error. Source: ours; SLAMP's own score (Wang, Ye and Ouyang, arXiv 2603.14946) could not be read.

Axes: T time steps, B batch, C channels.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from spikingjelly.activation_based import layer as stateful
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from lightning_snn._fan_out import WeightedLayer
from lightning_snn._fan_out import weighted_layers
from lightning_snn._fold_order import check_fold_order
from lightning_snn._next_neuron import UNKNOWN
from lightning_snn._next_neuron import next_neurons
from lightning_snn.errors import PruningError
from lightning_snn.forward import run_network
from lightning_snn.forward import step_mode
from lightning_snn.neurons import leak_of
from lightning_snn.pruners.masks import Masks
from lightning_snn.time_axis import by_step

FILTERS = (stateful.SynapseFilter, stateful.Delay, stateful.NeuNorm)
"""Layers that keep something between steps and are no neurons: the trace of what reaches a neuron is another."""


@dataclass(frozen=True)
class Traces:
    """Mean squared norms of one layer's input and of its traces, per sample, by time step."""

    inputs_T: Tensor
    traces_T: Tensor

    @property
    def gain(self) -> float:
        """Return what accumulation over time makes of the input's energy: 1 at T = 1, and for a silent layer."""
        spikes = float(self.inputs_T.sum())
        return float(self.traces_T.sum()) / spikes if spikes > 0.0 else 1.0


def measure_traces(network: nn.Module, batches_TBCHW: Sequence[Tensor]) -> dict[str, Traces]:
    """Run a network in evaluation mode, and measure the traces of each weighted layer's input.

    Args:
        network: SpikingJelly layers in either step mode; left in evaluation mode with clean neurons.
        batches_TBCHW: Inputs on the network's device.

    Raises:
        PruningError: If the leak of a layer of neurons is not known, or a layer is used more than once.
    """
    network.eval()
    leaks, layers = known_leaks(network, batches_TBCHW[0][:, :1]), weighted_layers(network)
    mode = step_mode(network)
    steps, samples = len(batches_TBCHW[0]), sum(x_TBCHW.shape[1] for x_TBCHW in batches_TBCHW)
    totals = {name: torch.zeros(2, steps, dtype=torch.float64) for name in leaks}
    state: dict[str, tuple[int, Tensor]] = {}  # step and trace of each layer, within a batch
    size = (0, 0)  # T and B of a call of the network

    def watch(name: str, layer: WeightedLayer) -> Any:
        def seen(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            for s in by_step(name, layer, args[0], *size):
                step, z = state.get(name, (0, torch.zeros_like(s)))
                if step < steps:
                    z = leaks[name] * z + s
                    totals[name][0, step] += energy(layer, s)
                    totals[name][1, step] += energy(layer, z)
                state[name] = step + 1, z

        return layer.register_forward_pre_hook(seen)

    handles = [watch(name, layers[name]) for name in leaks]
    try:
        with torch.no_grad():
            for x_TBCHW in batches_TBCHW:
                state.clear()
                size = (steps if mode == "m" else 1, x_TBCHW.shape[1])
                run_network(network, x_TBCHW)
                for name in leaks:
                    met, _ = state.get(name, (0, x_TBCHW))
                    if met != steps:
                        raise PruningError(
                            f"Traces need layers that see each of the T={steps} steps once, found {met} of them in "
                            f"layer {name!r}. Give each use of it a layer of its own, or use --pruning lamp."
                        )
    finally:
        for handle in handles:
            handle.remove()
    return {name: Traces(*(total / samples)) for name, total in totals.items()}


def known_leaks(network: nn.Module, example: Tensor) -> dict[str, float]:
    """Return the leak behind each weighted layer, in order of execution; 0 behind a readout, which has no memory.

    Args:
        network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
        example: One input on the network's device.

    Raises:
        PruningError: If one is not known.
        NetworkError: If layers see steps and samples folded in another order than ``[T * B]``.
    """
    for name, module in network.named_modules():
        if isinstance(module, FILTERS):
            raise PruningError(_unknown(f"a {type(module).__name__} as {name!r}, which keeps inputs between steps"))
    check_fold_order(network, example)
    drives = next_neurons(network, example)
    for layer, neurons in drives.items():
        if neurons == UNKNOWN:
            raise PruningError(_unknown(f"none that can be told apart from other functions behind layer {layer!r}"))
    return {layer: leak(network, neurons) for layer, neurons in drives.items()}


def leak(network: nn.Module, neurons: str | None) -> float:
    """Return the share of its potential that a neuron keeps in a step; 0 behind a readout.

    Raises:
        PruningError: If it is not known.
    """
    if neurons is None:
        return 0.0
    module = network.get_submodule(neurons)
    found = leak_of(module)
    if found is None:
        raise PruningError(_unknown(f"{type(module).__name__} as {neurons!r}"))
    return found


def _unknown(found: str) -> str:
    return (
        f"Traces need neurons whose leak is known (IF, LIF, parametric LIF), found {found}. "
        "Use --pruning lamp, or of spike_nm pruning.options.eid=false."
    )


def energy(layer: WeightedLayer, x: Tensor) -> float:
    """Return the squared norm of an input ``[B, C, ...]``, each value as often as an output position reads it."""
    squares = x.double().square()
    if isinstance(layer, nn.Linear):
        return float(squares.sum())
    convolve = (F.conv1d, F.conv2d, F.conv3d)[squares.ndim - 3]
    ones = torch.ones(1, 1, *layer.kernel_size, dtype=squares.dtype, device=squares.device)
    summed = squares.sum(1, keepdim=True)
    return float(convolve(summed, ones, stride=layer.stride, padding=layer.padding, dilation=layer.dilation).sum())


def distortion_bounds(network: nn.Module, masks: Masks, traces: Mapping[str, Traces]) -> dict[str, list[float]]:
    """Return ``||dW||_F sqrt(E||z[t]||^2)`` of each layer and time step, for the weights that masks take away."""
    layers = weighted_layers(network)
    bounds = {}
    for name, each in traces.items():
        pruned = layers[name].weight.detach()[~masks[name].to(layers[name].weight.device)]
        bounds[name] = (float(pruned.double().norm()) * each.traces_T.sqrt()).tolist()
    return bounds
