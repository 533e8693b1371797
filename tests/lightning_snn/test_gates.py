"""Closed channels are silent, keep their weights through any optimizer, and still say what they are worth."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from lightning_snn._gates import ChannelGates
from lightning_snn.firing_rates import RateMeter
from lightning_snn.forward import run_network
from lightning_snn.forward import to_time_first
from lightning_snn.surgery import ChannelPlan
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

Optimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 0.01, weight_decay=0.1),
}


def x_and_y(count: int = 9, size: int = 4) -> tuple[Tensor, Tensor]:
    x_NCHW, y_N = images(count, size)
    return to_time_first(x_NCHW, 3), y_N


def closing(gates: ChannelGates, *closed: int) -> None:
    open_G = torch.ones(len(gates.gates_G), dtype=torch.bool)
    open_G[list(closed)] = False
    gates.set(open_G)


def step(network: nn.Module, optimizer: torch.optim.Optimizer, gates: ChannelGates, size: int = 4) -> None:
    """One training step, with what the pruner does after it."""
    x_TBCHW, y_B = x_and_y(size=size)
    optimizer.zero_grad()
    F.cross_entropy(run_network(network.train(), x_TBCHW).mean(0), y_B).backward()
    optimizer.step()
    gates.hold([optimizer])


def awake_residual() -> nn.Module:
    network = residual()
    with torch.no_grad():
        for norm in (network.bn1, network.bn2):
            norm.bias.fill_(0.5)
        network.conv3.weight.mul_(5.0)
    return network


@pytest.mark.parametrize(("make", "size"), [(tiny_vgg, 4), (awake_residual, 8)], ids=["vgg", "residual"])
def test_gated_equals_removed(make: Callable[[], nn.Module], size: int) -> None:
    network = make().double().eval()
    x_TBCHW = x_and_y(size=size)[0].double()
    plan = ChannelPlan.trace(make(), x_TBCHW[:, :1].float())
    gates = ChannelGates(network, plan)
    gates.attach()
    closing(gates, 0, 3)
    gates.gates_G.data = gates.gates_G.data.double()
    gated = run_network(network, x_TBCHW)
    gates.detach()
    whole = run_network(network, x_TBCHW)
    group = plan.groups[0]
    small = plan.shrink(network, {group.name: [each for each in range(group.width) if each not in (0, 3)]})
    assert not torch.allclose(gated, whole)
    assert torch.allclose(gated, run_network(small, x_TBCHW), atol=1e-9)


def test_a_closed_channel_never_spikes() -> None:
    network, (x_TBCHW, _) = tiny_vgg().eval(), x_and_y()
    plan = ChannelPlan.trace(network, x_TBCHW[:, :1])
    gates = ChannelGates(network, plan)
    gates.attach()
    closing(gates, *range(4))  # all of the first group
    with RateMeter(network) as meter, torch.no_grad():
        run_network(network, x_TBCHW)
    assert meter.rates()["features.2"] == 0.0
    gates.detach()
    with RateMeter(network) as meter, torch.no_grad():
        run_network(network, x_TBCHW)
    assert meter.rates()["features.2"] > 0.0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_closed_channels_keep_their_weights_and_others_learn(optimizer: str) -> None:
    network, (x_TBCHW, _) = tiny_vgg(), x_and_y()
    gates = ChannelGates(network, ChannelPlan.trace(network, x_TBCHW[:, :1]))
    gates.attach()
    stepper = OPTIMIZERS[optimizer](list(network.parameters()))
    step(network, stepper, gates)  # so that momentum and moments are there
    closing(gates, 1, 4)
    before = copy.deepcopy(network.state_dict())
    for _ in range(3):
        step(network, stepper, gates)
    after = network.state_dict()
    for channel, (conv, norm) in {1: ("features.0", "features.1"), 0: ("features.3", "features.4")}.items():
        for name in (f"{conv}.weight", f"{conv}.bias", f"{norm}.weight", f"{norm}.bias"):
            assert torch.equal(after[name][channel], before[name][channel]), name
            for memory in stepper.state[network.get_parameter(name)].values():
                if isinstance(memory, Tensor) and memory.shape == after[name].shape:
                    assert not memory[channel].any(), name
        assert not torch.equal(after[f"{conv}.weight"][2], before[f"{conv}.weight"][2])


def test_a_channel_that_is_opened_learns_again() -> None:
    network, (x_TBCHW, _) = tiny_vgg(), x_and_y()
    gates = ChannelGates(network, ChannelPlan.trace(network, x_TBCHW[:, :1]))
    gates.attach()
    stepper = OPTIMIZERS["momentum"](list(network.parameters()))
    closing(gates, 1)
    step(network, stepper, gates)
    closing(gates)
    before = network.features[0].weight[1].clone()
    step(network, stepper, gates)
    assert not torch.equal(network.features[0].weight[1], before)


def test_gate_gradients_by_finite_difference() -> None:
    """The gate's gradient is the change of the loss by the drive behind it, through the surrogate: no spike flips."""
    network, (x_TBCHW, y_B) = tiny_vgg().eval().double(), x_and_y()
    x_TBCHW = x_TBCHW.double()
    gates = ChannelGates(network, ChannelPlan.trace(tiny_vgg(), x_TBCHW[:, :1].float()))
    gates.gates_G = torch.ones(8, dtype=torch.float64, requires_grad=True)
    gates.attach()
    for _ in range(2):  # two batches add up
        F.cross_entropy(run_network(network, x_TBCHW).mean(0), y_B).backward()
    # the chain rule: y = g BN(x), so dL/dg = sum of dL/dy y = gamma dL/dgamma + beta dL/dbeta at g = 1
    norm = network.features[1]
    expected = (norm.weight * norm.weight.grad + norm.bias * norm.bias.grad).abs()
    assert torch.allclose(gates.gradients()[:4], expected.detach(), rtol=1e-9)
    assert gates.gradients()[:4].min() > 0.0


def test_the_published_signal_is_dead_where_the_gate_is_not() -> None:
    """SCA's rule sets filter, scale and shift to zero: under plain SGD the scale's gradient is 0 from then on."""
    zeroed, gated, (x_TBCHW, _) = tiny_vgg(), tiny_vgg(), x_and_y()
    signals = []
    for network, attach in ((zeroed, False), (gated, True)):
        gates = ChannelGates(network, ChannelPlan.trace(network, x_TBCHW[:, :1]))
        stepper = OPTIMIZERS["sgd"](list(network.parameters()))
        closed_G = torch.arange(8) == 1
        if attach:
            gates.attach()
            gates.set(~closed_G)
        else:
            gates.silence(closed_G)
        for _ in range(5):
            step(network, stepper, gates)
        signals.append((gates.gradients() if attach else gates.scale_gradients())[1])
    assert signals[0] == 0.0
    assert signals[1] > 1e-4


def test_silenced_rows_are_zero_once() -> None:
    network, (x_TBCHW, _) = tiny_vgg(), x_and_y()
    gates = ChannelGates(network, ChannelPlan.trace(network, x_TBCHW[:, :1]))
    gates.silence(torch.arange(8) == 6)  # the third of the second group
    for name in ("features.3.weight", "features.3.bias", "features.4.weight", "features.4.bias"):
        parameter = network.get_parameter(name)
        assert not parameter[2].any()
        assert parameter[[0, 1, 3]].any()
    assert network.features[0].weight.all()
