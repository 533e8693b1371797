"""A network is compiled while it is trained, and only then; it learns what it would have learned without."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from datamodules.digits import DigitsDataModule
from lightning_snn.fit import compiled
from lightning_snn.fit import fit
from lightning_snn.forward import run_network
from lightning_snn.surgery import channel_groups
from tests.lightning_snn.own_network import WithDropout


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WithDropout(10, 1).double()


class Double(DigitsDataModule):
    """Digits in double precision: rounding flips no spike there."""

    def decode(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().decode(inputs).double()


def train(net: nn.Module, *, compile: bool, epochs: int = 2) -> nn.Module:
    data = Double(seed=0, train_samples=128, validation_samples=64, batch_size=64, eval_batch_size=64)
    fit(
        net,
        data,
        epochs=epochs,
        seed=3,
        num_classes=10,
        time_steps=2,
        recipe={"learning_rate": 0.1},
        trainer={"accelerator": "cpu", "devices": 1, "precision": "64-true"},
        compile=compile,
        validate=True,
    )
    return net


@pytest.fixture
def eager_backend(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Count compiled networks, and trace them without making machine code of them: that takes a minute."""
    seen: list[nn.Module] = []
    original = nn.Module.compile

    def compile(self: nn.Module, *args: Any, **options: Any) -> None:
        seen.append(self)
        original(self, backend="eager", fullgraph=True)  # a break in the graph is an error

    monkeypatch.setattr(nn.Module, "compile", compile)
    return seen


def test_a_compiled_network_learns_the_same(eager_backend: list[nn.Module]) -> None:
    eager = train(network(), compile=False)
    assert eager_backend == []
    net = train(network(), compile=True)
    assert eager_backend == [net]
    assert list(net.state_dict()) == list(eager.state_dict())
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_the_state_of_neurons_does_not_leak_between_passes(eager_backend: list[nn.Module]) -> None:
    net, x_TBCHW = network().eval(), torch.rand(3, 4, 1, 8, 8, dtype=torch.float64)
    expected_TBK = run_network(net, x_TBCHW)
    with compiled(net):
        for _ in range(3):
            torch.testing.assert_close(run_network(net, x_TBCHW), expected_TBK)


def test_afterwards_the_network_is_as_before(eager_backend: list[nn.Module]) -> None:
    net = network()
    with pytest.raises(KeyboardInterrupt), compiled(net):
        raise KeyboardInterrupt
    assert net._compiled_call_impl is None
    train(net, compile=True, epochs=1)
    assert net._compiled_call_impl is None
    copy.deepcopy(net)
    assert channel_groups(net.float(), torch.zeros(2, 1, 1, 8, 8))


@pytest.mark.slow
def test_machine_code_learns_the_same_without_dropout() -> None:
    """Its dropout draws from a stream of its own."""
    eager, net = network(), network()
    for each in (eager, net):
        each.get_submodule("body")[5] = nn.Identity()  # type: ignore[operator]  # a Sequential
    train(eager, compile=False, epochs=1)
    train(net, compile=True, epochs=1)
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-9, atol=1e-12, msg=name)
