"""Proves that layers which see steps and samples in one axis have all samples of the first step first.

``[T * B, ...]`` and ``[B * T, ...]`` look alike. Where two samples change places, rows of the same step must.
"""

from typing import Any
from typing import Final

import torch
from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output
from lightning_snn._fan_out import weighted_layers
from lightning_snn._modes import evaluating
from lightning_snn.errors import NetworkError
from lightning_snn.forward import step_mode
from lightning_snn.time_axis import by_step

TOLERANCE: Final = 0.01
"""Share of the energy: far above rounding, far below another order of rows. Ours."""


def check_fold_order(network: nn.Module, example: Tensor) -> None:
    """Refuse a network with layers that see samples first and steps second.

    Args:
        network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
        example: One input ``[T, B, C, H, W]`` on the network's device.

    Raises:
        NetworkError: With the layer's name and what to do.
    """
    first_T1CHW = example[:, :1]
    both_T2CHW = torch.cat([first_T1CHW, 1.0 - first_T1CHW], dim=1)
    steps = len(example) if step_mode(network) == "m" else 1
    seen: list[dict[str, Tensor]] = []

    def watch(name: str, layer: nn.Module) -> Any:
        def note(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            if len(args[0]) == 2 * steps:
                seen[-1].setdefault(name, by_step(name, layer, args[0], steps, 2))

        return layer.register_forward_pre_hook(note)

    handles = [watch(name, layer) for name, layer in weighted_layers(network).items()]
    try:
        with evaluating(network), torch.no_grad():
            for x_T2CHW in (both_T2CHW, both_T2CHW, both_T2CHW.flip(1)):
                seen.append({})
                run_any_output(network, x_T2CHW)
    finally:
        for handle in handles:
            handle.remove()
    once, again, swapped = seen
    for name, x in once.items():
        if _alike(again[name], x) and not _alike(swapped[name].flip(1), x):  # else it draws random numbers
            raise NetworkError(
                f"Layer {name!r} must see all samples of one step before those of the next, found another order of "
                "rows. Fold steps and samples with x.flatten(0, 1) of [T, B, ...], or use layer.SeqToANNContainer."
            )


def _alike(x: Tensor, y: Tensor) -> bool:
    """Tell whether two tensors are the same but for a spike that rounding moved."""
    return bool((x - y).square().sum() <= TOLERANCE * y.square().sum())
