"""One forward pass over T time steps, from a clean state, in whichever step mode the network is.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output
from lightning_snn._step_mode import step_mode
from lightning_snn._wrappers import refuse_other_input
from lightning_snn.errors import NetworkError

__all__ = ["run_network", "step_mode", "to_time_first"]


def run_network(network: nn.Module, x_TBCHW: Tensor) -> Tensor:
    """Reset the neurons, show the network all T steps, and return its logits of every step.

    A forgotten reset is silent in evaluation, so it happens here, before every pass, and nowhere else.

    Args:
        network: SpikingJelly layers in either step mode.
        x_TBCHW: Input of every step, ``[T, B, C, H, W]``.

    Returns:
        Logits, ``[T, B, K]``.

    Raises:
        NetworkError: If the output has another shape, or ``network`` takes its input in another order of axes.
    """
    refuse_other_input(network)
    logits_TBK = run_any_output(network, x_TBCHW)
    steps, batch = x_TBCHW.shape[:2]
    if logits_TBK.ndim != 3 or logits_TBK.shape[:2] != (steps, batch):
        shape = tuple(logits_TBK.shape)
        reasons = {(batch,): ", which has no time steps", (batch, steps): ", whose batch comes first"}
        raise NetworkError(
            f"A network must return logits [T={steps}, B={batch}, classes], found {shape} from "
            f"{type(network).__name__}{reasons.get(shape[:-1], '')}. Return the last layer's output of every step, "
            "without averaging over time."
        )
    return logits_TBK


def to_time_first(x: Tensor, time_steps: int) -> Tensor:
    """Turn a loader's batch into what networks take, ``[T, B, C, H, W]``.

    Images ``[B, C, H, W]`` are shown ``time_steps`` times (direct coding, without a copy); frames
    ``[B, T, C, H, W]`` have their first two axes exchanged. This is the only place that does either.

    Raises:
        NetworkError: If the batch has neither 4 nor 5 axes, or frames of another number of steps.
    """
    if x.ndim == 4:
        return x.unsqueeze(0).expand(time_steps, *x.shape)
    if x.ndim == 5 and x.shape[1] == time_steps:
        return x.transpose(0, 1)
    raise NetworkError(
        f"A batch must be images [B, C, H, W] or frames [B, T={time_steps}, C, H, W], found {tuple(x.shape)}. "
        "Set network.time_steps to the number of frames that the data module makes."
    )
