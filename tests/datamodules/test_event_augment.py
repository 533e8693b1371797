import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules._event_augment import augment_frames

Variants = dict[bytes, tuple[bool, int, int]]


def moved_by_hand(frames_TCHW: NDArray[np.generic], roll: int, *, flip: bool) -> Variants:
    """Return every result that may come out without cutout, by mirroring and shift."""
    shifts = range(-roll, roll + 1)
    variants = {}
    for mirrored, down, right in itertools.product({False, flip}, shifts, shifts):
        frames = np.flip(frames_TCHW, 3) if mirrored else frames_TCHW
        variants[np.roll(frames, (down, right), (2, 3)).tobytes()] = (mirrored, down, right)
    return variants


def seeded(frames_BTCHW: Tensor, seed: int = 0, *, flip: bool = False, roll: int = 0, cutout: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return augment_frames(frames_BTCHW, flip=flip, roll=roll, cutout=cutout)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("roll", [0, 1])
def test_mirroring_and_shifts_are_equally_likely_and_the_same_in_all_steps_and_polarities(
    roll: int, flip: bool
) -> None:
    frames_TCHW = torch.arange(3 * 2 * 4 * 5).view(3, 2, 4, 5)
    variants = moved_by_hand(frames_TCHW.numpy(), roll, flip=flip)
    results = seeded(frames_TCHW.expand(9000, 3, 2, 4, 5), flip=flip, roll=roll)
    times = Counter(variants[result.tobytes()] for result in results.numpy())
    kinds = (2 * roll + 1) ** 2 * (1 + flip)
    assert len(times) == kinds
    assert max(abs(count - 9000 / kinds) for count in times.values()) < 5 * (9000 / kinds) ** 0.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float16, torch.float32])
def test_samples_stay_apart_and_dtype_and_input_are_kept(dtype: torch.dtype) -> None:
    frames_BTCHW = torch.randint(1, 200, (32, 2, 2, 6, 5)).to(dtype)
    before = frames_BTCHW.clone()
    results = seeded(frames_BTCHW, flip=True, roll=2)
    assert results.dtype == dtype
    for frames_TCHW, result in zip(frames_BTCHW.numpy(), results.numpy(), strict=True):
        assert result.tobytes() in moved_by_hand(frames_TCHW, 2, flip=True)
    assert torch.equal(frames_BTCHW, before)


def test_a_batch_may_be_a_view_with_axes_exchanged() -> None:
    frames_TBCHW = torch.randint(1, 200, (3, 8, 2, 6, 5))
    frames_BTCHW = frames_TBCHW.transpose(0, 1)
    assert torch.equal(
        seeded(frames_BTCHW, flip=True, roll=1, cutout=2),
        seeded(frames_BTCHW.contiguous(), flip=True, roll=1, cutout=2),
    )


def test_cutout_blanks_one_square_of_a_sample_in_all_its_frames() -> None:
    results = seeded(torch.ones(500, 3, 2, 6, 7), cutout=3)
    blank_BHW = results[:, 0, 0] == 0
    assert torch.equal(results == 0, blank_BHW[:, None, None].expand_as(results))
    # a square of three by three within the edges, less where its centre is on an edge
    assert set(blank_BHW.sum((1, 2)).tolist()) == {9, 6, 4}


def test_an_option_does_not_change_what_another_does() -> None:
    frames_BTCHW = torch.randint(1, 200, (64, 2, 2, 8, 8))
    moved = seeded(frames_BTCHW, flip=True, roll=2)
    both = seeded(frames_BTCHW, flip=True, roll=2, cutout=3)
    assert torch.equal(both, moved.where(both != 0, 0))
    assert torch.equal(both == 0, seeded(frames_BTCHW, cutout=3) == 0)
    flipped, rolled = seeded(frames_BTCHW, flip=True), seeded(frames_BTCHW, roll=2)
    for b in range(64):
        plain, mirrored = frames_BTCHW[b], frames_BTCHW[b].flip(3)
        is_mirrored = not torch.equal(flipped[b], plain)
        ((_, down, right),) = [
            value
            for key, value in moved_by_hand(plain.numpy(), 2, flip=False).items()
            if key == rolled[b].numpy().tobytes()
        ]
        assert torch.equal(moved[b], (mirrored if is_mirrored else plain).roll((down, right), (2, 3)))


def test_draws_come_from_the_default_generator_and_are_as_many_whatever_the_options() -> None:
    frames_BTCHW = torch.randint(1, 200, (16, 2, 2, 8, 8))
    left = set()
    for flip, roll, cutout in itertools.product((False, True), (0, 3), (0, 4)):
        seeded(frames_BTCHW, flip=flip, roll=roll, cutout=cutout)
        left.add(torch.rand(1).item())
    assert len(left) == 1
    one, two, again = (seeded(frames_BTCHW, seed, flip=True, roll=3, cutout=4) for seed in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_works_on_the_device_of_the_batch() -> None:
    frames_BTCHW = torch.randint(1, 200, (16, 2, 2, 6, 5), device="cuda")
    before = torch.get_rng_state()
    results = augment_frames(frames_BTCHW, flip=True, roll=1, cutout=0)
    assert results.device == frames_BTCHW.device
    assert torch.equal(torch.get_rng_state(), before)
    for frames_TCHW, result in zip(frames_BTCHW.cpu().numpy(), results.cpu().numpy(), strict=True):
        assert result.tobytes() in moved_by_hand(frames_TCHW, 1, flip=True)
