"""The relaxed subset by hand; the law of the hard one against probabilities that are counted out.

Axes: R blocks (here: draws), M weights of a block.
"""

import itertools
import math

import pytest
import torch

from lightning_snn.pruners._blocks import top_n
from lightning_snn.pruners._subset import gumbel_like
from lightning_snn.pruners._subset import relaxed_subset

TENTHS = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)


def test_two_of_four_by_hand() -> None:
    # second draw: p (1 - p), that is 0.09, 0.16, 0.21, 0.24 of 0.7
    expected = torch.tensor([[0.1 + 0.09 / 0.7, 0.2 + 0.16 / 0.7, 0.6, 0.4 + 0.24 / 0.7]], dtype=torch.float64)
    found = relaxed_subset(TENTHS.log() + 5.0, 2, 1.0)  # a constant changes nothing
    assert torch.allclose(found, expected, rtol=1e-12)
    assert torch.allclose(relaxed_subset(TENTHS.log(), 1, 1.0), TENTHS, rtol=1e-12)


def test_the_temperature_by_hand() -> None:
    # at tau = 2 odds are roots: first 0.1^.5 ..., second (0.1 (1 - p))^.5 with p of the first draw
    first = TENTHS.sqrt() / TENTHS.sqrt().sum()
    second = (TENTHS * (1 - first)).sqrt()
    expected = first + second / second.sum()
    assert torch.allclose(relaxed_subset(TENTHS.log(), 2, torch.tensor(2.0)), expected, rtol=1e-12)


def test_cold_it_is_the_hard_one_and_finite() -> None:
    scores_RM = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)) * 3
    soft_RM = relaxed_subset(scores_RM, 3, 1e-3)
    assert torch.isfinite(soft_RM).all()
    assert ((soft_RM - top_n(scores_RM, 3).float()).abs() < 1e-3).double().mean() > 0.99  # but for near ties
    assert float(soft_RM.max()) <= 1.0


def test_no_weight_is_drawn_more_than_whole() -> None:
    certain_RM = torch.tensor([[30.0, 0.0, 0.0]], requires_grad=True)
    soft_RM = relaxed_subset(certain_RM, 2, 4.0)
    assert float(soft_RM.detach()[0, 0]) == 1.0  # drawn twice in part: 0.999 and 0.4
    torch.autograd.backward(soft_RM.sum())
    assert certain_RM.grad is not None
    assert torch.isfinite(certain_RM.grad).all()


def test_its_gradient_is_that_of_the_formula() -> None:
    scores_RM = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda scores: relaxed_subset(scores, 3, 0.7), (scores_RM,))


@pytest.mark.parametrize(
    ("weights", "n"), [((0.1, 0.2, 0.3, 0.4), 2), ((0.05, 0.15, 0.2, 0.6), 3), ((0.5, 0.25, 0.25), 1)]
)
def test_the_hard_subset_is_drawn_without_replacement(weights: tuple[float, ...], n: int) -> None:
    draws = 40_000
    with torch.random.fork_rng():
        torch.manual_seed(1)
        logits_RM = torch.tensor(weights, dtype=torch.float64).log().expand(draws, -1)
        masks_RM = top_n(logits_RM + gumbel_like(logits_RM), n)
    for chosen in itertools.combinations(range(len(weights)), n):
        probability = 0.0
        for order in itertools.permutations(chosen):  # each order of the draws
            left, path = 1.0, 1.0
            for each in order:
                path *= weights[each] / left
                left -= weights[each]
            probability += path
        wanted = torch.zeros(len(weights), dtype=torch.bool)
        wanted[list(chosen)] = True
        found = float((masks_RM == wanted).all(dim=1).double().mean())
        assert abs(found - probability) < 4.5 * math.sqrt(probability * (1 - probability) / draws), chosen


def test_gumbel_numbers_have_their_mean_and_variance() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = gumbel_like(torch.empty(100_000, dtype=torch.float64))
    assert torch.isfinite(found).all()
    assert float(found.mean()) == pytest.approx(0.5772, abs=0.02)
    assert float(found.var()) == pytest.approx(math.pi**2 / 6, rel=0.03)
