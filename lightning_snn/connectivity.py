"""How much of a network's weights is there, and how much of it is zero."""

from torch import nn

from lightning_snn._fan_out import weighted_layers


def connectivity(network: nn.Module, dense: nn.Module) -> float:
    """Return the live synapses of a network as a share of all synapses of the dense one, in [0, 1].

    Counted once per output position: the non-zero weights of all convolutions and linear layers.
    """
    return live_weights(network) / all_weights(dense)


def sparsity(network: nn.Module) -> float:
    """Return the share of weights that are zero, in [0, 1], over the weights that a network has left."""
    return 1.0 - live_weights(network) / all_weights(network)


def live_weights(network: nn.Module) -> int:
    """Return how many weights of convolutions and linear layers are not zero."""
    return sum(int(layer.weight.count_nonzero()) for layer in weighted_layers(network).values())


def all_weights(network: nn.Module) -> int:
    """Return how many weights convolutions and linear layers have."""
    return sum(layer.weight.numel() for layer in weighted_layers(network).values())
