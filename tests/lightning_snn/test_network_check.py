"""What a network of the user's own does wrong is one sentence about it, in whichever mode it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn
from torch.nn.utils import weight_norm

from lightning_snn._network_check import check_network
from lightning_snn.errors import NetworkError

CLASSES = 3
EXAMPLE = torch.rand(4, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
Forward = Callable[[nn.Module, Tensor], Any]


class Own(nn.Module):
    """A network to spoil: its forward is given, and layers can be replaced by name."""

    def __init__(self, forward: Forward | None = None, mode: str = "m", **layers: nn.Module) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {
            "conv": layer.Conv2d(1, 2, 3, padding=1),
            "norm": layer.BatchNorm2d(2),
            "lif": neuron.LIFNode(v_threshold=0.5, surrogate_function=surrogate.ATan()),
            "flatten": layer.Flatten(),
            "head": layer.Linear(32, CLASSES),
        }
        self.body = nn.Sequential()
        for name, part in {**parts, **layers}.items():
            self.body.add_module(name, part)
        self.own_forward = forward
        functional.set_step_mode(self, mode)

    def forward(self, x: Tensor) -> Any:
        return self.body(x) if self.own_forward is None else self.own_forward(self.body, x)


def raising(error: BaseException, *, training: bool | None = None) -> Forward:
    def forward(body: nn.Module, x: Tensor) -> Any:
        if training is None or body.training == training:
            raise error
        return body(x)

    return forward


def looping(finish: Callable[[list[Tensor]], Any]) -> Forward:
    return lambda body, x: finish([body(x[t]) for t in range(x.shape[0])])


def without_gradient(body: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = body(x)
    return logits


def changed_in_place(body: nn.Module, x: Tensor) -> Tensor:
    logits: Tensor = torch.sigmoid(body(x))
    squared = logits * logits
    logits.add_(1.0)
    return squared


def other_library(package: str, name: str) -> nn.Module:
    return type(name, (nn.Module,), {"__module__": f"{package}.neurons", "forward": lambda self, x: x})()


REFUSED: list[tuple[nn.Module, str]] = [
    (
        Own(raising(ValueError("no such width"))),
        "Own raised ValueError in {}: no such width. Its input was (4, 2, 1, 4",
    ),
    (Own(raising(KeyError("size"))), "Own raised KeyError in {}: 'size'. Its input was"),
    (Own(raising(ValueError("shapes differ"))), "Own raised ValueError in {}: shapes differ. Its input was"),
    (Own(raising(OSError("no file"), training=True)), "Own raised OSError in {}: no file. Its input was"),
    (Own(raising(OSError("no file"), training=False)), "Own raised OSError in {}: no file. Its input was"),
    (Own(raising(SystemExit(7))), "Own raised SystemExit in {}: 7."),
    (Own(lambda body, x: x.shapee), "Own raised AttributeError in {}: 'Tensor' object has no attribute 'shapee'. Its"),
    (Own(lambda body, x: [][3]), "Own raised IndexError in {}: list index out of range. Its input was"),
    (
        Own(head=layer.Linear(5, CLASSES)),
        "The network does not take the data, (4, 2, 1, 4, 4) as [T, B, C, H, W]: Own ra",
    ),
    (Own(conv=layer.Conv2d(3, 2, 3)), "to have 3 channels, but got 1 channels instead. Build it for that shape."),
    (
        Own(conv=nn.Conv2d(1, 2, 3, padding=1)),
        "'body.conv' is a layer of PyTorch, which knows no time steps: take that",
    ),
    (Own(norm=nn.BatchNorm2d(2)), "'body.norm' is a layer of PyTorch, which knows no time steps"),
    (Own(looping(torch.stack), "s"), "Own loops over time steps itself, around single-step layers. Supported are both"),
    (Own(looping(list), "s"), "Own loops over time steps itself"),
    (Own(looping(lambda outputs: torch.stack(outputs).mean(0)), "s"), "Own loops over time steps itself"),
    (Own(lambda body, x: body(x).mean(0)), "found (2, 3) from Own, which has no time steps. Return the last layer's"),
    (Own(lambda body, x: list(body(x))), "must return one tensor, found a list from Own."),
    (Own(lambda body, x: {"logits": body(x)}), "must return one tensor, found a dict from Own."),
    (Own(head=layer.Linear(32, 7)), "The network returns 7 logits, but the data have 3 classes."),
    (
        Own(lif=nn.ReLU()),
        "Own has no spiking neurons. Take those of spikingjelly.activation_based.neuron",
    ),
    (Own(lif=layer.Dropout(0.5)), "Own has no spiking neurons."),
    (
        Own(lif=other_library("snntorch", "Leaky")),
        "body.lif is a Leaky of snnTorch, found in Own. Supported are neurons",
    ),
    (Own(lif=other_library("norse.torch", "LIFCell")), "body.lif is a LIFCell of Norse, found in Own."),
    (Own(without_gradient), "Own cannot be trained: no gradient goes from its output to its parameters."),
    (Own(changed_in_place), "Own cannot be trained: its gradients raised RuntimeError: one of the variables needed"),
]


@pytest.mark.parametrize(("network", "message"), REFUSED)
def test_what_is_wrong_is_one_sentence(network: nn.Module, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        check_network(network, EXAMPLE, CLASSES)
    said = str(caught.value)
    for part in message.split("{}"):
        assert part in said
    if "{}" in message:
        assert f"{Path(__file__).name}, line " in said
    assert "\n" not in said
    assert ("Build it for that shape" in said) <= ("raised RuntimeError" in said)


def test_a_network_that_cannot_be_copied_is_told_why() -> None:
    network = Own()
    network.kept = network.get_parameter("body.conv.weight") * 2  # a tensor with a history
    with pytest.raises(
        NetworkError, match=r"Own raised RuntimeError: Only Tensors .* Networks are copied: keep no tensor"
    ):
        check_network(network, EXAMPLE, CLASSES)


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
def test_what_is_no_mistake_of_the_network_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        check_network(Own(raising(error)), EXAMPLE, CLASSES)


class OwnNeuron(neuron.LIFNode):
    """A user's own."""


@pytest.mark.parametrize(
    "network",
    [
        Own(),
        Own(mode="s"),
        Own(conv=layer.SeqToANNContainer(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2))),
        Own(lif=neuron.PSN(4)),
        Own(lif=OwnNeuron(surrogate_function=surrogate.ATan())),
        Own().requires_grad_(False),
        Own(conv=weight_norm(layer.Conv2d(1, 2, 3, padding=1))),
    ],
)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_network_that_works_is_left_as_it_is(network: nn.Module, steps: int) -> None:
    if steps != 4 and isinstance(network.get_submodule("body.lif"), neuron.PSN):
        pytest.skip("built for four time steps")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random, training = torch.get_rng_state(), [module.training for module in network.modules()]
    batch = 3 if steps == 2 else 2
    check_network(network, torch.rand(steps, batch, 1, 4, 4, generator=torch.Generator().manual_seed(0)), CLASSES)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in network.modules()] == training


def test_layers_that_need_several_samples_in_training_have_them() -> None:
    small = nn.Sequential(layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.BatchNorm1d(1), neuron.IFNode())
    network = nn.Sequential(small, layer.Linear(1, CLASSES))
    functional.set_step_mode(network, "s")
    check_network(network, EXAMPLE, CLASSES)


def test_a_neuron_of_snntorch_itself_is_told() -> None:
    snntorch = pytest.importorskip("snntorch")
    with pytest.raises(NetworkError, match=r"body\.lif is a Leaky of snnTorch"):
        check_network(Own(lif=snntorch.Leaky(beta=0.9)), EXAMPLE, CLASSES)
