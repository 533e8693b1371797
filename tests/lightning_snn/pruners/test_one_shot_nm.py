"""N:M masks on a trained network; which layers take them, and what is refused by all N:M pruners.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from types import MappingProxyType

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.one_shot_nm import MagnitudeNM
from lightning_snn.pruners.one_shot_nm import RandomNM
from lightning_snn.pruners.spike_nm import SpikeNM
from lightning_snn.pruners.sr_ste import SRSTE
from tests.lightning_snn.pruners.conformance import PrunerConformance
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import make_bench
from tests.lightning_snn.pruners.conformance import weights


class TestMagnitude(PrunerConformance):
    name = "magnitude_nm"
    target = None
    options = MappingProxyType({"n": 1})


class TestMagnitudeFlat(TestMagnitude):
    options = MappingProxyType({"n": 2, "m": 8, "blocks": "flat"})


class TestRandom(PrunerConformance):
    name = "random_nm"
    target = None
    options = MappingProxyType({"m": 8})


class Backwards(nn.Module):
    """Its layers run in the opposite order of their names; inputs of 4, 6 and 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a_head = layer.Linear(8, 2)
        self.b_second = layer.Conv2d(6, 8, 1)
        self.c_first = layer.Conv2d(4, 6, 1)
        self.lif1, self.lif2, self.flatten = neuron.LIFNode(), neuron.LIFNode(), layer.Flatten()
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        hidden_TBCHW = self.lif2(self.b_second(self.lif1(self.c_first(x_TBCHW))))
        logits_TBK: Tensor = self.a_head(self.flatten(hidden_TBCHW))
        return logits_TBK


def backwards_bench() -> Bench:
    x_TBCHW = torch.ones(2, 1, 4, 1, 1)
    return Bench(batches=[x_TBCHW], example=x_TBCHW, seed=0, dense_synops=1.0)


def test_magnitudes_by_hand() -> None:
    network = Backwards()
    with torch.no_grad():
        network.a_head.weight[0] = torch.tensor([0.1, -3.0, 2.0, 0.2, 1.0, 1.0, -1.0, 0.0])
    pruned = MagnitudeNM(bench=backwards_bench()).prune(network)
    assert weights(pruned.network)["a_head"][0].tolist() == [0.0, -3.0, 2.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert torch.equal(weights(pruned.network)["b_second"], weights(network)["b_second"])
    assert torch.equal(weights(pruned.network)["c_first"], weights(network)["c_first"])
    assert list(pruned.masks) == ["a_head"]
    assert set(pruned.dense_masks) == {"a_head", "b_second", "c_first"}
    assert pruned.dense_masks["b_second"].all()


def test_what_is_skipped_is_said_with_its_reason() -> None:
    notes = MagnitudeNM(bench=backwards_bench(), n=1, m=4).prune(Backwards()).notes
    assert notes == {
        "pattern": "1:4",
        "blocks": "channels",
        "skipped": {"c_first": "it sees the input", "b_second": "its rows of 6 weights are no multiple of 4"},
    }


def test_choosing_leaves_the_mode_of_training_alone() -> None:
    network = Backwards().train()
    network.lif1.eval()
    MagnitudeNM(bench=backwards_bench()).choose(network)
    assert (network.training, network.lif1.training, network.lif2.training) == (True, False, True)


def test_nothing_to_prune() -> None:
    with pytest.raises(PruningError, match=r"No layer of Backwards takes the pattern 2:5 along 'channels' \(a_head: "):
        MagnitudeNM(bench=backwards_bench(), m=5).prune(Backwards())


def test_chance_hits_every_place_alike_and_differs_by_seed_and_layer() -> None:
    masks = [RandomNM(bench=make_bench(seed)).prune(dense_network()).masks for seed in (0, 0, 1)]
    assert all(torch.equal(mask, masks[1][name]) for name, mask in masks[0].items())
    assert not any(torch.equal(mask, masks[2][name]) for name, mask in masks[0].items())
    first, second = (RandomNM(bench=make_bench()).scores(torch.empty(4, 4), index) for index in (0, 1))
    assert not torch.equal(first, second)
    conv = RandomNM(bench=make_bench()).pattern.split(masks[0]["features.3"]).double()  # 144 blocks
    assert bool((conv.sum(1) == 2.0).all())
    assert conv.mean(0).tolist() == pytest.approx([0.5] * 4, abs=4 * 0.5 / 12)


@pytest.mark.parametrize("pruner", [MagnitudeNM, RandomNM, SRSTE, SpikeNM])
def test_a_target_is_refused(pruner: type[MagnitudeNM]) -> None:
    with pytest.raises(PruningError, match=r"pruning\.options\.n and pruning\.options\.m: found pruning\.target=0\.5"):
        pruner(bench=make_bench(), target=0.5)
    with pytest.raises(PruningError, match=r"found pruning\.options\.n=4 and"):
        pruner(bench=make_bench(), n=4)
