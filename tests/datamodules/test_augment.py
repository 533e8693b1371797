import numpy as np
import pytest
import torch

from datamodules._augment import random_crop

BLACK_C = torch.tensor([-5.0, -7.0])


def crops_by_hand(x_CHW: np.ndarray, padding: int, *, flip: bool) -> dict[bytes, tuple[int, int, bool]]:
    """Return every crop that may come out, by shift and mirroring."""
    border = ((padding, padding), (padding, padding))
    padded = np.stack(
        [np.pad(plane, border, constant_values=black) for plane, black in zip(x_CHW, (-5.0, -7.0), strict=True)]
    )
    H, W = x_CHW.shape[1:]
    crops = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + H, left : left + W]
            crops[np.ascontiguousarray(crop).tobytes()] = (top, left, False)
            if flip:
                crops[np.ascontiguousarray(crop[:, :, ::-1]).tobytes()] = (top, left, True)
    return crops


@pytest.mark.parametrize("flip", [False, True])
def test_every_result_is_a_crop_of_its_own_image_and_all_crops_are_equally_likely(flip: bool) -> None:
    torch.manual_seed(0)
    x_CHW = torch.arange(2 * 3 * 4, dtype=torch.float32).view(2, 3, 4)
    results = random_crop(x_CHW.expand(9000, 2, 3, 4), BLACK_C, padding=1, flip=flip)
    crops = crops_by_hand(x_CHW.numpy(), 1, flip=flip)
    times = dict.fromkeys(crops.values(), 0)
    for result in results.numpy():
        times[crops[result.tobytes()]] += 1
    kinds = 18 if flip else 9
    assert len(times) == kinds
    spread = (9000 / kinds) ** 0.5
    assert max(abs(count - 9000 / kinds) for count in times.values()) < 5 * spread


def test_images_of_a_batch_stay_apart_and_the_input_stays_whole() -> None:
    torch.manual_seed(0)
    x_BCHW = torch.randn(32, 2, 6, 5)
    before = x_BCHW.clone()
    for image, result in zip(x_BCHW.numpy(), random_crop(x_BCHW, BLACK_C, padding=2, flip=True).numpy(), strict=True):
        assert result.tobytes() in crops_by_hand(image, 2, flip=True)
    assert torch.equal(x_BCHW, before)


def test_draws_come_from_the_default_generator() -> None:
    x_BCHW = torch.randn(16, 2, 8, 8)
    results = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        results.append(random_crop(x_BCHW, BLACK_C, padding=4, flip=True))
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_works_on_the_device_of_the_batch() -> None:
    x_BCHW = torch.randn(8, 2, 6, 6, device="cuda")
    before = torch.get_rng_state()
    result = random_crop(x_BCHW, BLACK_C.cuda(), padding=2, flip=True)
    assert result.device == x_BCHW.device
    assert torch.equal(torch.get_rng_state(), before)
    for image, crop in zip(x_BCHW.cpu().numpy(), result.cpu().numpy(), strict=True):
        assert crop.tobytes() in crops_by_hand(image, 2, flip=True)
