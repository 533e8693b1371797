"""Weights that something makes anew at every pass: weight norm, spectral norm, torch's pruning, a parametrization.

What is removed from such a weight comes back at the next pass, and torch cannot copy some of the layers.
"""

from typing import Any

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lightning_snn._fan_out import weighted_layers
from lightning_snn.errors import SurgeryError


def made_weight(name: str, layer: nn.Module) -> str | None:
    """Return the sentence that says what makes a layer's weight and how to be rid of it; None for a plain parameter.

    Args:
        name: Of the layer.
        layer: A convolution or linear layer.
    """
    if isinstance(layer._parameters.get("weight"), nn.Parameter):
        return None
    maker, remedy = _maker(layer)
    return (
        f"Layer {name!r} needs a weight that is a plain parameter, found one that {maker} makes anew at every pass: "
        f"what is removed from it would come back. Build the network without it, or make the weight plain: {remedy}."
    )


def check_copyable(network: nn.Module) -> None:
    """Refuse a network that torch cannot copy, because a weight in it is no parameter and nothing that it knows.

    Raises:
        SurgeryError: With the layer's name and what to do.
    """
    for name, layer in weighted_layers(network).items():
        made = made_weight(name, layer)
        if made is not None and not parametrize.is_parametrized(layer):
            raise SurgeryError(made)


def _maker(layer: nn.Module) -> tuple[str, str]:
    if parametrize.is_parametrized(layer, "weight"):
        made_by: Any = layer.get_submodule("parametrizations.weight")
        names = ", ".join(type(each).__name__.lstrip("_") for each in made_by)
        return f"a parametrization ({names})", "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm):
            return "weight norm", "torch.nn.utils.remove_weight_norm(layer)"
        if isinstance(hook, SpectralNorm):
            return "spectral norm", "torch.nn.utils.remove_spectral_norm(layer)"
        if isinstance(hook, BasePruningMethod):
            return "torch's pruning", "torch.nn.utils.prune.remove(layer, 'weight')"
    return f"something of the tensors {sorted(layer._parameters)}", "layer.weight = nn.Parameter(...)"
