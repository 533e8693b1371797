"""Activity worked by hand: LIF neurons, V = v / 2 + x, spike at 1, back to 0 (or down by 1).

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from contextlib import nullcontext

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.activity import ActivityMeter
from lightning_snn.forward import step_mode


def lif(v_reset: float | None = 0.0) -> neuron.LIFNode:
    return neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=v_reset)


def network(mode: str = "m", v_reset: float | None = 0.0) -> nn.Module:
    net = nn.Sequential(lif(v_reset))
    functional.set_step_mode(net, mode)
    return net


def show(net: nn.Module, x_TBC: Tensor) -> None:
    functional.reset_net(net)
    if step_mode(net) == "m":
        net(x_TBC)
    else:
        for x_BC in x_TBC:
            net(x_BC)


# Per step: 0.75 gives V = 0.75, 1.125 (spike, 0), 0.75; -0.5 gives -0.5, -0.75, -0.875; 1.5 spikes always; 0 is still.
X_TBC = torch.tensor([0.75, -0.5, 1.5, 0.0]).expand(3, 1, 4)
MEANS = [(0.75 + 1.0 + 0.75) / 3, (0.5 + 0.75 + 0.875) / 3, 1.0, 0.0]


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("training", [False, True])
def test_activity_is_spikes_plus_absolute_potential_after_the_reset(mode: str, training: bool) -> None:
    net = network(mode).train(training)
    with ActivityMeter(net) as meter:
        show(net, X_TBC)
    means = meter.means()
    assert means["0"].dtype == torch.float64
    assert means["0"].tolist() == pytest.approx(MEANS, abs=1e-12)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_soft_reset_leaves_what_exceeds_the_threshold(mode: str) -> None:
    net = network(mode, v_reset=None).eval()
    with ActivityMeter(net) as meter:
        show(net, X_TBC[:2])
    # 0.75: V = 0.75, 1.125 - 1; 1.5: V = 1.5 - 1, 0.25 + 1.5 - 1
    expected = [(0.75 + 1 + 0.125) / 2, (0.5 + 0.75) / 2, (1 + 0.5 + 1 + 0.75) / 2, 0.0]
    assert meter.means()["0"].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_the_mean_runs_over_rows_and_columns_and_every_sample_weighs_the_same(mode: str) -> None:
    net = network(mode).eval()
    x_TBCHW = torch.zeros(1, 1, 2, 2, 2)
    x_TBCHW[0, 0, 0, 0, 1] = 0.5
    x_TBCHW[0, 0, 1] = 2.0
    with ActivityMeter(net) as meter:
        show(net, x_TBCHW)
        show(net, torch.zeros(1, 3, 2, 2, 2))
    assert meter.means()["0"].tolist() == [0.5 / 4 / 4, 1.0 / 4]


def test_layers_are_named_in_order_of_execution() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.first = lif(), lif()

        def forward(self, x_TBC: Tensor) -> Tensor:
            y_TBC: Tensor = self.second(self.first(x_TBC))
            return y_TBC

    net = Backwards().eval()
    functional.set_step_mode(net, "m")
    with ActivityMeter(net) as meter:
        net(X_TBC)
    means = meter.means()
    assert list(means) == ["first", "second"]
    assert means["first"].tolist() == pytest.approx(MEANS, abs=1e-12)
    # The first one's spikes, 0 1 0 and 0 0 0 and 1 1 1 and 0 0 0, make the second spike at once.
    assert means["second"].tolist() == pytest.approx([1 / 3, 0, 1, 0], abs=1e-12)


def test_validation_can_be_left_out() -> None:
    net = network()
    with ActivityMeter(net, training_only=True) as meter:
        show(net.train(), X_TBC)
        show(net.eval(), 2.0 * torch.ones(3, 5, 4))
        assert meter.means()["0"].tolist() == pytest.approx(MEANS, abs=1e-12)
        show(net.train(), torch.zeros(3, 1, 4))
    assert meter.means()["0"].tolist() == pytest.approx([mean / 2 for mean in MEANS], abs=1e-12)


def test_cleared_means_start_anew() -> None:
    net = network().eval()
    with ActivityMeter(net) as meter:
        show(net, 2.0 * torch.ones(3, 5, 4))
        meter.clear()
        assert meter.means() == {}
        show(net, X_TBC)
    assert meter.means()["0"].tolist() == pytest.approx(MEANS, abs=1e-12)


def test_watching_changes_no_output_and_no_gradient() -> None:
    found = []
    for watched in (False, True):
        net, x_TBC = network().train(), X_TBC.clone().requires_grad_()
        if watched:
            with ActivityMeter(net) as meter:
                spikes_TBC = net(x_TBC)
            assert not meter.means()["0"].requires_grad
        else:
            spikes_TBC = net(x_TBC)
        spikes_TBC.sum().backward()
        found.append((spikes_TBC.tolist(), x_TBC.grad.tolist()))  # type: ignore[union-attr]  # backward made it
    assert found[0] == found[1]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_left_as_it_was(stored: bool, fails: bool) -> None:
    net = network().eval()
    (neurons,) = (module for module in net.modules() if isinstance(module, neuron.LIFNode))
    neurons.store_v_seq = stored
    meter = ActivityMeter(net)
    with pytest.raises(OSError, match="disk") if fails else nullcontext(), meter:
        assert neurons.store_v_seq
        show(net, X_TBC)
        if fails:
            raise OSError("disk")
    assert neurons.store_v_seq is stored
    assert not neurons._forward_hooks
    show(net, 2.0 * X_TBC)  # no longer seen
    assert meter.means()["0"].tolist() == pytest.approx(MEANS, abs=1e-12)
