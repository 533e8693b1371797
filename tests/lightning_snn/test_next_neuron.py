"""Which neurons a layer drives: behind batch norms, pools and residual additions, in either step mode."""

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import nn

from lightning_snn._next_neuron import next_neurons
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg


@pytest.mark.parametrize("mode", ["m", "s"])
def test_a_row_of_layers(mode: str) -> None:
    network = tiny_vgg()
    functional.set_step_mode(network, mode)
    found = next_neurons(network, torch.rand(3, 2, 1, 4, 4))
    assert found == {"features.0": "features.2", "features.3": "features.5", "classifier": None}


@pytest.mark.parametrize("mode", ["m", "s"])
def test_a_pool_may_lie_between_and_a_readout_has_none(mode: str) -> None:
    """The readout has as many outputs as the first neurons have channels: in a second step it would meet them."""
    network = nn.Sequential(
        layer.Conv2d(1, 3, 3, padding=1), layer.AvgPool2d(2), neuron.IFNode(), layer.Flatten(), layer.Linear(12, 3)
    )
    functional.set_step_mode(network, mode)
    assert next_neurons(network, torch.rand(3, 2, 1, 4, 4)) == {"0": "2", "4": None}


def test_neurons_behind_an_addition_belong_to_its_last_layer() -> None:
    found = next_neurons(residual(), torch.rand(2, 1, 1, 8, 8))
    assert found == {"conv1": "lif1", "conv2": "lif2", "conv3": "lif3", "head": None}


def test_neurons_behind_a_shortcut_belong_to_both_layers() -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.straight = layer.Conv2d(1, 2, 3, padding=1)
            self.around = layer.Conv2d(1, 2, 1)
            self.lif = neuron.LIFNode()
            functional.set_step_mode(self, "m")

        def forward(self, x_TBCHW: torch.Tensor) -> torch.Tensor:
            spikes_TBCHW: torch.Tensor = self.lif(self.straight(x_TBCHW) + self.around(x_TBCHW))
            return spikes_TBCHW

    assert next_neurons(Shortcut(), torch.rand(2, 1, 1, 4, 4)) == {"straight": "lif", "around": "lif"}


def test_nothing_stays_behind() -> None:
    network = tiny_vgg()
    next_neurons(network, torch.rand(1, 1, 1, 4, 4))
    assert not any(module._forward_hooks for module in network.modules())
    assert all(not isinstance(getattr(module, "v", 0.0), torch.Tensor) for module in network.modules())
