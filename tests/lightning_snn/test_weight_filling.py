"""A network takes all the tensors that matter, or none and one sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn._name_matching import best_match
from lightning_snn._weight_filling import fill_
from lightning_snn.errors import ArtifactError
from tests.lightning_snn.tiny import CLASSES
from tests.lightning_snn.tiny import tiny_vgg

FILE = Path("best.pth")


def fill(network: nn.Module, file: dict[str, Tensor], *, drop_unexpected: bool = False) -> tuple[str, ...]:
    match = best_match({"": file}, network.state_dict())
    return fill_(network, match, FILE, classes=CLASSES, drop_unexpected=drop_unexpected)


def changed(change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    file = tiny_vgg(seed=1).state_dict()
    change(file)
    return file


def test_all_tensors_are_those_of_the_file() -> None:
    network, file = tiny_vgg(), tiny_vgg(seed=1).state_dict()
    assert fill(network, {f"module.{name}": value for name, value in file.items()}) == ()
    assert all(torch.equal(value, file[name]) for name, value in network.state_dict().items())


def test_half_precision_is_taken() -> None:
    file = {
        name: value.half() if value.is_floating_point() else value for name, value in tiny_vgg(1).state_dict().items()
    }
    network = tiny_vgg()
    fill(network, file)
    assert network.get_parameter("features.0.weight").dtype == torch.float32
    assert torch.equal(network.get_parameter("features.0.weight").half(), file["features.0.weight"])


def test_counters_and_what_neurons_have_may_be_missing() -> None:
    network = nn.Sequential(layer.Conv2d(1, 2, 3), layer.BatchNorm2d(2), neuron.ParametricLIFNode(init_tau=4.0))
    functional.set_step_mode(network, "m")
    file = {name: value + 1.0 for name, value in network.state_dict().items() if name not in ("2.w",)}
    del file["1.num_batches_tracked"]
    w = network.get_parameter("2.w").clone()
    assert fill(network, file) == ("1.num_batches_tracked", "2.w")
    assert torch.equal(network.get_parameter("2.w"), w)
    assert torch.equal(network.get_parameter("0.weight"), file["0.weight"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda file: file.pop("features.3.weight"),
            r"has 15 of the network's 16 tensors by name and shape; it lacks features\.3\.weight\. Name the network",
        ),
        (
            lambda file: file.update({"features.4.weights": file.pop("features.4.weight")}),
            r"it lacks features\.4\.weight\. Did you mean 'features\.4\.weights'\?",
        ),
        (
            lambda file: [file.pop(name) for name in list(file) if name.startswith("features.4.")],
            r"it lacks features\.4\.weight, features\.4\.bias, features\.4\.running_mean, and 1 more\.",
        ),
        (lambda file: file.pop("features.1.running_var"), r"it lacks features\.1\.running_var\."),
        (
            lambda file: file.update({"classifier.weight": torch.ones(7, 16), "classifier.bias": torch.ones(7)}),
            r"'classifier\.weight' is \[7, 16\] in the file, \[3, 16\] in the network and 1 more\. "
            r"The weights are for 7 classes, the data have 3: name the data they are for\.",
        ),
        (
            lambda file: file.update({"features.0.weight": torch.ones(4, 2, 3, 3)}),
            r"\[4, 2, 3, 3\] in the file, \[4, 1, 3, 3\] in the network\. Name the network .* and data of its size",
        ),
        (
            lambda file: file.update({"loss.centre": torch.ones(1)}),
            r"and 1 more that the network does not have: loss\.centre\. .*--drop_unexpected true\.",
        ),
        (
            lambda file: file.update({"classifier.weight": file["classifier.weight"] / 0.0}),
            r"'classifier\.weight' of best\.pth must hold finite numbers",
        ),
        (
            lambda file: file.update({"classifier.weight": file["classifier.weight"].to(torch.int8)}),
            r"another kind of numbers, found torch\.int8 for torch\.float32\.",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_changes_nothing(
    change: Callable[[dict[str, Tensor]], object], expected: str
) -> None:
    network = tiny_vgg()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ArtifactError, match=expected) as caught:
        fill(network, changed(change))
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_unexpected_tensors_are_dropped_where_that_is_asked_for() -> None:
    network, file = tiny_vgg(), changed(lambda file: file.update({"loss.centre": torch.ones(1)}))
    assert fill(network, file, drop_unexpected=True) == ()
    assert torch.equal(network.get_parameter("classifier.weight"), file["classifier.weight"])
