"""The penalty is the authors' subgradient; the threshold is one for all layers; tied channels by their mean."""

import pytest
import torch
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners.slimming import Slimming
from tests.lightning_snn.pruners.test_sca import bench_for
from tests.lightning_snn.pruners.test_sca import train
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg


def test_the_penalty_is_added_to_the_gradient_of_scales_alone() -> None:
    network = tiny_vgg()
    with torch.no_grad():
        network.features[1].weight.copy_(torch.tensor([0.5, -0.5, 0.0, 2.0]))
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 0.25)

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

    slimming = Slimming(bench=bench_for(tiny_vgg()), l1=0.125)
    slimming.on_before_optimizer_step(None, Module(), None)  # type: ignore[arg-type]  # it looks at modules alone
    assert network.features[1].weight.grad.tolist() == [0.375, 0.125, 0.25, 0.375]
    for name in ("features.1.bias", "features.0.weight", "classifier.weight"):
        assert (network.get_parameter(name).grad == 0.25).all()


def test_scales_shrink_by_the_penalty() -> None:
    """Same training with and without: a strong penalty leaves smaller scales."""
    sizes = []
    for l1 in (0.0, 0.2):
        network = tiny_vgg()
        train(network, Slimming(bench=bench_for(tiny_vgg()), l1=l1), epochs=2)
        sizes.append(float(network.features[1].weight.detach().abs().sum()))
    assert sizes[1] < 0.8 * sizes[0]


def test_one_threshold_for_all_layers() -> None:
    """Keep 5 of 8: the largest |gamma|, whatever their layer, are 4, 3, 2.5 of the first and 5, 2 of the second."""
    network = tiny_vgg()
    with torch.no_grad():
        network.features[1].weight.copy_(torch.tensor([-4.0, 1.0, 2.5, 3.0]))
        network.features[4].weight.copy_(torch.tensor([0.5, 5.0, -0.1, 2.0]))
    pruned = Slimming(bench=bench_for(tiny_vgg()), keep=5 / 8).prune(network)
    assert torch.equal(pruned.network.features[0].weight, network.features[0].weight[[0, 2, 3]])
    assert pruned.network.features[1].weight.tolist() == [-4.0, 2.5, 3.0]
    assert pruned.network.features[4].weight.tolist() == [5.0, 2.0]


def test_each_group_keeps_its_best_channel() -> None:
    network = tiny_vgg()
    with torch.no_grad():
        network.features[4].weight.copy_(torch.tensor([0.1, 0.2, 0.4, 0.3]))
        network.features[1].weight.fill_(7.0)
    pruned = Slimming(bench=bench_for(tiny_vgg()), keep=0.5).prune(network)
    assert pruned.network.features[4].weight.tolist() == [pytest.approx(0.4)]
    assert len(pruned.network.features[1].weight) == 3  # of equal ones the first


def test_tied_channels_are_ranked_by_the_mean_and_others_stay() -> None:
    """Means of bn1 and bn2: 2, 3, 1, 2.5; conv3 has no batch norm and keeps its two. Keep 4 of 6."""
    network = residual()
    with torch.no_grad():
        network.bn1.weight.copy_(torch.tensor([4.0, 1.0, 1.0, 2.5]))
        network.bn2.weight.copy_(torch.tensor([0.0, -5.0, 1.0, 2.5]))
    pruned = Slimming(bench=bench_for(residual(), 8), keep=4 / 6).prune(network)
    assert pruned.network.bn1.weight.tolist() == [1.0, 2.5]
    assert pruned.network.bn2.weight.tolist() == [-5.0, 2.5]
    assert pruned.network.conv3.out_channels == 2
    assert pruned.notes["skipped"] == {"conv3": "it has no batch norm"}


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(PruningError, match="l1 must lie between 0 and 1, found -1"):
        Slimming(bench=bench_for(tiny_vgg()), l1=-1.0)
