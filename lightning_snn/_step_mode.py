"""Whether a network takes one time step at a time, or all of them."""

from typing import Final

from spikingjelly.activation_based import base
from spikingjelly.activation_based import layer
from torch import nn

from lightning_snn.errors import NetworkError

CONTAINERS: Final = (
    layer.MultiStepContainer,
    layer.TLastMultiStepContainer,
    layer.StepModeContainer,
    layer.LinearRecurrentContainer,
    layer.ElementWiseRecurrentContainer,
)
"""Containers that show what they hold one step after the other; ``functional.set_step_mode`` passes that over."""


def step_mode(network: nn.Module) -> str:
    """Return ``"m"`` (all T steps in one call) or ``"s"`` (one call a step).

    Raises:
        NetworkError: If layers disagree, or no layer has a step mode.
    """
    name, modes = type(network).__name__, _modes_in(network)
    for module in network.modules():
        # One may hold layers that know no steps; a recurrent one may itself be a layer that is shown single steps.
        takes_all = isinstance(module, CONTAINERS) and getattr(module, "step_mode", None) != "s"
        if takes_all and "s" in _modes_in(*module.children()):
            raise NetworkError(
                f"{name} has a {type(module).__name__} that shows single-step layers one step after the other, which "
                "is supported only in networks that are single-step as a whole. Call functional.set_step_mode(network, "
                "'s') for a recurrent network; of another one, take the layers out of the container and call it with "
                "'m'."
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
    return modes.pop()


def _modes_in(*networks: nn.Module) -> set[str]:
    """Return the step modes in networks; some containers are step modules that never get one of their own."""
    modules = (module for network in networks for module in network.modules() if isinstance(module, base.StepModule))
    return {mode for module in modules if isinstance(mode := getattr(module, "step_mode", None), str)}
