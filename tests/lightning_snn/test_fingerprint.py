"""A fingerprint tells what a network computes: it follows the code and the structure, and nothing else."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn

from lightning_snn.fingerprint import fingerprint
from lightning_snn.fingerprint import fingerprint_of_start
from lightning_snn.memory_format import channels_last
from lightning_snn.networks import build_network
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

EXAMPLE = torch.rand(3, 1, 1, 4, 4)


def new_lif(**options: Any) -> neuron.LIFNode:
    return neuron.LIFNode(**{"surrogate_function": surrogate.ATan(), **options})


class Net(nn.Module):
    """Every line of it may be exchanged for another that changes no parameter's shape."""

    def __init__(
        self,
        lif: Callable[[], nn.Module] = new_lif,
        pool: Callable[[int], nn.Module] = layer.MaxPool2d,
        last: Callable[[Tensor], Tensor] = lambda logits: logits,
        dropout: float = 0.0,
        first: Callable[[Tensor], Tensor] = lambda x: x,
        momentum: float = 0.1,
        dilation: int = 1,
        initial: Callable[[Tensor], Tensor] = nn.init.xavier_uniform_,
    ) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(1, 4, 3, padding=dilation, dilation=dilation)
        self.bn1 = layer.BatchNorm2d(4, momentum=momentum)
        self.lif1 = lif()
        self.pool = pool(2)
        self.conv2 = layer.Conv2d(4, 4, 3, padding=1)
        self.bn2 = layer.BatchNorm2d(4)
        self.lif2 = lif()
        self.dropout = layer.Dropout(dropout)
        self.head = layer.Linear(16, 3)
        self.first, self.last = first, last
        initial(self.conv1.weight)
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        x_TBCHW = self.pool(self.lif1(self.bn1(self.conv1(self.first(x_TBCHW)))))
        x_TBCHW = self.dropout(self.lif2(self.bn2(self.conv2(x_TBCHW))))
        return self.last(self.head(x_TBCHW.flatten(2)))


class SameAndMore(Net):
    """Computes the same in other words, under another name."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return super().forward(x_TBCHW + 0.0) * 1.0


def built(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return Net(**options)


CHANGES: dict[str, dict[str, Any]] = {
    "threshold": {"lif": lambda: new_lif(v_threshold=0.3)},
    "threshold, a little": {"lif": lambda: new_lif(v_threshold=0.99)},
    "leak": {"lif": lambda: new_lif(tau=2.5)},
    "no leak": {"lif": lambda: neuron.IFNode(surrogate_function=surrogate.ATan())},
    "input not divided": {"lif": lambda: new_lif(decay_input=False)},
    "soft reset": {"lif": lambda: new_lif(v_reset=None)},
    "gradient not through the reset": {"lif": lambda: new_lif(detach_reset=True)},
    "surrogate": {"lif": lambda: new_lif(surrogate_function=surrogate.Sigmoid())},
    "its slope": {"lif": lambda: new_lif(surrogate_function=surrogate.ATan(alpha=2.5))},
    "average pool": {"pool": layer.AvgPool2d},
    "dilation": {"dilation": 2},
    "dropout": {"dropout": 0.2},
    "more dropout": {"dropout": 0.3},
    "scaled logits": {"last": lambda logits: 1.01 * logits},
    "a step late": {"last": lambda logits: logits.roll(1, dims=0)},
    "counts capped": {"first": lambda x: x.clamp(max=1.0)},
    "counts capped high": {"first": lambda x: x.clamp(max=9.0)},
    "negative inputs cut": {"first": lambda x: x.relu()},
    "large logits cut": {"last": lambda logits: logits.clamp(-20.0, 20.0)},
    "memory of batch norms": {"momentum": 0.9},
    "gradient cut": {"last": lambda logits: logits.detach() + 0.0 * logits},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_line_changes_it(change: str) -> None:
    assert fingerprint(built(**CHANGES[change]), EXAMPLE) != fingerprint(built(), EXAMPLE)


def test_all_changes_are_told_apart() -> None:
    found = [fingerprint(built(**change), EXAMPLE) for change in CHANGES.values()]
    assert len(set(found)) == len(CHANGES)


def test_the_same_code_has_the_same_whatever_the_network_went_through() -> None:
    network = built()
    expected = fingerprint(network, EXAMPLE)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    network(torch.rand(3, 5, 1, 4, 4)).sum().backward()  # batch norms, states and gradients are others now
    assert fingerprint(network.eval(), torch.rand(3, 2, 1, 4, 4)) == expected
    with channels_last(network):
        assert fingerprint(network, EXAMPLE) == expected
    assert fingerprint(network.double().requires_grad_(False).float(), EXAMPLE) == expected
    assert fingerprint(copy.deepcopy(network), EXAMPLE) == expected
    assert network.head.weight.grad is not None, "the network itself is left alone"
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert fingerprint(network, EXAMPLE) == expected
    finally:
        torch.set_num_threads(threads)


def test_other_inputs_and_structures_are_told() -> None:
    found = [fingerprint(built(), EXAMPLE), fingerprint(built(), torch.rand(4, 1, 1, 4, 4))]
    found += [fingerprint(each, EXAMPLE) for each in (tiny_vgg(), tiny_vgg(plan=[4, 3, "M"]), residual())]
    assert len(set(found)) == len(found)


def test_what_is_computed_counts_and_not_how_it_is_written() -> None:
    one, two = built(), built()
    two.__class__ = SameAndMore
    assert fingerprint(two, EXAMPLE) == fingerprint(one, EXAMPLE)


def test_a_network_that_insists_on_float32_has_one_too() -> None:
    def as_float(logits: Tensor) -> Tensor:
        if logits.dtype != torch.float32:
            raise TypeError("float32 only")
        return logits

    found = [fingerprint(built(last=as_float, **each), EXAMPLE) for each in ({}, {}, CHANGES["threshold"])]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("options", [{"tau": 2.5}, {"threshold": 0.9}, {"decay_input": True}, {"plan": [4, "A"]}])
def test_options_of_built_in_networks_change_it(options: dict[str, Any]) -> None:
    plain, other = ({"image_size": 4, "plan": [4, "M"], **each} for each in ({}, options))
    found = [
        fingerprint(build_network("vgg_small", num_classes=3, in_channels=1, **each), EXAMPLE)
        for each in (plain, other)
    ]
    assert found[0] != found[1]


def test_initial_values_are_told_by_their_sums() -> None:
    found = [
        fingerprint_of_start(built(initial=each))
        for each in (nn.init.xavier_uniform_, nn.init.xavier_uniform_, nn.init.kaiming_uniform_)
    ]
    assert found[0] == found[1] != found[2]
    torch.manual_seed(1)
    assert fingerprint_of_start(Net()) != found[0]
    frozen = built()
    frozen.conv2.weight.requires_grad_(False)
    assert fingerprint_of_start(frozen) != found[0]
