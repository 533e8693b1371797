"""The evaluator's forward pass: accuracy and synaptic operations over a data set in one go."""

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

    Raises:
        NetworkError: If there is no sample.
    """
    device = next(network.parameters()).device
    network.eval()
    right = samples = 0
    meter = SynOpsMeter(network, first_layer=first_layer, analog_hidden=analog_hidden)
    with channels_last(network, on_cpu(network)), meter:
        for x, y_B in batches:
            x_TBCHW = to_time_first(x.to(device), time_steps)
            meter.start_batch(*x_TBCHW.shape[:2])
            prediction_B = run_network(network, x_TBCHW).mean(dim=0).argmax(dim=1)
            right += int((prediction_B == y_B.to(device)).sum())
            samples += len(y_B)
    functional.reset_net(network)
    if samples == 0:
        raise NetworkError("An evaluation needs at least one sample, found an empty data set. Give it more data.")
    return Evaluation(right / samples, samples, meter.report())
