"""Blocks by hand, back and forth, ties, and the check of the pattern."""

import pytest
import torch

from lightning_snn.errors import PruningError
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import assert_pattern
from lightning_snn.pruners._blocks import top_n


def test_blocks_along_the_channels_by_hand() -> None:
    weight_OIKK = torch.arange(16).reshape(2, 4, 1, 2)  # inputs are 2 apart
    expected = [[0, 2], [4, 6], [1, 3], [5, 7], [8, 10], [12, 14], [9, 11], [13, 15]]
    assert Pattern(1, 2, "channels").split(weight_OIKK).tolist() == expected
    assert Pattern(1, 4, "channels").split(weight_OIKK).tolist() == [
        [0, 2, 4, 6],
        [1, 3, 5, 7],
        [8, 10, 12, 14],
        [9, 11, 13, 15],
    ]


def test_flat_blocks_by_hand() -> None:
    weight_OIKK = torch.arange(12).reshape(2, 3, 1, 2)
    assert Pattern(1, 3, "flat").split(weight_OIKK).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_both_are_the_same_in_a_linear_layer() -> None:
    weight_OI = torch.arange(16).reshape(2, 8)
    for blocks in ("channels", "flat"):
        expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
        assert Pattern(2, 4, blocks).split(weight_OI).tolist() == expected


@pytest.mark.parametrize("blocks", ["channels", "flat"])
@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 3), (3, 8, 3, 2), (3, 8, 3, 2, 1)])
def test_joining_is_the_inverse_of_splitting(blocks: str, shape: tuple[int, ...]) -> None:
    pattern, weight = Pattern(1, 4, blocks), torch.rand(shape)
    assert torch.equal(pattern.join(pattern.split(weight), weight.shape), weight)
    channels_last = weight.to(memory_format=torch.channels_last) if weight.ndim == 4 else weight
    assert torch.equal(pattern.split(channels_last), pattern.split(weight))


def test_the_length_of_a_row() -> None:
    assert Pattern(1, 4, "channels").row(torch.Size([7, 6, 3, 5])) == 6
    assert Pattern(1, 4, "flat").row(torch.Size([7, 6, 3, 5])) == 90


def test_the_highest_live_and_of_equal_ones_the_first() -> None:
    scores_RM = torch.tensor(
        [[1.0, 3.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 2.0, 2.0], [-1.0, -4.0, -2.0, -3.0]]
    )
    assert top_n(scores_RM, 2).int().tolist() == [[0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]]
    wide_RM = torch.zeros(1, 64)  # sorts of long rows are stable only where that is asked for
    assert top_n(wide_RM, 32).int().tolist() == [[1] * 32 + [0] * 32]


def test_a_block_with_too_many_names_its_layer() -> None:
    pattern, weight_OI = Pattern(2, 4, "channels"), torch.tensor([[0.0, 5.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1e-30]])
    assert_pattern("fine", weight_OI, pattern)
    weight_OI[0, 0] = -1e-30
    with pytest.raises(PruningError, match=r"^Layer features\.3 must have at most 2 live weights .* of 4, found 3\."):
        assert_pattern("features.3", weight_OI, pattern)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (4, 4), (5, 4), (-1, 2)])
def test_a_pattern_that_is_none(n: int, m: int) -> None:
    with pytest.raises(PruningError, match=f"found pruning.options.n={n} and pruning.options.m={m}"):
        Pattern(n, m, "channels")


def test_blocks_of_another_kind() -> None:
    with pytest.raises(PruningError, match=r"^pruning\.options\.blocks must be 'channels' or 'flat', found 'rows'\.$"):
        Pattern(2, 4, "rows")
