"""Operations counted by hand: networks of one live weight per feature, where every spike costs one operation.

Axes: T time steps, B batch, J features.
"""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils import prune

from lightning_snn.forward import run_network
from lightning_snn.synops import SynOpsMeter
from lightning_snn.synops import measure_synops


def identity(features: int) -> layer.Linear:
    """Each feature passes a spike on to itself alone: one live weight per feature."""
    module = layer.Linear(features, features, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.eye(features))
    return module


class Passing(nn.Sequential):
    """Layers of ``[T, B, J]`` for tests with counts by hand; neurons fire once for each input of 1."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__(*modules, neuron.IFNode())
        functional.set_step_mode(self, "m")


class Residual(nn.Module):
    """SEW-ADD: the spikes of a branch are added to those of the shortcut, so that 2 occurs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch, self.last = identity(4), identity(4), identity(4)
        self.fire, self.fire_branch = neuron.IFNode(), neuron.IFNode()
        functional.set_step_mode(self, "m")

    def forward(self, x_TBJ: Tensor) -> Any:
        spikes_TBJ = self.fire(self.first(x_TBJ))
        return self.last(spikes_TBJ + self.fire_branch(self.branch(spikes_TBJ)))


def test_every_sample_weighs_the_same() -> None:
    network = Passing(identity(4))
    active, silent = torch.ones(2, 1, 4), torch.zeros(2, 3, 4)
    report = measure_synops(network, [active, silent], first_layer="add")
    assert report.samples == 4
    assert report.total == 2 * 4 / 4  # one sample in four does 4 operations in each of 2 steps
    assert report.layers["0"].input_rate == 1 / 4
    assert report.dense == 2 * 16


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_standard_error_is_that_of_the_samples(step_mode: str) -> None:
    network = Passing(identity(4))
    functional.set_step_mode(network, step_mode)
    x_TBJ = torch.zeros(3, 3, 4)
    x_TBJ[:, 0, 0] = 1.0  # sample 0: one spike a step
    x_TBJ[2, 1, :] = 1.0  # sample 1: four spikes, all in the last step
    report = measure_synops(network, [x_TBJ[:, :2], x_TBJ[:, 2:]], first_layer="add")
    assert report.total == pytest.approx((3 + 4 + 0) / 3)
    mean = 7 / 3
    deviation = math.sqrt(((3 - mean) ** 2 + (4 - mean) ** 2 + mean**2) / 2)
    assert report.standard_error == pytest.approx(deviation / math.sqrt(3))
    assert math.isnan(measure_synops(network, [x_TBJ[:, :1]]).standard_error)


def test_channel_operations_are_those_of_the_channel() -> None:
    network = Passing(identity(4))
    with torch.no_grad():
        network.get_parameter("0.weight")[1:, 2] = 1.0  # feature 2 reaches features 1, 2 and 3
    x_TBJ = torch.zeros(2, 2, 4)
    x_TBJ[0, 0] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    entry = measure_synops(network, [x_TBJ]).layers["0"]
    np.testing.assert_array_equal(entry.channel_operations, [0.5, 0.0, 1.5, 0.0])
    assert entry.connectivity == 6 / 16


def test_mask_of_prune_and_of_a_parametrisation_is_seen() -> None:
    class Masked(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * torch.tensor([1.0, 0.0, 0.0, 1.0])

    parametrised, pruned = layer.Linear(4, 4), layer.Linear(4, 4)
    parametrize.register_parametrization(parametrised, "weight", Masked())
    prune.random_unstructured(pruned, "weight", amount=12)  # type: ignore[no-untyped-call]  # PyTorch's, untyped
    for module, live in ((parametrised, 8), (pruned, 4)):
        report = measure_synops(Passing(module), [torch.ones(1, 1, 4)], first_layer="add")
        assert report.total == live
        assert report.layers["0"].connectivity == live / 16


def test_weights_zeroed_between_two_blocks_are_seen() -> None:
    network = Passing(identity(4))
    meter = SynOpsMeter(network, first_layer="add")
    for live in (4, 2):
        with torch.no_grad(), meter:
            network.get_parameter("0.weight")[live:] = 0.0
            meter.start_batch(1, 1)
            run_network(network, torch.ones(1, 1, 4))
    assert meter.report().total == (4 + 2) / 2


@pytest.mark.parametrize("order", list(range(3)))
def test_one_analog_value_decides_the_column_for_the_whole_measurement(order: int) -> None:
    batches = [torch.ones(1, 1, 4), torch.zeros(1, 1, 4), torch.tensor([[[0.0, 0.0, 0.5, 0.0]]])]
    report = measure_synops(Passing(identity(4)), batches[order:] + batches[:order])
    assert report.layers["0"].analog
    assert report.accumulates == 0
    assert report.macs == pytest.approx(5 / 3)


def test_silence_is_binary_and_costs_nothing() -> None:
    report = measure_synops(Passing(identity(4)), [torch.zeros(2, 3, 4)], first_layer="add")
    assert (report.total, report.accumulates, report.macs, report.dense) == (0, 0, 0, 32)
    assert not report.layers["0"].analog
    assert report.layers["0"].input_rate == 0
    assert report.standard_error == 0


def test_summed_spikes_of_a_shortcut_count_as_macs_in_the_total() -> None:
    x_TBJ = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])
    report = measure_synops(Residual(), [x_TBJ])
    assert [(name, entry.accumulates, entry.macs) for name, entry in report.layers.items()] == [
        ("first", 3, 0),
        ("branch", 3, 0),
        ("last", 0, 3),  # values 2, yet one operation each
    ]
    assert (report.total, report.accumulates, report.macs) == (6, 6, 3)


def test_hidden_analog_operations_can_stay_apart_with_one_warning() -> None:
    network, x_TBJ = Residual(), torch.ones(1, 1, 4)
    meter = SynOpsMeter(network, analog_hidden="apart")
    with torch.no_grad(), meter:
        meter.start_batch(1, 1)
        run_network(network, x_TBJ)
    with pytest.warns(UserWarning, match="33% of all operations") as caught:
        reports = [meter.report(), meter.report()]
    assert len(caught) == 1
    assert all((report.total, report.macs) == (4, 4) for report in reports)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure_synops(network, [x_TBJ])  # in the total: nothing to warn of
        measure_synops(Passing(identity(4), identity(4)), [x_TBJ], analog_hidden="apart")
        measure_synops(Passing(identity(4)), [x_TBJ / 2], analog_hidden="apart")  # the first layer may be analog


def test_layer_called_twice_counts_twice() -> None:
    shared = identity(4)
    report = measure_synops(Passing(shared, neuron.IFNode(), shared), [torch.ones(2, 1, 4)], first_layer="add")
    assert list(report.layers) == ["0"]
    assert (report.total, report.dense) == (2 * 2 * 4, 2 * 2 * 16)


def test_counts_beyond_float32_are_exact() -> None:
    features = 4097
    wide = layer.Linear(features, features, bias=False)
    nn.init.ones_(wide.weight)
    report = measure_synops(Passing(wide), [torch.ones(1, 1, features)], first_layer="add")
    assert report.total == features**2 == 16_785_409  # odd and above 2 ** 24: no float32
