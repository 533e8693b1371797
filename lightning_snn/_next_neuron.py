"""Which layer of neurons each convolution or linear layer drives: the one that runs next behind it."""

from typing import Any

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.neuron import BaseNode
from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output
from lightning_snn._fan_out import WeightedLayer


def next_neurons(network: nn.Module, example: Tensor) -> dict[str, str | None]:
    """Run the network for one step, and return for each weighted layer the neurons with its channels that run next.

    Around a residual addition several layers drive the same neurons; a pool may lie between. None: a readout, behind
    which no neuron is.

    Args:
        network: SpikingJelly layers in either step mode; left in evaluation mode with clean neurons.
        example: One input ``[T, B, C, H, W]`` on the network's device.

    Returns:
        Names, in order of execution; a layer that was not executed is not in it.
    """
    waiting: dict[str, int] = {}  # layers whose neurons have not run yet, and their channels
    found: dict[str, str | None] = {}

    def watch(name: str, module: nn.Module) -> Any:
        def seen(_: nn.Module, __: Any, output: Tensor) -> None:
            channels = output.shape[2 if getattr(module, "step_mode", "s") == "m" else 1]
            if isinstance(module, WeightedLayer):
                waiting[name] = channels
                found.setdefault(name, None)
                return
            for layer in [layer for layer, waits in waiting.items() if waits == channels]:
                found[layer] = name
                del waiting[layer]

        return module.register_forward_hook(seen)

    watched = [(n, m) for n, m in network.named_modules() if isinstance(m, WeightedLayer | BaseNode)]
    handles = [watch(name, module) for name, module in watched]
    try:
        with torch.no_grad():
            run_any_output(network.eval(), example[:1])  # in a second step, a readout would meet the first neurons
    finally:
        for handle in handles:
            handle.remove()
        functional.reset_net(network)
    return found
