"""What a network computes, in a short text: the same for the same code, another where a line of it does something else.

Names do not tell it: a class of a user's own keeps its name, its parameters and their shapes when its threshold or
its pools are changed. So the network is run on noise, in evaluation and in training mode, and outputs, firing and
gradients are looked at. Its parameters and batch norms get values of their own for it, the same ones for all networks
of these shapes, so that training changes no fingerprint and no layer is silent. The arithmetic is float64 and figures
are rounded to six digits, so that machines, thread counts and memory formats agree on them. Source: ours.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from typing import Final

import torch
from lightning_fabric.utilities.seed import seed_everything
from pytorch_lightning.utilities.seed import isolate_rng
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from lightning_snn._any_output import run_any_output

LOUD: Final = 32.0
"""Factor of all weights in a pass of its own: what only large currents and logits meet shows there."""


def fingerprint(network: nn.Module, example: Tensor) -> str:
    """Return the fingerprint of a network: 64 hexadecimal digits.

    Args:
        network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
        example: One input ``[T, B, C, H, W]``; only its shape counts.
    """
    try:
        figures = _figures(probe_copy(network, torch.float64), noise_like(example), digits=6)
    except (RuntimeError, TypeError):  # somewhere it says float32; then a machine of another kind may not agree
        figures = _figures(probe_copy(network, torch.float32), noise_like(example).float(), digits=3)
    shapes = [(name, tuple(value.shape), str(value.dtype)) for name, value in network.state_dict().items()]
    return hashlib.sha256(repr((shapes, figures)).encode()).hexdigest()


def fingerprint_of_start(network: nn.Module) -> str:
    """Return a fingerprint of what a training starts from: sums of each tensor, to four digits, and what learns how."""
    sums = [(name, *_sums(value, digits=4)) for name, value in network.state_dict().items()]
    learns = [(name, each.requires_grad, getattr(each, "_optim", None)) for name, each in network.named_parameters()]
    return hashlib.sha256(repr((sums, learns)).encode()).hexdigest()


def probe_copy(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Copy a network to the CPU, with seeded values that make every layer heard and every neuron likely to fire.

    Weights are uniform with the variance of one over their fan-in, biases and batch-norm shifts in [0, 2] (thresholds
    are mostly 1), batch-norm scales in [1, 3], running variances in [0.5, 1.5]. Parameters of neurons, and whatever
    else there is, stay as they are. Ranges are ours.
    """
    functional.reset_net(network)
    with torch.inference_mode(False), torch.no_grad():
        probe: nn.Module = copy.deepcopy(network).cpu().to(dtype).to(memory_format=torch.contiguous_format)
        generator = torch.Generator().manual_seed(0)

        def fill(tensor: Tensor | None, low: float, high: float) -> None:
            if tensor is not None and tensor.is_floating_point():
                values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.copy_(low + (high - low) * values)

        for module in probe.modules():
            own, norm = module._parameters | module._buffers, isinstance(module, _NormBase)
            weight = own.get("weight")
            if weight is not None and weight.ndim > 1:
                reach = (3.0 / max(1, weight[0].numel())) ** 0.5
                fill(weight, -reach, reach)
            elif norm:
                fill(weight, 1.0, 3.0)
            if norm or weight is not None:
                fill(own.get("bias"), 0.0, 2.0)
            if norm:
                fill(own.get("running_mean"), 0.0, 1.0)
                fill(own.get("running_var"), 0.5, 1.5)
    for parameter in probe.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return probe


def noise_like(example: Tensor) -> Tensor:
    """Return noise of the shape of an example, ``[T, 3, C, H, W]``, float64; always the same.

    One sample is uniform in [0, 1], as images are; one in [-3, 3], as they are once normalised; and one of small
    whole numbers, mostly 0 and up to 24, as counts of events are.
    """
    shape = (example.shape[0], *example.shape[2:])
    generator = torch.Generator().manual_seed(1)
    images, normal, counts = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return torch.stack([images, 6.0 * normal - 3.0, (25.0 * counts**6).floor()], dim=1)


@contextmanager
def exact(dtype: torch.dtype, seed: int = 0) -> Iterator[None]:
    """Make what a network makes itself of this type inside the block, and all it draws by the same seed."""
    before = torch.get_default_dtype()
    with isolate_rng(), torch.inference_mode(False), torch.autocast("cpu", enabled=False):
        seed_everything(seed, verbose=False)
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def _figures(probe: nn.Module, x_TBCHW: Tensor, digits: int) -> list[Any]:
    """Return outputs, what each layer puts out in sum, and gradients, in evaluation and in training mode.

    And what batch norms store while they train, and outputs where all weights are large.
    """
    found: list[Any] = []
    parameters = [parameter for parameter in probe.parameters() if parameter.requires_grad]

    def note(_: nn.Module, __: Any, output: object) -> None:
        if isinstance(output, Tensor):
            found.append(_sums(output, digits))

    handles = [module.register_forward_hook(note) for module in probe.modules() if not module._modules]
    try:
        for training in (False, True):
            with exact(x_TBCHW.dtype), torch.enable_grad():
                output = run_any_output(probe.train(training), x_TBCHW)
                scale = float(output.detach().abs().max())
                found.append([f"{scale:.{digits - 1}e}", *_rounded(output.detach() / (scale or 1.0), digits)])
                if output.requires_grad:
                    towards = torch.rand(output.shape, generator=torch.Generator().manual_seed(2), dtype=output.dtype)
                    gradients: tuple[Any, ...] = torch.autograd.grad(output, parameters, towards, allow_unused=True)
                    found += [None if each is None else _sums(each, digits) for each in gradients]
        found += [_sums(each, digits) for each in probe.buffers() if each.is_floating_point()]
        with exact(x_TBCHW.dtype), torch.no_grad():
            for parameter in parameters:
                parameter.mul_(LOUD if parameter.ndim > 1 else 1.0)
            output = run_any_output(probe.eval(), x_TBCHW)
            found.append(_sums(output, digits))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _sums(values: Tensor, digits: int) -> tuple[str, float]:
    """Return the sum of absolute values, and the sum as a share of it: a sum alone could be little but rounding."""
    values = values.detach().double()
    total = float(values.abs().sum())
    return f"{total:.{digits - 1}e}", round(float(values.sum()) / (total or 1.0), digits) + 0.0


def _rounded(values: Tensor, digits: int) -> list[float]:
    return [round(each, digits) + 0.0 for each in values.flatten().tolist()]  # + 0.0: no -0.0
