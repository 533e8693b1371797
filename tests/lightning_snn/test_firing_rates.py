"""Firing rates worked by hand: IF neurons with threshold 1 and hard reset, T=4.

Axes: T time steps, B batch, N neurons.
"""

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import neuron
from torch import nn

from lightning_snn.firing_rates import RateMeter


def network(step_mode: str = "m") -> nn.Module:
    net = nn.Sequential(neuron.IFNode(v_threshold=1.0, v_reset=0.0), neuron.IFNode(v_threshold=2.0, v_reset=0.0))
    functional.set_step_mode(net, step_mode)
    return net


# Per step: 1 spikes always, 0.5 every second step, 0 never.
X_TBN = torch.tensor([1.0, 0.5, 0.0, 0.0]).expand(4, 1, 4)
FIRST = (4 + 2 + 0 + 0) / 16
SECOND = (2 + 1 + 0 + 0) / 16  # two spikes of the first make one of the second


def test_rates_are_spikes_per_neuron_and_step() -> None:
    net = network()
    with RateMeter(net) as meter:
        net(X_TBN)
    assert meter.rates() == {"0": FIRST, "1": SECOND}


def test_single_steps_count_like_all_at_once() -> None:
    net = network("s")
    with RateMeter(net) as meter:
        for x_BN in X_TBN:
            net(x_BN)
    assert meter.rates() == {"0": FIRST, "1": SECOND}


def test_every_sample_weighs_the_same_whatever_its_batch() -> None:
    net = network()
    with RateMeter(net) as meter:
        net(X_TBN)
        functional.reset_net(net)
        net(torch.zeros(4, 3, 4))
    assert meter.rates()["0"] == FIRST / 4


def test_nothing_is_counted_outside_of_the_block() -> None:
    net = network()
    with RateMeter(net) as meter:
        pass
    net(X_TBN)
    assert meter.rates() == {}
    assert not any(module._forward_hooks for module in net.modules())
