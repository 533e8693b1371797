"""Credits against the gradient of backpropagation through time, where the two are the same; targets by hand.

With a soft reset that carries no gradient, the potential is a leaky sum of inputs as far as gradients know, so the
trace is exact, whatever spikes there are.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import math

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn.firing_rates import RateMeter
from lightning_snn.forward import run_network
from lightning_snn.pruners._eligibility import CreditWatch
from lightning_snn.pruners._eligibility import block_targets
from lightning_snn.pruners._eligibility import credit
from lightning_snn.pruners._eligibility import surrogate_errors
from lightning_snn.pruners._eligibility import traces
from tests.lightning_snn.tiny import residual

STEPS = 4


def node(kind: str = "lif", v_reset: float | None = None) -> neuron.BaseNode:
    options = {"v_reset": v_reset, "v_threshold": 0.3, "detach_reset": True, "surrogate_function": surrogate.ATan()}
    if kind == "if":
        return neuron.IFNode(**options)
    if kind == "plif":
        return neuron.ParametricLIFNode(init_tau=3.0, decay_input=False, **options)
    return neuron.LIFNode(tau=1.6, decay_input=kind == "decay", **options)


def convolutional(kind: str, mode: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            layer.Conv2d(2, 4, 3, padding=1, stride=2),
            node(kind),
            layer.Conv2d(4, 6, 3, padding=1, groups=2),
            node(kind),
            layer.Flatten(),
            layer.Linear(6 * 9, 3),
        ).double()
    functional.set_step_mode(network, mode)
    return network


def linear(kind: str, mode: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            layer.Flatten(), layer.Linear(50, 7), node(kind), layer.Linear(7, 5), node(kind), layer.Linear(5, 3)
        ).double()
    functional.set_step_mode(network, mode)
    return network


def input_TBCHW() -> Tensor:
    return torch.rand(STEPS, 3, 2, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3


def watched(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the credits of one training step, and the gradients of the same step."""
    watch = CreditWatch(network, weighted_layers(network), input_TBCHW()[:, :1])
    network.train()
    watch.attach()
    logits_TBK = run_network(network, input_TBCHW())
    loss = nn.functional.cross_entropy(logits_TBK.mean(0), torch.tensor([0, 1, 2]))
    torch.autograd.backward(loss)
    credits = watch.detach()
    return credits, {name: each.weight.grad for name, each in weighted_layers(network).items()}  # type: ignore[misc]  # all have one


@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("kind", ["lif", "decay", "if", "plif"])
@pytest.mark.parametrize("build", [convolutional, linear])
def test_credit_is_the_gradient_where_no_reset_carries_one(build, kind: str, mode: str) -> None:  # type: ignore[no-untyped-def]  # two builders
    network = build(kind, mode)
    with RateMeter(network) as meter:
        credits, gradients = watched(network)
    assert min(meter.rates().values()) > 0.02  # all layers of neurons spike, and so reset
    assert credits.keys() == gradients.keys()
    assert len(credits) == 3
    for name, found in credits.items():
        assert float(found.max()) > 0.0
        assert torch.allclose(found, gradients[name].abs(), rtol=1e-9, atol=1e-15), name


def test_a_hard_reset_is_left_out_of_the_trace() -> None:
    network = linear("lif", "m")
    for module in network.modules():
        if isinstance(module, neuron.BaseNode):
            module.v_reset = 0.0
    credits, gradients = watched(network)
    assert not torch.allclose(credits["3"], gradients["3"].abs(), rtol=1e-3)
    assert torch.allclose(credits["5"], gradients["5"].abs(), rtol=1e-9)  # no neuron follows


def test_layers_around_an_addition_have_credits_and_nothing_stays_attached() -> None:
    network = residual().double()
    watch = CreditWatch(network, weighted_layers(network), torch.rand(2, 1, 1, 4, 4, dtype=torch.float64))
    network.train()
    for _ in range(2):
        watch.attach()
        loss = run_network(network, torch.rand(3, 2, 1, 4, 4, dtype=torch.float64)).square().mean()
        torch.autograd.backward(loss)
        found = watch.detach()
        assert {name: value.shape for name, value in found.items()} == {
            name: each.weight.shape for name, each in weighted_layers(network).items()
        }
        assert all(bool(torch.isfinite(value).all()) for value in found.values())
        assert not any(module._forward_hooks for module in network.modules())
        assert not any(isinstance(getattr(module, "v", None), Tensor) for module in network.modules())


def test_behind_a_pool_credit_is_the_plain_gradient() -> None:
    network = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1), layer.AvgPool2d(2), node(), layer.Flatten(), layer.Linear(16, 3)
    )
    functional.set_step_mode(network, "m")
    x_TBCHW = torch.rand(STEPS, 2, 1, 4, 4)
    watch = CreditWatch(network, weighted_layers(network), x_TBCHW[:, :1])
    network.train()
    watch.attach()
    run_network(network, x_TBCHW).square().mean().backward()
    found = watch.detach()
    assert torch.allclose(found["0"], network[0].weight.grad.abs(), rtol=1e-4, atol=1e-8)


def test_a_frozen_network_has_no_credits() -> None:
    network = linear("lif", "m").requires_grad_(False)
    watch = CreditWatch(network, weighted_layers(network), input_TBCHW()[:, :1])
    watch.attach()
    run_network(network, input_TBCHW())
    assert watch.detach() == {}


def test_traces_by_hand() -> None:
    inputs_T = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
    assert traces(inputs_T, 0.5).tolist() == [[1.0, 0.0], [0.5, 2.0], [1.25, 1.0]]
    assert traces(inputs_T, 0.0).tolist() == inputs_T.tolist()


def test_errors_of_one_neuron_by_hand() -> None:
    # charges 0.8; then 0.8 / 2 + 1 = 1.4 spikes and resets to 0; then 0.6. ATan: psi = 1 / (1 + (pi (v - 1))^2)
    lif = neuron.LIFNode(tau=2.0, decay_input=False, detach_reset=True, surrogate_function=surrogate.ATan())
    lif.step_mode = "m"
    inputs_T, errors_T = torch.tensor([[0.8], [1.0], [0.6]]), torch.tensor([[1.0], [-2.0], [0.5]])
    expected = [scale / (1 + (math.pi * distance) ** 2) for scale, distance in ((1.0, -0.2), (-2.0, 0.4), (0.5, -0.4))]
    assert surrogate_errors(lif, inputs_T, errors_T).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert lif.v == 0.0


def test_credit_of_a_linear_layer_by_hand() -> None:
    traces_T, errors_T = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]]]), torch.tensor([[[1.0]], [[-1.0]]])
    assert credit(nn.Linear(2, 1), traces_T, errors_T).tolist() == [[2.0, 2.0]]  # |1 - 3|, |2|


def test_targets_by_hand() -> None:
    credits_RM = torch.tensor([[4.0, 2.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 8.0, 0.0]])
    powers = [[math.exp(c) for c in row] for row in ([2.0, 1.0, 0.5, 0.5], [0.0] * 4, [0.0, 0.0, 4.0, 0.0])]
    expected = torch.tensor([[power / sum(row) for power in row] for row in powers])
    assert torch.allclose(block_targets(credits_RM, 1.0), expected)
    assert torch.allclose(block_targets(1e-12 * credits_RM, 1.0), expected)
    sharper = torch.softmax(torch.tensor([4.0, 2.0, 1.0, 1.0]), 0)
    assert torch.allclose(block_targets(credits_RM, 2.0)[0], sharper)
