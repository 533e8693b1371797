import itertools
import random
from collections import Counter
from typing import Any
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from datamodules import _randaugment
from datamodules._randaugment import OPERATIONS
from datamodules._randaugment import randaugment

NAMES = list(v2.RandAugment._AUGMENTATION_SPACE)


def images(count: int) -> Tensor:
    """Return smooth images with noise, so that every operation changes them."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=32, mode="bilinear") * 200
    return (smooth + 40 * torch.rand(count, 3, 32, 32, generator=generator)).byte()


def by_torchvision(name: str, x_BCHW: Tensor, magnitude: int) -> list[Tensor]:
    """Return what torchvision's operation gives, with a sign that it draws."""

    class Single(v2.RandAugment):  # type: ignore[misc]  # torchvision is untyped
        _AUGMENTATION_SPACE: ClassVar[Any] = {name: v2.RandAugment._AUGMENTATION_SPACE[name]}

    transform = Single(num_ops=1, magnitude=magnitude)
    return [transform(x_BCHW).int() for _ in range(20)]


@pytest.mark.parametrize("magnitude", [3, 9, 17, 30])
def test_operations_are_those_of_torchvision_with_either_sign(magnitude: int) -> None:
    torch.manual_seed(0)
    x_BCHW = images(4)
    for operation, name in zip(OPERATIONS, NAMES, strict=True):
        ours = [operation(x_BCHW, sign * magnitude / 30).int() for sign in (1, -1)]
        theirs = by_torchvision(name, x_BCHW, magnitude)
        # torchvision takes its strengths from a table of float32, so a value may round to its neighbour
        same = torch.tensor([[(x - y).abs().max() <= 1 for y in theirs] for x in ours])
        assert same.any(dim=0).all(), name
        assert same.any(dim=1).all(), name


def test_every_image_has_two_operations_of_its_own_all_equally_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(amount: int) -> Any:
        return lambda x_GCHW, s: x_GCHW + amount + (s < 0)

    def quadruple(x_GCHW: Tensor, s: float) -> Tensor:
        return x_GCHW * 4

    monkeypatch.setattr(_randaugment, "OPERATIONS", (add(10), add(20), quadruple))
    torch.manual_seed(0)
    results = randaugment(torch.ones(9000, 3, 1, 1, dtype=torch.uint8), 9)
    assert torch.equal(results, results[:, :1].expand_as(results))
    steps = [(1, 10), (1, 11), (1, 20), (1, 21), (4, 0), (4, 0)]  # factor and summand
    expected = Counter((f + s) * g + t for (f, s), (g, t) in itertools.product(steps, steps))
    found = Counter(results[:, 0, 0, 0].tolist())
    assert found.keys() == expected.keys()
    for value, ways in expected.items():
        share = ways / 36
        assert abs(found[value] - 9000 * share) < 5 * (9000 * share * (1 - share)) ** 0.5


def test_an_image_gets_what_it_would_get_among_others_and_the_input_stays_whole() -> None:
    x_BCHW = images(40)
    before = x_BCHW.clone()
    torch.manual_seed(0)
    results = randaugment(x_BCHW, 9)
    assert (results.shape, results.dtype) == (x_BCHW.shape, torch.uint8)
    assert torch.equal(x_BCHW, before)
    choices = list(itertools.product(OPERATIONS, (0.3, -0.3)))
    for image, result in zip(x_BCHW, results, strict=True):
        once = [operation(image[None], strength) for operation, strength in choices]
        assert any(torch.equal(operation(x, strength)[0], result) for x in once for operation, strength in choices)


def test_draws_come_from_torch_s_default_generator_only() -> None:
    x_BCHW = images(16)
    before = random.getstate(), np.random.get_state()[1].copy()  # type: ignore[index]  # a tuple, unless legacy is off
    results: list[Tensor] = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        random.seed(seed + len(results))
        np.random.seed(seed + len(results))
        results.append(randaugment(x_BCHW, 9))
    random.setstate(before[0])
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_works_on_the_device_of_the_batch() -> None:
    x_BCHW = images(64).cuda()
    before = torch.get_rng_state()
    results = []
    for _ in range(2):
        torch.cuda.manual_seed(0)
        results.append(randaugment(x_BCHW, 9))
    assert results[0].device == x_BCHW.device
    assert torch.equal(results[0], results[1])
    assert torch.equal(torch.get_rng_state(), before)
