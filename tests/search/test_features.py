"""Each column of the layer features, by hand, on a network of two convolutions and two linear layers.

Axes: T time steps, B batch, C channels, H rows, W columns, L groups, F features.
"""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import nn

from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import SynOpsReport
from lightning_snn.synops import measure_synops
from search.features import Floats
from search.features import layer_features

Case = tuple[nn.Module, ChannelPlan, SynOpsReport]


@pytest.fixture(scope="module")
def case() -> Case:
    torch.manual_seed(0)
    network = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1),
        neuron.LIFNode(v_threshold=0.2),
        layer.Conv2d(4, 12, 5, stride=2, padding=2),
        neuron.LIFNode(v_threshold=0.1),
        layer.Flatten(),
        layer.Linear(12 * 16, 8),
        neuron.LIFNode(v_threshold=0.05),
        layer.Linear(8, 3),
    )
    functional.set_step_mode(network, "m")
    x_TBCHW = torch.rand(2, 3, 2, 8, 8)
    report = measure_synops(network, [x_TBCHW])
    assert all(each.input_rate > 0.0 for each in report.layers.values())
    return network, ChannelPlan.trace(network, x_TBCHW), report


@pytest.fixture(scope="module")
def features_LF(case: Case) -> Floats:
    return layer_features(*case)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (0, [0.0, 0.5, 1.0]),  # position
        (1, [0.0, 0.0, 1.0]),  # linear or not
        (2, [0.0, 2 / 190, 1.0]),  # 2, 4 and 192 channels in
        (3, [0.0, 1.0, 0.5]),  # 4, 12 and 8 channels out
        (4, [0.0, 1.0, 0.0]),  # stride 1, 2, 1
        (5, [2 / 4, 1.0, 0.0]),  # kernel 3, 5, 1
    ],
)
def test_geometry_is_scaled_to_the_unit_interval(features_LF: Floats, column: int, expected: list[float]) -> None:
    assert_allclose(features_LF[:, column], expected)


def test_operations_a_channel_are_those_of_a_dense_layer(features_LF: Floats) -> None:
    """Two steps; borders of the first by hand: 3 * 8 - 2 = 22 taps an axis; of the second 3 + 5 + 5 + 4 = 17."""
    per_channel = np.array([2 * 2 * 22**2, 2 * 4 * 17**2, 2 * 192])
    assert_allclose(features_LF[:, 6], (per_channel - per_channel.min()) / np.ptp(per_channel))


def test_shares_and_rates_are_those_of_the_measurement(case: Case, features_LF: Floats) -> None:
    _, _, report = case
    first, second, third, last = report.layers.values()
    caused = np.array([second.operations, third.operations, last.operations])
    assert_allclose(features_LF[:, 7], (caused - caused.min()) / np.ptp(caused))
    rates = np.array([first.input_rate, second.input_rate, third.input_rate])
    assert_allclose(features_LF[:, 8], (rates - rates.min()) / np.ptp(rates))


def test_every_column_lies_between_zero_and_one_and_one_group_is_all_zero(case: Case, features_LF: Floats) -> None:
    assert features_LF.shape == (3, 9)
    assert (features_LF.min(axis=0) == 0.0).all()
    assert (features_LF.max(axis=0) == 1.0).all()
    network = nn.Sequential(layer.Flatten(), layer.Linear(4, 6), neuron.LIFNode(v_threshold=0.01), layer.Linear(6, 2))
    functional.set_step_mode(network, "m")
    x_TBCHW = torch.rand(1, 2, 1, 2, 2)
    alone_LF = layer_features(network, ChannelPlan.trace(network, x_TBCHW), measure_synops(network, [x_TBCHW]))
    assert_allclose(alone_LF, np.zeros((1, 9)))
