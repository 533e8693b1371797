"""A context with a real network behind it, of the groups of the conformance tests."""

import copy
from dataclasses import replace

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.surgery import ChannelPlan
from search.space import SearchContext
from tests.search.strategies.conformance import WIDTHS
from tests.search.strategies.conformance import make_context

EXAMPLE = torch.rand(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Chain(nn.Module):
    """Three convolutions whose names are those of the groups."""

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        channels = 1
        for name, width in WIDTHS.items():
            number = int(name.removeprefix("features."))
            layers[str(number)] = layer.Conv2d(channels, width, 3, padding=1, bias=False)
            layers[str(number + 1)] = norm = layer.BatchNorm2d(width)
            nn.init.constant_(norm.bias, 0.5)  # an untrained network would be silent
            layers[str(number + 2)] = neuron.LIFNode(decay_input=False, detach_reset=True)
            channels = width
        self.features = nn.ModuleDict(layers)
        self.head = nn.Sequential(layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(channels, 3))
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        for module in self.features.values():
            x_TBCHW = module(x_TBCHW)
        logits_TBK: Tensor = self.head(x_TBCHW)
        return logits_TBK


def network_context(evaluations: int = 12) -> SearchContext:
    """The context of the conformance tests, with network and training samples."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Chain()
    noise = torch.Generator().manual_seed(1)
    batches = [(torch.rand(2, 6, 1, 4, 4, generator=noise), torch.tensor([0, 1, 2, 0, 1, 2])) for _ in range(2)]
    plan = ChannelPlan.trace(network, EXAMPLE)
    return replace(
        make_context(evaluations),
        groups=plan.groups,
        plan=plan,
        fresh_network=lambda: copy.deepcopy(network),
        batches=lambda: batches,
    )
