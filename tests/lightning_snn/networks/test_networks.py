"""The registry, and classes of the user's own."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks import NETWORKS
from lightning_snn.networks import build_network
from lightning_snn.networks import build_own_network

OWN = """
from torch import nn
raised = 1
def plain(width=3): return nn.Linear(width, 2)
def knows_classes(num_classes, width=3): return nn.Linear(width, num_classes)
def takes_any(**options): return nn.Linear(options["in_channels"], options["num_classes"] * options["times"])
def no_module(num_classes): return num_classes
class Net(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_registered_name_is_built_and_remembers_how(name: str) -> None:
    network = build_network(name, num_classes=4, in_channels=2, tau=3.0)
    arguments = {"num_classes": 4, "in_channels": 2, "tau": 3.0}
    assert network.architecture == {"family": name, "arguments": arguments}


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_numbers_are_numbers(name: str) -> None:
    network = build_network(name, num_classes=4, in_channels=2, tau=2, threshold=1)
    assert (
        network.architecture == build_network(name, num_classes=4, in_channels=2, tau=2.0, threshold=1.0).architecture
    )
    assert [type(value) for value in network.architecture["arguments"].values()] == [int, int, float, float]
    neurons = [each for each in network.modules() if isinstance(each, neuron.LIFNode)]
    assert neurons
    assert {(each.tau, each.v_threshold) for each in neurons} == {(2.0, 1.0)}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("tau", 1, "must be above 1, found 1."),
        ("tau", 0.5, "must be above 1, found 0.5."),
        ("threshold", 0, "must be a number above 0, found 0."),
        ("threshold", -1.0, "must be a number above 0, found -1."),
        ("image_size", 0, "is a whole number of pixels above 0, or [rows, columns], found 0."),
        ("image_size", 8.5, "found 8.5."),
        ("image_size", "32", "found '32'."),
        ("image_size", [32], "found [32]."),
        ("image_size", [32, 0], "found [32, 0]."),
        ("image_size", [32, True], "found [32, True]."),
    ],
)
def test_an_option_out_of_its_range_is_refused_by_name(name: str, option: str, value: Any, wanted: str) -> None:
    with pytest.raises(NetworkError) as error:
        build_network(name, num_classes=4, in_channels=2, **{option: value})
    assert str(error.value).startswith(f"network.options.{option} ")
    assert wanted in str(error.value)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("option", ["tau", "threshold"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused(name: str, option: str, value: float) -> None:
    with pytest.raises(NetworkError, match=f"Option '{option}' of network '{name}' is a number, found {value}"):
        build_network(name, num_classes=4, in_channels=2, **{option: value})


def test_a_network_without_memory_for_it_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"'vgg_small' needs more memory than there is, with {'plan': \[10000000"):
        build_network("vgg_small", num_classes=4, in_channels=2, plan=[1_000_000_000])


@pytest.mark.parametrize(
    ("name", "hint"),
    [("vgg-16", "Did you mean 'vgg16'?"), ("transformer", "Known names: conv5_fc1, conv6_fc2, dvs_compact, resnet18,")],
)
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(NetworkError) as error:
        build_network(name, num_classes=4, in_channels=2)
    assert str(error.value).startswith(f"No network is called {name!r}. {hint}")


def test_an_option_like_no_other_gets_the_list() -> None:
    with pytest.raises(
        NetworkError, match=r"has no option 'xyz'. Known options: decay_input, image_size, plan, tau, thresh"
    ):
        build_network("vgg_small", num_classes=4, in_channels=2, xyz=1)


@pytest.mark.parametrize(
    ("target", "options", "shape"),
    [
        ("their_networks.plain", {}, (2, 3)),
        ("their_networks.plain", {"width": 5}, (2, 5)),
        ("their_networks.knows_classes", {}, (4, 3)),
        ("their_networks.takes_any", {"times": 2}, (8, 6)),
        ("their_networks:plain", {}, (2, 3)),
    ],
)
@pytest.mark.usefixtures("own")
def test_own_networks_get_what_their_signature_names(
    target: str, options: dict[str, Any], shape: tuple[int, int]
) -> None:
    network = build_own_network(target, num_classes=4, in_channels=6, **options)
    assert isinstance(network, nn.Linear)
    assert network.weight.shape == shape


@pytest.mark.usefixtures("own")
def test_an_own_class_is_built() -> None:
    network = build_own_network("their_networks.Net", num_classes=4, in_channels=6)
    assert network.get_submodule("layer")(torch.zeros(1, 6)).shape == (1, 4)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("no_such_package.Net", {}, "must be an import path such as my_package.MyNet, found 'no_such_package.Net'"),
        ("their_networks.Nett", {}, "must be an import path .*found 'their_networks.Nett'"),
        ("", {}, "must be an import path"),
        ("not a path", {}, "must be an import path"),
        ("their_networks.raised", {}, "their_networks.raised could not be built"),
        ("their_networks", {}, "their_networks could not be built"),
        ("their_networks.plain", {"depth": 3}, r"could not be built: .*'depth'.*network\.options\.NAME=VALUE"),
        ("their_networks.knows_classes", {"num_channels": 3}, "could not be built"),
        ("their_networks.no_module", {}, r"must return a torch\.nn\.Module, found int"),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_cannot_be_built_is_one_sentence(target: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message) as error:
        build_own_network(target, num_classes=4, in_channels=6, **options)
    assert "\n" not in str(error.value)
