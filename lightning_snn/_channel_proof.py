"""The proof of surgery: a network without some channels does what it does with them silenced.

A silent network would prove nothing, so the proof is made on a copy whose neurons fire. What ties channels does not
depend on the values of parameters.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import copy
from typing import Final

import torch
import torch_pruning as tp
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output
from lightning_snn._single_step_copy import WEIGHTED
from lightning_snn.errors import SurgeryError

TOLERANCE: Final = 1e-6
"""Largest relative difference between silenced and removed, in float64: above rounding, below any error."""


def awake_copy(network: nn.Module) -> nn.Module:
    """Copy a network, with random shifts that make its neurons fire and scales that let every branch be heard.

    Biases and batch-norm shifts are uniform in [0, 2] (thresholds are mostly 1), batch-norm scales in [1, 3]: those
    of a new residual branch may be zero. The large tensors are shared with the network. Ranges are ours.
    """
    functional.reset_net(network)
    weights = [module._parameters.get("weight") for module in network.modules() if isinstance(module, WEIGHTED)]
    with torch.inference_mode(False), torch.no_grad():
        awake = copy.deepcopy(network, {id(weight): weight for weight in weights if weight is not None})
        generator = torch.Generator().manual_seed(0)
        for module in awake.modules():
            norm = isinstance(module, tp.ops.TORCH_BATCHNORM)
            if norm or isinstance(module, WEIGHTED):
                for name, low in (("bias", 0.0), *((("weight", 1.0),) if norm else ())):
                    parameter = module._parameters.get(name)
                    if parameter is not None:
                        parameter.copy_(low + 2.0 * torch.rand(parameter.shape, generator=generator))
    return awake


def prove_equal(silenced: nn.Module, small: nn.Module, example: Tensor) -> None:
    """Compare both on an example, in float64 so that rounding moves no spike; they are changed.

    Args:
        silenced: All channels are there, some carry nothing.
        small: Those channels are gone.
        example: One input, ``[T, B, C, H, W]``.

    Raises:
        SurgeryError: If the outputs differ, or the small network does not run.
    """
    silenced, small, example = silenced.double().eval(), small.double().eval(), example.double()
    devices = [example.device] if example.is_cuda else []
    no_cast = torch.autocast(example.device.type, enabled=False)
    with no_cast, torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(0)  # both see the same input where an encoder draws it
        expected = _run_exactly(silenced, example)
        torch.manual_seed(0)
        found = run_small(small, example)
    limit = TOLERANCE * max(1.0, float(expected.abs().max()))
    same_shape = found.shape == expected.shape
    if not same_shape or not torch.allclose(found, expected, rtol=0.0, atol=limit, equal_nan=True):
        difference = f"{float((found - expected).abs().max()):.2g} apart" if same_shape else "of another shape"
        raise SurgeryError(
            "Removing channels must do what silencing them does, found outputs that are "
            f"{difference} in {type(silenced).__name__}. "
            "Keep what mixes channels (attention, lateral inhibition) out of it."
        )


def _run_exactly(network: nn.Module, example: Tensor) -> Tensor:
    """Run a network in float64.

    Raises:
        SurgeryError: If something in it takes no float64.
    """
    try:
        return run_any_output(network, example)
    except Exception as error:  # a user's forward can raise anything
        reason = str(error).partition("\n")[0]
        raise SurgeryError(
            f"{type(network).__name__} must run in float64, in which it is proven that channels can be removed, found "
            f"{type(error).__name__}: {reason}. Let nothing in it (a neuron, say) turn its input into float32, and let "
            "the example fit."
        ) from error


def run_small(small: nn.Module, example: Tensor) -> Tensor:
    """Run a smaller network in evaluation mode, without gradients; its modes and clean state are restored.

    Raises:
        SurgeryError: If it does not run.
    """
    training = {module: module.training for module in small.modules()}
    try:
        with torch.no_grad():
            return run_any_output(small.eval(), example)
    except Exception as error:  # a user's forward can raise anything
        reason = str(error).partition("\n")[0]
        raise SurgeryError(
            f"The network does not run without some of its channels, found {type(error).__name__}: {reason}. "
            "Let nothing in it depend on a fixed number of channels, and detach nothing on the way."
        ) from error
    finally:
        functional.reset_net(small)
        for module, flag in training.items():
            module.training = flag
