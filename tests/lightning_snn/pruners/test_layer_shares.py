"""LAMP's score, the ranking over layers, uniform and ERK shares: worked by hand, and what must hold for any weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_snn.errors import PruningError
from lightning_snn.pruners._layer_shares import by_layer
from lightning_snn.pruners._layer_shares import erk_counts
from lightning_snn.pruners._layer_shares import lamp_scores
from lightning_snn.pruners._layer_shares import least_live
from lightning_snn.pruners._layer_shares import ranked
from lightning_snn.pruners._layer_shares import top
from lightning_snn.pruners._layer_shares import uniform_counts
from lightning_snn.pruners.masks import Masks


def kept(masks: Masks) -> dict[str, list[int]]:
    """Places of the live weights, by layer."""
    return {name: mask.flatten().nonzero().flatten().tolist() for name, mask in masks.items()}


def test_lamps_score_by_hand() -> None:
    weight = torch.tensor([[1.0, -3.0], [2.0, 0.5]])
    # squares 1, 9, 4, 1/4; each over the sum of those that are not smaller
    assert lamp_scores(weight).tolist() == [[1 / 14, 1.0], [4 / 13, 0.25 / 14.25]]


def test_equal_magnitudes_score_in_order_and_dead_weights_nothing() -> None:
    weight = torch.tensor([1.0, -2.0, 2.0, 0.0, 3.0, -0.0])
    assert lamp_scores(weight).tolist() == [1 / 18, 4 / 17, 4 / 13, 0.0, 1.0, 0.0]
    assert lamp_scores(torch.full((3,), -0.5)).tolist() == [1 / 3, 1 / 2, 1.0]
    assert lamp_scores(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


def test_the_score_does_not_depend_on_the_layers_scale() -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lamp_scores(1e-15 * weight), lamp_scores(weight))  # squares are below float32
    assert lamp_scores(weight.requires_grad_()).requires_grad is False


SCORES = {"a": torch.tensor([0.9, 0.5, 0.4]), "b": torch.tensor([[0.1], [0.6]])}
MAGNITUDES = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([[4.0], [0.0]])}


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (2, {"a": [2], "b": [0]}),  # each layer's largest
        (3, {"a": [0, 2], "b": [0]}),  # then the best score
        (4, {"a": [0, 1, 2], "b": [0]}),
        (5, {"a": [0, 1, 2], "b": [0]}),  # the dead weight of b has the better score, and stays dead
    ],
)
def test_the_floor_goes_by_magnitude_and_the_others_by_score(live: int, expected: dict[str, list[int]]) -> None:
    masks = ranked(SCORES, MAGNITUDES)(live)
    assert kept(masks) == expected
    assert {name: mask.shape for name, mask in masks.items()} == {name: each.shape for name, each in SCORES.items()}


def test_fewer_than_the_floors_are_refused() -> None:
    with pytest.raises(
        PruningError,
        match=r"^1% of each layer's weights stay, 2 in all, found 1 asked for\. Choose a lower sparsity\.$",
    ):
        ranked(SCORES, MAGNITUDES)(1)


def test_the_floor_is_a_hundredth_rounded_up() -> None:
    sizes = {"a": 1, "b": 100, "c": 101, "d": 1000}
    assert least_live({name: torch.ones(size) for name, size in sizes.items()}) == {"a": 1, "b": 1, "c": 2, "d": 10}
    magnitudes = {"many": torch.arange(1.0, 202.0), "few": torch.tensor([1.0])}
    scores = {"many": -magnitudes["many"], "few": torch.tensor([9.0])}
    assert kept(ranked(scores, magnitudes)(4)) == {"many": [198, 199, 200], "few": [0]}


def test_a_layer_that_is_dead_stays_dead() -> None:
    magnitudes = {"dead": torch.zeros(3), "other": torch.tensor([1.0, 2.0])}
    assert kept(ranked(magnitudes, magnitudes)(3)) == {"dead": [], "other": [0, 1]}


def test_layers_keep_their_largest_weights_and_of_equal_ones_the_first() -> None:
    magnitudes = {"a": torch.tensor([[1.0, 3.0], [3.0, 3.0]]), "b": torch.tensor([0.0, 5.0, 0.0])}
    assert kept(by_layer(magnitudes, {"a": 2, "b": 2})) == {"a": [1, 2], "b": [1]}
    assert top(torch.tensor([2.0, 7.0, 7.0, 1.0]), 3).tolist() == [1, 2, 0]


def test_uniform_counts_by_hand() -> None:
    shapes = {"conv": torch.Size((4, 2, 3, 3)), "head": torch.Size((3, 4)), "scale": torch.Size((1, 1))}
    assert uniform_counts(shapes, 17) == {"conv": 14, "head": 2, "scale": 1}  # a fifth of 72, 12 and 1; one at least
    assert uniform_counts(shapes, 85) == {"conv": 72, "head": 12, "scale": 1}


def test_erk_counts_by_hand() -> None:
    shapes = {"wide": torch.Size((10, 10)), "narrow": torch.Size((5, 10))}
    assert erk_counts(shapes, 35) == {"wide": 20, "narrow": 15}  # in proportion to 10 + 10 and 5 + 10
    assert erk_counts(shapes, 70) == {"wide": 40, "narrow": 30}
    shapes = {"conv": torch.Size((4, 2, 3, 3)), "head": torch.Size((3, 4))}
    assert erk_counts(shapes, 19) == {"conv": 12, "head": 7}  # 4 + 2 + 3 + 3 and 3 + 4


def test_erk_fills_a_layer_and_shares_the_rest_among_the_others() -> None:
    shapes = {"a": torch.Size((4, 4)), "b": torch.Size((2, 1, 1, 1))}
    # 9 in proportion to 8 and 5 would give b 3.5 of its 2 weights
    assert erk_counts(shapes, 9) == {"a": 7, "b": 2}
    shapes = {"a": torch.Size((20, 20)), "b": torch.Size((2, 2)), "c": torch.Size((4, 5))}
    # 45 : 40 + 4 + 9 leaves b 3.4; with 60 b is full at 4, and 56 : 40 + 9 leaves c 10.3
    assert erk_counts(shapes, 45) == {"a": 34, "b": 3, "c": 8}
    assert erk_counts(shapes, 60) == {"a": 46, "b": 4, "c": 10}
    # 120: b is full, then 116 : 40 + 9 gives c 21.3 of 20
    assert erk_counts(shapes, 120) == {"a": 96, "b": 4, "c": 20}
    assert erk_counts(shapes, 424) == {"a": 400, "b": 4, "c": 20}
    assert erk_counts({"a": torch.Size((100, 100)), "b": torch.Size((1, 1))}, 20) == {"a": 20, "b": 1}  # one at least


@st.composite
def networks(draw: st.DrawFn) -> tuple[dict[str, Tensor], int]:
    """Weights of some layers, no two of one magnitude in a layer but for dead ones, and how many are to live."""
    layers = draw(st.lists(st.lists(st.integers(-400, 400), min_size=1, max_size=150, unique_by=abs), min_size=1))
    weights = {str(index): torch.tensor([0, *layer]) / 64 for index, layer in enumerate(layers)}
    weights = {name: weight for name, weight in weights.items() if int(weight.count_nonzero()) >= 2}
    if not weights:
        weights = {"0": torch.tensor([0.5, -1.5, 1.0])}
    least = sum(least_live(weights).values())
    return weights, draw(st.integers(least, sum(int(weight.count_nonzero()) for weight in weights.values())))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks())
def test_lamp_meets_the_count_and_keeps_the_largest_weights_of_each_layer(case: tuple[dict[str, Tensor], int]) -> None:
    weights, live = case
    magnitudes = {name: weight.abs() for name, weight in weights.items()}
    masks = ranked({name: lamp_scores(weight) for name, weight in weights.items()}, magnitudes)(live)
    assert sum(int(mask.sum()) for mask in masks.values()) == live
    for name, mask in masks.items():
        assert mask[magnitudes[name].argmax()]
    amounts = {name: int(mask.sum()) for name, mask in masks.items()}
    assert kept(masks) == kept(by_layer(magnitudes, amounts))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks())
def test_global_magnitude_keeps_the_largest_of_all_but_for_the_floor(case: tuple[dict[str, Tensor], int]) -> None:
    weights, live = case
    magnitudes = {name: weight.abs() for name, weight in weights.items()}
    masks = ranked(magnitudes, magnitudes)(live)
    assert sum(int(mask.sum()) for mask in masks.values()) == live
    floors = least_live(magnitudes)
    beyond = [magnitudes[name][mask].sort(descending=True).values[floors[name] :] for name, mask in masks.items()]
    dropped = [float(value) for name, mask in masks.items() for value in magnitudes[name][~mask]]
    assert max(dropped, default=0.0) <= min((float(value) for value in torch.cat(beyond)), default=9.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=5), st.floats(0.05, 1.0))
def test_shares_of_layers_come_near_the_count_and_fit_the_layers(sizes: list[tuple[int, int]], share: float) -> None:
    shapes = {str(index): torch.Size(size) for index, size in enumerate(sizes)}
    live = max(len(shapes), round(share * sum(shape.numel() for shape in shapes.values())))
    for counts in (uniform_counts(shapes, live), erk_counts(shapes, live)):
        assert all(1 <= counts[name] <= shape.numel() for name, shape in shapes.items())
        assert abs(sum(counts.values()) - live) <= len(shapes)  # each is rounded, and one at least
