from collections import Counter

import numpy as np
import pytest
import torch

from datamodules._cutout import cut_squares


def squares_by_hand(H: int, W: int, size: int) -> Counter[bytes]:
    """Return what may be cut, and for how many of the H * W centres."""
    found: Counter[bytes] = Counter()
    for row, column in np.ndindex(H, W):
        kept_HW = np.ones((H, W), np.float32)
        top, left = row - size // 2, column - size // 2
        kept_HW[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
        found[kept_HW.tobytes()] += 1
    return found


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 9, 20])
def test_the_centre_of_the_square_lies_anywhere_with_equal_chance(size: int) -> None:
    torch.manual_seed(0)
    expected = squares_by_hand(4, 5, size)
    results = cut_squares(torch.ones(10_000, 1, 4, 5), size)
    found = Counter(result.tobytes() for result in results[:, 0].numpy())
    assert found.keys() == expected.keys()
    for square, centres in expected.items():
        share = centres / 20
        assert abs(found[square] - 10_000 * share) <= 5 * (10_000 * share * (1 - share)) ** 0.5


def test_all_channels_lose_the_same_square_and_the_rest_is_kept() -> None:
    torch.manual_seed(0)
    x_BCHW = torch.randn(32, 3, 8, 8)
    before = x_BCHW.clone()
    result = cut_squares(x_BCHW, 4)
    cut_BHW = result[:, 0] == 0
    assert torch.equal(result == 0, cut_BHW[:, None].expand(32, 3, 8, 8))
    assert torch.equal(result, before.where(result != 0, 0))
    assert torch.equal(x_BCHW, before)


def test_as_many_numbers_are_drawn_for_every_size() -> None:
    left = set()
    for size in (0, 1, 6):
        torch.manual_seed(0)
        cut_squares(torch.ones(5, 1, 8, 8), size)
        left.add(torch.rand(1).item())
    assert len(left) == 1
