"""Whether a network takes one time step at a time, or all of them."""

from typing import Final

from spikingjelly.activation_based import base
from spikingjelly.activation_based import layer
from torch import nn

from lightning_snn.errors import NetworkError

LOOPS: Final = (layer.MultiStepContainer, layer.TLastMultiStepContainer, layer.StepModeContainer)
"""Containers that take all steps and whose layers never do; ``functional.set_step_mode`` passes them over."""

RECURRENT: Final = (layer.LinearRecurrentContainer, layer.ElementWiseRecurrentContainer)
"""The same, where they are in step mode ``"m"``: what they return at one step is part of their input at the next."""


def step_mode(network: nn.Module) -> str:
    """Return ``"m"`` (all T steps in one call) or ``"s"`` (one call a step).

    Raises:
        NetworkError: If layers disagree, or no layer has a step mode, or a container has a mode of its own.
    """
    modes, holders = set(), set()
    for module in network.modules():
        if isinstance(module, base.StepModule):
            # Some containers are step modules that never get a mode of their own: they take that of their content.
            mode = getattr(module, "step_mode", None)
            modes |= {mode} if isinstance(mode, str) else set()
        if isinstance(module, LOOPS) or (isinstance(module, RECURRENT) and module.step_mode == "m"):
            holders.add(type(module).__name__)
    name = type(network).__name__
    if holders:
        raise NetworkError(
            f"{name} has a {sorted(holders)[0]} that shows single-step layers one step after the other, which is "
            "supported only in networks that are single-step as a whole. Call functional.set_step_mode(network, 's') "
            "for a recurrent network; of another one, take the layers out of the container and call it with 'm'."
        )
    if not modes:
        raise NetworkError(
            f"{name} has no layers of SpikingJelly, which say whether they take one time step or all of them. Build it "
            "of spikingjelly.activation_based.layer and .neuron, and call functional.set_step_mode(network, 'm')."
        )
    if len(modes) > 1:
        raise NetworkError(
            f"A network needs SpikingJelly layers in one step mode: found {sorted(modes)} in {name}. "
            "Call functional.set_step_mode(network, 'm')."
        )
    return str(modes.pop())
