"""The control: drawn by the seed, the same share of each layer or channels of all groups, nothing in between."""

from typing import Any

import pytest
import torch

from lightning_snn.errors import PruningError
from lightning_snn.pruners import build_pruner
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import make_bench
from tests.lightning_snn.pruners.conformance import weights


def masks_for(seed: int, **options: Any) -> dict[str, torch.Tensor]:
    return build_pruner("random", bench=make_bench(seed), **options).prune(dense_network()).dense_masks


@pytest.mark.parametrize("options", [{"sparsity": 0.5}, {"of": "channels", "keep": 0.5}])
def test_the_seed_draws(options: dict[str, Any]) -> None:
    first, again, other = masks_for(0, **options), masks_for(0, **options), masks_for(1, **options)
    assert all(torch.equal(mask, again[name]) for name, mask in first.items())
    assert any(not torch.equal(mask, other[name]) for name, mask in first.items())


def test_each_layer_loses_the_same_share_wherever_its_weights_are() -> None:
    masks = masks_for(0, sparsity=0.5)
    assert [int(mask.sum()) for mask in masks.values()] == [36, 288, 48]
    magnitudes = {name: weight.abs() for name, weight in weights(dense_network()).items()}
    kept = torch.cat([magnitudes[name][mask] for name, mask in masks.items()])
    dropped = torch.cat([magnitudes[name][~mask] for name, mask in masks.items()])
    assert float(kept.mean() / dropped.mean()) == pytest.approx(1.0, abs=0.15)  # magnitude pruning: about 3


def test_half_of_all_channels_stay() -> None:
    masks = masks_for(0, of="channels", keep=0.5)
    first, second, head = masks.values()
    rows = [int(mask.flatten(1).any(1).sum()) for mask in (first, second)]
    assert sum(rows) == 8
    assert int(second.sum()) == rows[0] * rows[1] * 9
    assert int(head.sum()) == 3 * rows[1] * 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"of": "filters"}, "pruning.options.of must be 'weights' or 'channels', found 'filters'."),
        ({"of": "channels", "sparsity": 0.5}, "pruning.options.sparsity is not for channels. Leave it out."),
        ({"of": "channels", "rounds": 2}, "pruning.options.rounds is not for channels. Leave it out."),
        ({"of": "weights", "keep": 0.5}, "pruning.options.keep is not for weights. Leave it out."),
    ],
)
def test_options_of_the_other_kind_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(PruningError) as error:
        build_pruner("random", bench=make_bench(), **options)
    assert str(error.value) == expected
