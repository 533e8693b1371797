"""Batch-norm statistics of a pruned network, measured anew on training data."""

from collections.abc import Iterable

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_snn.forward import run_network
from lightning_snn.memory_format import channels_last
from lightning_snn.memory_format import on_cpu


def recalibrate_batch_norm_(network: nn.Module, batches_TBCHW: Iterable[Tensor]) -> None:
    """Replace the running statistics of every batch norm by their plain mean over some training batches.

    Statistics run over T and batch jointly (in step mode ``"s"`` every step counts as a batch); neurons start
    clean in each batch; weights stay as they are. Only batch norms are put into training mode, so that dropout
    stays off.

    Args:
        network: Changed in place; left in evaluation mode with clean neurons.
        batches_TBCHW: Inputs ``[T, B, C, H, W]``. None at all leaves the statistics as they were.

    Source:
        MetaPruning's code (reset, 100 batches, momentum 0.1); the cumulative mean is ours.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    fresh = True
    try:
        with torch.no_grad(), channels_last(network, on_cpu(network)):
            for x_TBCHW in batches_TBCHW:
                if fresh:
                    for norm in norms:
                        norm.reset_running_stats()
                        norm.momentum = None
                        norm.train()
                    fresh = False
                run_network(network, x_TBCHW)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
        functional.reset_net(network)
