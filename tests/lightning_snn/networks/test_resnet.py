"""Blocks, groups and columns of the residual forms, worked by hand; every member keeps the promises of a family."""

from types import MappingProxyType
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks import build_network
from lightning_snn.networks._parts import lif
from lightning_snn.networks.resnet import BLOCKS
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import channel_groups
from lightning_snn.synops import measure_synops
from tests.lightning_snn.networks.conformance import NetworkConformance

FORMS = ("vanilla", "sew", "membrane")


class TestResNetSmall(NetworkConformance):
    family = "resnet_small"
    natural = (1, 8, 8)
    other = (2, 13, 13)


class TestResNetSmallSEW(TestResNetSmall):
    options = MappingProxyType({"shortcut": "sew"})


class TestResNetSmallMembrane(TestResNetSmall):
    options = MappingProxyType({"shortcut": "membrane"})


class TestResNet20(NetworkConformance):
    family = "resnet20"
    natural = (3, 32, 32)
    other = tested = (2, 12, 12)


class TestResNet18(NetworkConformance):
    family = "resnet18"
    natural = (3, 32, 32)
    other = tested = (3, 9, 9)


class TestResNet19(NetworkConformance):
    family = "resnet19"
    natural = (3, 32, 32)
    other = tested = (3, 6, 6)

    def awaken_(self, network: nn.Module) -> None:
        with torch.no_grad():
            network.get_parameter("head.2.weight").mul_(16.0)


def resnet(name: str = "resnet_small", **options: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(name, num_classes=10, in_channels=1, **options)


def one_channel(form: str, weight1: float, weight2: float) -> nn.Module:
    """A block of one channel for images of one pixel: each convolution is a product, each batch norm nothing."""
    block = BLOCKS[form](1, 1, 1, lif(tau=2.0, threshold=1.0, decay_input=False)).double().eval()
    for position, weight in ((1, weight1), (2, weight2)):
        convolution, norm = block.get_submodule(f"conv{position}"), block.get_submodule(f"norm{position}")
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(convolution.weight)[0, 0, 1, 1] = weight
        norm.eps = 0.0
    functional.set_step_mode(block, "m")
    return block


@pytest.mark.parametrize(
    ("form", "weights", "drive", "expected"),
    [
        # LIF 1 sees 0.875, 0.875, 0, 0.875: v 0.875, 1.3125 (spike), 0, 0.875
        # LIF 2 sees -0.5 x its spikes + the input = 1, 0.5, 0, 1: v 1 (spike), 0.5, 0.25, 1.125 (spike)
        ("vanilla", (0.875, -0.5), [1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]),
        # the same spikes 0, 1, 0, 0 of LIF 1 x 1.5 make LIF 2 spike with it; the input's spikes are added behind
        ("sew", (0.875, 1.5), [1.0, 1.0, 0.0, 1.0], [1.0, 2.0, 0.0, 1.0]),
        # a sum of two spikes counts twice: v 1.25 (spike), then 0.625; LIF 2 spikes once, with it
        ("sew", (0.625, 1.0), [2.0, 1.0], [3.0, 1.0]),
        # LIF 1 integrates the currents: 0.75, 1.125 (spike), 0, 1.25 (spike); LIF 2 sees 0, 2, 0, 2 and spikes with
        # it, which adds -0.5 to the currents
        ("membrane", (2.0, -0.5), [0.75, 0.75, 0.0, 1.25], [0.75, 0.25, 0.0, 0.75]),
    ],
)
def test_the_blocks_by_hand(form: str, weights: tuple[float, float], drive: list[float], expected: list[float]) -> None:
    x_TBCHW = torch.tensor(drive, dtype=torch.float64).view(-1, 1, 1, 1, 1)
    with torch.no_grad():
        out_TBCHW: Tensor = one_channel(form, *weights)(x_TBCHW)
    assert out_TBCHW.flatten().tolist() == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("vanilla", ["Conv2d", "BatchNorm2d"]),
        ("sew", ["Conv2d", "BatchNorm2d", "LIFNode"]),
        ("membrane", ["Conv2d", "BatchNorm2d"]),
    ],
)
def test_a_shortcut_has_layers_where_the_shape_changes_only(form: str, expected: list[str]) -> None:
    network = resnet("resnet20", shortcut=form)
    for stage in range(3):
        for block in range(3):
            shortcut = list(network.get_submodule(f"stages.{stage}.{block}.shortcut").children())
            changes = stage > 0 and block == 0
            assert [type(module).__name__ for module in shortcut] == (expected if changes else [])
            if changes:
                convolution = shortcut[0]
                assert isinstance(convolution, nn.Conv2d)
                assert (convolution.kernel_size, convolution.stride, convolution.bias) == ((1, 1), (2, 2), None)


@pytest.mark.parametrize(
    ("form", "neurons"),
    [
        ("vanilla", 1 + 2 * 9),  # behind the stem, two a block
        ("sew", 1 + 2 * 9 + 2),  # and in both shortcuts
        ("membrane", 2 * 9 + 1),  # behind the last block
    ],
)
def test_neurons_are_where_the_form_has_them(form: str, neurons: int) -> None:
    network = resnet("resnet20", shortcut=form)
    assert sum(isinstance(module, neuron.LIFNode) for module in network.modules()) == neurons
    assert isinstance([*network.get_submodule("stem").children()][-1], neuron.LIFNode) == (form != "membrane")
    assert isinstance(next(network.get_submodule("head").children()), neuron.LIFNode) == (form == "membrane")


def stage(position: int, width: int, fed: list[str], first: str, producers: list[str]) -> dict[str, Any]:
    """The groups of one stage of three blocks: the stream that is added to, and the inside of each block."""
    inner = {f"stages.{position}.{n}.conv1": (width, [f"stages.{position}.{n}.conv2"]) for n in range(3)}
    found: dict[str, Any] = {name: (w, [name], consumers) for name, (w, consumers) in inner.items()}
    return {**found, first: (width, producers, fed)}


@pytest.mark.parametrize("form", FORMS)
def test_layers_around_additions_are_one_group(form: str) -> None:
    network = resnet("resnet20", shortcut=form, image_size=8)
    expected = {
        **stage(
            0,
            16,
            [*(f"stages.0.{n}.conv1" for n in range(3)), "stages.1.0.conv1", "stages.1.0.shortcut.0"],
            "stem.0",
            ["stem.0", "stages.0.0.conv2", "stages.0.1.conv2", "stages.0.2.conv2"],
        ),
        **stage(
            1,
            32,
            ["stages.1.1.conv1", "stages.1.2.conv1", "stages.2.0.conv1", "stages.2.0.shortcut.0"],
            "stages.1.0.conv2",
            ["stages.1.0.conv2", "stages.1.0.shortcut.0", "stages.1.1.conv2", "stages.1.2.conv2"],
        ),
        **stage(
            2,
            64,
            ["stages.2.1.conv1", "stages.2.2.conv1", "classifier"],
            "stages.2.0.conv2",
            ["stages.2.0.conv2", "stages.2.0.shortcut.0", "stages.2.1.conv2", "stages.2.2.conv2"],
        ),
    }
    groups = channel_groups(network, torch.rand(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert {group.name: (group.width, list(group.layers), list(group.consumers)) for group in groups} == expected


def test_a_stem_of_another_width_than_the_first_stage_is_a_group_of_its_own() -> None:
    groups = channel_groups(resnet("resnet19", image_size=4), torch.ones(1, 1, 1, 4, 4))
    assert [(group.name, group.width, group.layers) for group in groups[:3]] == [
        ("stem.0", 64, ("stem.0",)),
        ("stages.0.0.conv1", 128, ("stages.0.0.conv1",)),
        (
            "stages.0.0.conv2",
            128,
            ("stages.0.0.conv2", "stages.0.0.shortcut.0", "stages.0.1.conv2", "stages.0.2.conv2"),
        ),
    ]
    assert [(group.name, group.width, group.consumers) for group in groups[-1:]] == [("head.2", 256, ("classifier",))]


@pytest.mark.parametrize(
    ("form", "analog"),
    [
        ("vanilla", set()),
        # what reads a sum of spikes: the first stage's block adds to the stem's
        ("sew", {"stages.1.0.conv1", "stages.1.0.shortcut.0", "stages.2.0.conv1", "stages.2.0.shortcut.0"}),
        # what reads currents: no neuron is between blocks
        ("membrane", {"stages.1.0.shortcut.0", "stages.2.0.shortcut.0"}),
    ],
)
def test_convolutions_that_see_no_spikes_count_macs(form: str, analog: set[str]) -> None:
    network = resnet(shortcut=form)
    x_TBCHW = torch.rand(4, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    recalibrate_batch_norm_(network, [x_TBCHW])
    report = measure_synops(network, [x_TBCHW])
    found = {name for name, layer in report.layers.items() if layer.analog}
    assert found == analog | {"stem.0", "classifier"}  # pixels, and pooled spikes
    assert all(layer.operations > 0 for layer in report.layers.values())


@pytest.mark.parametrize(
    ("shortcut", "hint"),
    [("swe", "Did you mean 'sew'?"), ("identity", "Known names: membrane, sew, vanilla."), ("", "Known names: ")],
)
def test_an_unknown_shortcut_is_refused(shortcut: str, hint: str) -> None:
    with pytest.raises(NetworkError) as error:
        resnet(shortcut=shortcut)
    assert str(error.value).startswith(f"No network.options.shortcut is called {shortcut!r}. {hint}")


@pytest.mark.parametrize("size", [1, 2, 5, 8, 31])
def test_any_square_image_is_pooled_to_one_pixel(size: int) -> None:
    network = resnet(image_size=size)
    with torch.no_grad():
        assert network(torch.rand(2, 1, 1, size, size)).shape == (2, 1, 10)
