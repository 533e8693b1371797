"""Shares of weights, counted by hand."""

import torch
from torch import nn

from lightning_snn.connectivity import all_weights
from lightning_snn.connectivity import connectivity
from lightning_snn.connectivity import live_weights
from lightning_snn.connectivity import sparsity


def network(middle: int) -> nn.Module:
    """Weights of 2 x ``middle`` and ``middle``, one of them zero; biases do not count."""
    built = nn.Sequential(nn.Linear(2, middle), nn.ReLU(), nn.Linear(middle, 1))
    for layer in (built[0], built[2]):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        built[0].weight[0, 1] = 0.0
    return built


def test_live_weights_are_those_that_are_not_zero() -> None:
    assert live_weights(network(2)) == 5
    assert all_weights(network(2)) == 6
    assert sparsity(network(2)) == 1.0 - 5 / 6


def test_connectivity_is_a_share_of_the_dense_network() -> None:
    assert connectivity(network(2), network(4)) == 5 / 12
