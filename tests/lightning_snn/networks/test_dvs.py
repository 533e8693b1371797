"""Layers and sizes of the networks for event frames; every member keeps the promises of a family."""

from typing import Any

import pytest
import torch
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.networks import build_network
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.synops import measure_synops
from tests.lightning_snn.networks.conformance import NetworkConformance


class TestDVSCompact(NetworkConformance):
    family = "dvs_compact"
    natural = (2, 34, 34)
    other = (1, 20, 20)


class TestConv5FC1(NetworkConformance):
    family = "conv5_fc1"
    natural = (2, 48, 48)
    other = tested = (2, 32, 32)


class TestVGGSNN(NetworkConformance):
    family = "vggsnn"
    natural = (2, 48, 48)
    other = tested = (2, 16, 16)


def network_for(name: str, **options: Any) -> nn.Module:
    return build_network(name, num_classes=10, in_channels=2, **options)


@pytest.mark.parametrize(
    ("name", "widths", "pools_after", "pool", "features"),
    [
        ("dvs_compact", [16, 32, 64, 128], [1, 2, 3, 4], "MaxPool2d", 128 * 2 * 2),  # 34, 17, 8, 4, 2
        ("conv5_fc1", [64, 128, 128, 256, 256], [1, 2, 3, 4, 5], "AvgPool2d", 256),  # 48, 24, 12, 6, 3, 1
        ("vggsnn", [64, 128, 256, 256, 512, 512, 512, 512], [2, 4, 6, 8], "AvgPool2d", 512 * 3 * 3),
    ],
)
def test_layers_are_those_of_the_plan(
    name: str, widths: list[int], pools_after: list[int], pool: str, features: int
) -> None:
    network = network_for(name)
    expected = []
    for position in range(1, len(widths) + 1):
        expected += ["Conv2d", "BatchNorm2d", "LIFNode"] + [pool] * (position in pools_after)
    assert [type(module).__name__ for module in network.get_submodule("features").children()] == expected
    assert [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)] == widths
    head = network.get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features) == (features, 10)


def test_convolutions_behind_an_average_pool_count_macs() -> None:
    network = network_for("vggsnn", image_size=16)
    x_TBCHW = torch.randint(2, (2, 2, 2, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    recalibrate_batch_norm_(network, [x_TBCHW])
    report = measure_synops(network, [x_TBCHW])
    # convolutions 0 and 1, pool, 2 and 3, pool, 4 and 5, pool, 6 and 7, pool
    convolutions = [name for name in report.layers if name != "classifier"]
    assert [report.layers[name].analog for name in convolutions] == [False, False] + [True, False] * 3
    assert report.layers["classifier"].analog


@pytest.mark.parametrize(("name", "smallest"), [("dvs_compact", 16), ("conv5_fc1", 32), ("vggsnn", 16)])
def test_frames_that_are_too_small_are_refused(name: str, smallest: int) -> None:
    with pytest.raises(NetworkError, match=f"needs {smallest} pixels a side, found {smallest - 1}"):
        network_for(name, image_size=smallest - 1)
    network_for(name, image_size=smallest)
