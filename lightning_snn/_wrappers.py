"""Modules that hold a network and are not it: what they compute, what they are called by, or what they take differs."""

from torch import nn
from torch.optim.swa_utils import AveragedModel

from lightning_snn.errors import NetworkError

PASSING_ON = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)
"""Modules that compute what their ``module`` does."""
COMPILED = "_orig_mod"
"""Name under which ``torch.compile`` keeps the module that it was given."""


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside wrappers that compute the same with its weights, however many.

    Those of parallel training, of averaged weights, and ``torch.compile``'s.

    Raises:
        NetworkError: As :func:`refuse_other_input` does.
    """
    while True:
        refuse_other_input(network)
        inner = network.module if isinstance(network, PASSING_ON) else network._modules.get(COMPILED)
        if not isinstance(inner, nn.Module):
            return network
        network = inner


def refuse_other_input(network: nn.Module) -> None:
    """Refuse a module that takes time steps and samples in another order, or in parts: it would run, and be wrong.

    Raises:
        NetworkError: If it is a ``SpikingClassifier``, or splits its input by time steps.
    """
    # by name: to import it would be a circle, and take seconds
    if any(each.__name__ == "SpikingClassifier" for each in type(network).__mro__):
        raise NetworkError(
            "A network takes [T, B, C, H, W], found a SpikingClassifier, which trains one and takes batches "
            "[B, ...]. Give the network that it holds: classifier.network."
        )
    if isinstance(network, nn.DataParallel) and len(network.device_ids) > 1 and network.dim == 0:
        raise NetworkError(
            f"A network takes all T time steps, found a DataParallel that splits the first axis among "
            f"{len(network.device_ids)} devices, which is time. Give it dim=1, or its module."
        )
