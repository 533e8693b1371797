"""Whether a network can be trained on the data: run once, in evaluation and in training, before anything costly.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

import copy
import re
from collections.abc import Iterator
from typing import Final

import torch
from spikingjelly.activation_based import base
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from lightning_snn._modes import evaluating
from lightning_snn._step_mode import step_mode
from lightning_snn._user_code import is_statement_of_user
from lightning_snn._user_code import said
from lightning_snn._user_code import user_code
from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.neurons import is_neuron

OTHERS: Final = {"snntorch": "snnTorch", "norse": "Norse", "sinabs": "Sinabs", "bindsnet": "BindsNET", "lava": "Lava"}
"""Packages of other libraries' neurons -> what those are called."""

SHAPES: Final = re.compile(r"\b(shapes?|sizes?|dim(ension)?s?|channels|contain \d+ elements|\dD)\b", re.IGNORECASE)
"""Words by which PyTorch and SpikingJelly say that an input is of another shape."""


def check_network(network: nn.Module, example: Tensor, classes: int) -> None:
    """Run a network on the CPU in evaluation mode, and a copy of it in training mode with gradients.

    Args:
        network: Left as it is.
        example: Input of every step, ``[T, B, C, H, W]``; B differs from T, so that the two are told apart.
        classes: Logits that it must have.

    Raises:
        NetworkError: If it does not take the data, has not one logit a class, raises anything, has no neurons that we
            know, or cannot be trained.
    """
    _refuse_others(network)
    mode, name = step_mode(network), type(network).__name__
    if not any(is_neuron(module) or _has_memory(module) for module in network.modules()):
        raise NetworkError(
            f"{name} has no spiking neurons. Take those of spikingjelly.activation_based.neuron, or give your own one "
            "of SpikingJelly's surrogate functions."
        )
    try:
        with torch.random.fork_rng(devices=[]):
            with evaluating(network), torch.no_grad():  # first, as old weight norms can only be copied after it
                logits_TBK = run_network(network, example)
            with user_code(name, "Networks are copied: keep no tensor with a history of gradients, nor an open file."):
                copied = copy.deepcopy(network)
            if logits_TBK.shape[-1] == classes:
                logits_TBK = run_network(copied.train(), example)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # a user's forward can raise anything
        if mode == "s" and _takes_all_steps(network, example, classes):
            raise NetworkError(
                f"{name} loops over time steps itself, around single-step layers. Supported are both without the loop: "
                "forward takes one step, [B, C, H, W], and is called T times, or functional.set_step_mode(network, "
                "'m') lets all layers take [T, B, C, H, W]."
            ) from error
        if isinstance(error, NetworkError):
            raise
        raise NetworkError(_refusal(network, example, error)) from error
    if logits_TBK.shape[-1] != classes:
        raise NetworkError(
            f"The network returns {logits_TBK.shape[-1]} logits, but the data have {classes} "
            "classes. Take num_classes as an argument of its constructor."
        )
    _check_gradients(copied, logits_TBK)


def _check_gradients(network: nn.Module, logits_TBK: Tensor) -> None:
    name = type(network).__name__
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return  # frozen on purpose: it can be measured
    if not logits_TBK.requires_grad:
        raise NetworkError(
            f"{name} cannot be trained: no gradient goes from its output to its parameters. Take torch.no_grad, detach "
            "and .data out of its forward, and give its neurons a surrogate."
        )
    loss = F.cross_entropy(logits_TBK.mean(dim=0), torch.zeros(logits_TBK.shape[1], dtype=torch.long))
    try:
        torch.autograd.backward(loss)
    except Exception as error:  # a user's surrogate too can raise anything
        raise NetworkError(
            f"{name} cannot be trained: its gradients raised {said(error)}. Change no tensor in place in its forward."
        ) from error


def _refusal(network: nn.Module, example: Tensor, error: BaseException) -> str:
    """Return the sentence about an error in a forward pass: a shape that does not fit, or anything else."""
    raised = f"{type(network).__name__} raised {said(error)}."
    data = f"{tuple(example.shape)} as [T, B, C, H, W]"
    of_libraries = isinstance(error, RuntimeError | ValueError | IndexError) and not is_statement_of_user(error)
    if not of_libraries or not SHAPES.search(str(error)):
        return f"{raised} Its input was {data}."
    mend = "Build it for that shape."
    plain = next(_plain_layers(network), None) if step_mode(network) == "m" else None
    if plain is not None:
        mend = f"{plain!r} is a layer of PyTorch, which knows no time steps: take that of spikingjelly's layer."
    return f"The network does not take the data, {data}: {raised} {mend}"


def _refuse_others(network: nn.Module) -> None:
    for path, module in network.named_modules():
        package = type(module).__module__.split(".")[0]
        if package in OTHERS:
            raise NetworkError(
                f"{path or 'The network'} is a {type(module).__name__} of {OTHERS[package]}, found in "
                f"{type(network).__name__}. Supported are neurons and layers of SpikingJelly: write it with "
                "spikingjelly.activation_based.neuron, such as LIFNode."
            )


def _has_memory(module: nn.Module) -> bool:
    """Tell whether a module is made of memory: of SpikingJelly's recurrent cells, or derived from its memory module."""
    of = type(module).__module__
    return of == "spikingjelly.activation_based.rnn" or (
        isinstance(module, base.MemoryModule) and not of.startswith("spikingjelly.")
    )


def _plain_layers(network: nn.Module) -> Iterator[str]:
    """Yield the names of layers that take no time steps, but for those in a container that folds them."""
    for path, module in network.named_modules():
        plain = isinstance(module, _ConvNd | _BatchNorm) and not isinstance(module, base.StepModule)
        parents = [network.get_submodule(path[:end]) for end in range(len(path)) if path[end] == "."]
        if plain and not any(isinstance(parent, base.MultiStepModule) for parent in parents):
            yield path


def _takes_all_steps(network: nn.Module, example: Tensor, classes: int) -> bool:
    """Tell whether a network of single-step layers takes all time steps at once, and so loops over them."""
    functional.reset_net(network)
    try:
        with evaluating(network), torch.no_grad():
            found = network(example)
    except Exception:  # then it does not
        return False
    steps, batch = example.shape[:2]
    shapes = [tuple(each.shape) for each in (found if isinstance(found, list | tuple) else [found])]
    return shapes in ([(steps, batch, classes)], [(batch, classes)], [(batch, classes)] * steps)
