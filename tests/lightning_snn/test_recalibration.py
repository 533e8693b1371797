"""Statistics are those of a NumPy network, written down from the equations.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.recalibration import recalibrate_batch_norm_

Floats = NDArray[np.float64]
GAMMA_C, BETA_C = np.array([1.5, -1.0]), np.array([0.4, 0.6])


class Net(nn.Module):
    """A batch norm on the input, and one on spikes after dropout; statistics from a former life."""

    def __init__(self) -> None:
        super().__init__()
        self.of_input = layer.BatchNorm2d(2, momentum=0.3)
        self.lif = neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0)
        self.dropout = layer.Dropout(0.9)
        self.of_spikes = layer.BatchNorm2d(2, momentum=None)
        self.flatten = layer.Flatten()
        functional.set_step_mode(self, "m")
        self.double()
        with torch.no_grad():
            self.of_input.weight.copy_(torch.from_numpy(GAMMA_C))
            self.of_input.bias.copy_(torch.from_numpy(BETA_C))
            for norm in (self.of_input, self.of_spikes):
                norm.running_mean.fill_(99.0)
                norm.running_var.fill_(77.0)
                norm.num_batches_tracked.fill_(5)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.flatten(self.of_spikes(self.dropout(self.lif(self.of_input(x_TBCHW)))))
        return logits_TBK


def batches() -> list[Tensor]:
    """Batches of three, three and one sample: a plain mean weighs them alike."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, size, 2, 3, 3, generator=generator, dtype=torch.float64) * 2 for size in (3, 3, 1)]


def statistics(x_NCHW: Floats) -> Floats:
    """Mean and unbiased variance of each channel, ``[2, C]``."""
    x_CN = np.moveaxis(x_NCHW, 1, 0).reshape(x_NCHW.shape[1], -1)
    return np.stack([x_CN.mean(axis=1), x_CN.var(axis=1, ddof=1)])


def normalised(x_NCHW: Floats) -> Floats:
    """Batch norm in training: with the batch's own mean and biased variance."""
    mean, var = x_NCHW.mean(axis=(0, 2, 3), keepdims=True), x_NCHW.var(axis=(0, 2, 3), keepdims=True)
    y_NCHW: Floats = (x_NCHW - mean) / np.sqrt(var + 1e-5) * GAMMA_C[:, None, None] + BETA_C[:, None, None]
    return y_NCHW


def fired(drive_TBCHW: Floats) -> Floats:
    """LIF from rest: v <- v / 2 + drive, spike at 1, back to 0."""
    spikes_TBCHW, v = np.zeros_like(drive_TBCHW), np.zeros(drive_TBCHW.shape[1:])
    for t, drive in enumerate(drive_TBCHW):
        v = v / 2 + drive
        spikes_TBCHW[t] = v >= 1
        v[v >= 1] = 0
    return spikes_TBCHW


def test_statistics_are_the_plain_mean_over_batches() -> None:
    net = Net()
    recalibrate_batch_norm_(net, batches())
    of_input, of_spikes = [], []
    for x_TBCHW in (x.numpy() for x in batches()):
        of_input.append(statistics(x_TBCHW.reshape(-1, 2, 3, 3)))  # over time and batch jointly
        spikes_TBCHW = fired(normalised(x_TBCHW.reshape(-1, 2, 3, 3)).reshape(x_TBCHW.shape))  # no dropout
        of_spikes.append(statistics(spikes_TBCHW.reshape(-1, 2, 3, 3)))
    assert np.mean(of_spikes, axis=0)[0].min() > 0.2
    for norm, found in ((net.of_input, of_input), (net.of_spikes, of_spikes)):
        expected = np.mean(found, axis=0)
        assert np.allclose(norm.running_mean.numpy(), expected[0], rtol=0, atol=1e-12)
        assert np.allclose(norm.running_var.numpy(), expected[1], rtol=0, atol=1e-12)


def test_in_single_step_mode_every_step_is_a_batch() -> None:
    net = Net()
    functional.set_step_mode(net, "s")
    recalibrate_batch_norm_(net, batches())
    expected = np.mean([statistics(x_BCHW.numpy()) for x_TBCHW in batches() for x_BCHW in x_TBCHW], axis=0)
    assert np.allclose(net.of_input.running_mean.numpy(), expected[0], rtol=0, atol=1e-12)
    assert np.allclose(net.of_input.running_var.numpy(), expected[1], rtol=0, atol=1e-12)


def test_running_it_twice_changes_nothing() -> None:
    net = Net()
    recalibrate_batch_norm_(net, batches())
    once = [value.clone() for value in net.state_dict().values()]
    recalibrate_batch_norm_(net, batches())
    assert all(torch.equal(a, b) for a, b in zip(once, net.state_dict().values(), strict=True))


def test_only_statistics_change() -> None:
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recalibrate_batch_norm_(net, batches())
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"{norm}.{name}"
        for norm in ("of_input", "of_spikes")
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert all(parameter.grad is None for parameter in net.parameters())
    assert_left_in_order(net)


def test_without_batches_all_stays_as_it_was() -> None:
    net = Net()
    before = [value.clone() for value in net.state_dict().values()]
    recalibrate_batch_norm_(net, [])
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert_left_in_order(net)


def test_data_that_fail_halfway_leave_the_network_in_order() -> None:
    def broken() -> Iterator[Tensor]:
        yield batches()[0]
        raise OSError("disk")

    net = Net()
    with pytest.raises(OSError, match="disk"):
        recalibrate_batch_norm_(net, broken())
    assert_left_in_order(net)


def assert_left_in_order(net: Net) -> None:
    """Evaluation mode, clean neurons, momenta as they were."""
    assert not any(module.training for module in net.modules())
    assert net.lif.v == 0.0
    assert (net.of_input.momentum, net.of_spikes.momentum) == (0.3, None)
