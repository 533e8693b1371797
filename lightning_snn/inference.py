"""The evaluator's forward pass: accuracy and synaptic operations over a data set in one go.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._synops_report import AnalogHidden
from lightning_snn._synops_report import FirstLayer
from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.forward import to_time_first
from lightning_snn.memory_format import channels_last
from lightning_snn.memory_format import on_cpu
from lightning_snn.synops import SynOpsMeter
from lightning_snn.synops import SynOpsReport


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a data set measured."""

    accuracy: float
    """Share of samples classified right, in [0, 1]."""
    samples: int
    synops: SynOpsReport
    samples_K: tuple[int, ...] = ()
    """Samples of each class; empty where they were not counted."""
    right_K: tuple[int, ...] = ()
    """Those of them that were classified right."""


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    time_steps: int,
    first_layer: FirstLayer = "apart",
    analog_hidden: AnalogHidden = "add",
) -> Evaluation:
    """Measure accuracy and SynOps of a network in evaluation mode.

    Args:
        network: Takes ``[T, B, C, H, W]``, returns ``[T, B, K]``; left in evaluation mode with clean neurons.
        batches: Pairs of inputs (images ``[B, C, H, W]`` or frames ``[B, T, C, H, W]``) and labels ``[B]``.
        time_steps: T.
        first_layer: What the input layer counts as (see ``measure_synops``).
        analog_hidden: What hidden layers with analog inputs count as.

    A sample whose logits are not numbers is not classified right, whatever its label.

    Raises:
        NetworkError: If there is no sample.
    """
    device = next(network.parameters()).device
    network.eval()
    samples = 0
    counts_2K = torch.zeros((), dtype=torch.int64, device=device)
    meter = SynOpsMeter(network, first_layer=first_layer, analog_hidden=analog_hidden)
    with channels_last(network, on_cpu(network)), meter:
        for x, y_B in batches:
            x_TBCHW = to_time_first(x.to(device), time_steps)
            meter.start_batch(*x_TBCHW.shape[:2])
            logits_BK = run_network(network, x_TBCHW).mean(dim=0)
            counts_2K = counts_2K + _counts(logits_BK, y_B.to(device))
            samples += len(y_B)
    functional.reset_net(network)
    if samples == 0:
        raise NetworkError("An evaluation needs at least one sample, found an empty data set. Give it more data.")
    samples_K, right_K = counts_2K.tolist()
    return Evaluation(sum(right_K) / samples, samples, meter.report(), tuple(samples_K), tuple(right_K))


def _counts(logits_BK: Tensor, y_B: Tensor) -> Tensor:
    """Return the samples of each class, and those classified right, ``[2, K]``; does not wait for the device."""
    right_B = (logits_BK.argmax(dim=1) == y_B) & ~logits_BK.isnan().any(dim=1)
    is_class_BK = y_B[:, None] == torch.arange(logits_BK.shape[1], device=y_B.device)
    return torch.stack([is_class_BK.sum(dim=0), (is_class_BK & right_B[:, None]).sum(dim=0)])
