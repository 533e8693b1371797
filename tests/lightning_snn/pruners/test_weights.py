"""How many weights live: exactly the sparsity asked for, or as many as the target allows."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import weight_norm

from lightning_snn._fan_out import weighted_layers
from lightning_snn.errors import NetworkError
from lightning_snn.errors import PruningError
from lightning_snn.errors import SurgeryError
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners._weights import WeightPruner
from lightning_snn.pruners.masks import apply_masks_
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import live
from tests.lightning_snn.pruners.conformance import make_bench
from tests.lightning_snn.pruners.conformance import weights

TOTAL = 8 * 9 + 8 * 8 * 9 + 3 * 32  # two convolutions, and a linear layer behind 2 x 2 pixels


def build(name: str, **options: object) -> WeightPruner:
    pruner = build_pruner(name, bench=make_bench(), **options)  # type: ignore[arg-type]  # a target among them
    assert isinstance(pruner, WeightPruner)
    return pruner


@pytest.mark.parametrize(("sparsity", "expected"), [(0.5, 372), (0.9, 74), (0.98, 15)])
@pytest.mark.parametrize("name", ["lamp", "magnitude"])
def test_a_sparsity_is_met_exactly(name: str, sparsity: float, expected: int) -> None:
    assert TOTAL == 744 == sum(weight.numel() for weight in weights(dense_network()).values())
    pruned = build(name, sparsity=sparsity).prune(dense_network())
    assert live(pruned.network) == sum(int(mask.sum()) for mask in pruned.masks.values()) == expected


def test_rounds_prune_the_same_share_of_what_is_left() -> None:
    pruner = build("lamp", sparsity=0.75, rounds=2)
    first = pruner.prune(dense_network(), 1)
    second = pruner.prune(first.network, 2)
    assert [live(first.network), live(second.network)] == [372, 186]


@pytest.mark.parametrize("name", ["lamp", "magnitude"])
def test_one_weight_more_would_miss_the_target(name: str) -> None:
    network, bench = dense_network(), make_bench()
    pruner = build(name, target=0.4)
    count = live(pruner.prune(network).network)
    for live_weights, expected in ((count, True), (count + 1, False)):
        copied = dense_network()
        masks = pruner.allocation(network)(live_weights)
        apply_masks_(copied, masks)
        assert (bench.synops(copied) <= 0.4 * bench.dense_synops) is expected


def test_less_than_the_floor_is_refused() -> None:
    with pytest.raises(PruningError, match=r"^1% of each layer's weights stay, 8 in all, found 7 asked for\."):
        build("lamp", sparsity=0.99).prune(dense_network())  # 1 of 72, 6 of 576, 1 of 96


def test_the_dead_weights_of_a_network_stay_dead() -> None:
    network = dense_network()
    dead = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in weights(network).items()}
    dead[list(dead)[1]][:, ::2] = True
    apply_masks_(network, {name: ~mask for name, mask in dead.items()})
    alive = {name: weight != 0.0 for name, weight in weights(network).items()}
    for name in ("lamp", "magnitude", "random"):
        pruned = build(name, sparsity=0.5).prune(network)
        assert all(not (mask & ~alive[layer]).any() for layer, mask in pruned.masks.items())
        assert all(torch.equal(mask, weights(pruned.network)[layer] != 0.0) for layer, mask in pruned.masks.items())


def test_layers_get_their_shares() -> None:
    network = dense_network()
    names = list(weights(network))
    for layers, expected in (
        ("uniform", [36, 288, 48]),
        ("erk", [72, 204, 96]),  # 372 : 15 + 22 + 35 fills first and last (77.5 of 72, 180.8 of 96); the rest
    ):
        masks = build("magnitude", sparsity=0.5, layers=layers).prune(network).masks
        assert [int(masks[name].sum()) for name in names] == expected


@pytest.mark.parametrize("name", ["lamp", "magnitude_nm", "random"])
@pytest.mark.parametrize("make", [parametrizations.weight_norm, parametrizations.spectral_norm, weight_norm])
def test_weights_that_are_made_anew_are_refused(name: str, make: Callable[[nn.Module], nn.Module]) -> None:
    """A mask would be undone at the next pass, in silence."""
    network = dense_network()
    pruner = build_pruner(name, bench=make_bench())
    second = weighted_layers(network)["features.3"]
    make(second)
    with pytest.raises(PruningError, match=r"'features\.3' needs a weight that is a plain parameter, found one that"):
        pruner.accept(network)
    with pytest.raises(NetworkError, match=r"'features\.3' needs a weight"):
        apply_masks_(network, {"features.3": torch.ones_like(second.weight, dtype=torch.bool)})


def test_a_bench_refuses_what_torch_cannot_copy() -> None:
    network = dense_network()
    weight_norm(weighted_layers(network)["features.3"])
    with pytest.raises(SurgeryError, match=r"remove_weight_norm\(layer\)"):
        make_bench().synops(network)
