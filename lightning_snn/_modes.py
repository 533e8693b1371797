"""Leaves a network in the modes that it is in, whoever runs it in between."""

from collections.abc import Iterator
from contextlib import contextmanager

from spikingjelly.activation_based import functional
from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Hold a network in evaluation mode inside the block; then every module is in its own mode, with clean neurons."""
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        functional.reset_net(network)
        for module, flag in training.items():
            module.training = flag
