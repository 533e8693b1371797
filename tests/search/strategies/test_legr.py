"""What LeGR proposes first, how children differ from their parents, and that all lie on the budget."""

import numpy as np
import optuna
import pytest

from search.budget import widths_of
from search.strategies.legr import LeGRSampler
from tests.search.strategies.conformance import make_context
from tests.search.strategies.test_strategies import by_hand


def propose(sampler: LeGRSampler, low: float, names: list[str], count: int) -> list[list[float]]:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    proposed = []
    for _ in range(count):
        trial = study.ask()
        proposed.append([trial.suggest_float(name, low, 1.0) for name in names])
        study.tell(trial, proposed[-1][0])
    return proposed


def test_an_identity_ranks_squared_scores_over_their_mean() -> None:
    # Squares over their mean, 7.5 and 825: 0.13 2.13 0.53 1.2 and 0.27 1.48 0.76 2.45 0.03. In order L.03 S.13 L.27
    # S.53 L.76 S1.2; of 54, 33 leaves room for [3, 3], and 32 has to do without the second small one as well.
    for target, expected in ((44.0, [4, 4]), (43.0, [3, 4]), (33.0, [3, 3]), (32.0, [2, 3])):
        context = by_hand(target)
        ratios = LeGRSampler(context, seed=0).ratios(np.zeros((2, 2)))
        assert widths_of(list(ratios.values()), context.full) == expected


def test_alpha_stretches_and_kappa_shifts_the_scores_of_a_group() -> None:
    context = by_hand(44.0)
    sampler = LeGRSampler(context, seed=0)
    shifted = sampler.ratios(np.array([[0.0, 0.0], [0.0, 9.0]]))
    assert widths_of(list(shifted.values()), context.full) == [1, 4]  # all large ones rank first, but four fit
    stretched = sampler.ratios(np.array([[np.log(20.0), 0.0], [0.0, 0.0]]))
    assert widths_of(list(stretched.values()), context.full) == [4, 4]  # the least small one, 2.67, outranks all large


def test_every_proposal_lies_just_within_the_budget() -> None:
    context = make_context(evaluations=30)
    for ratios in propose(LeGRSampler(context, seed=0), context.low, context.names, 30):
        assert 0.8 <= context.cost(widths_of(ratios, context.full)) / context.target_cost <= 1.0


def test_children_differ_from_a_parent_of_the_population_in_one_group_of_few() -> None:
    context = make_context(evaluations=30)  # a population of 5
    sampler = LeGRSampler(context, seed=0)
    propose(sampler, context.low, context.names, 12)
    genomes = [sampler._genomes[number] for number in range(12)]
    assert [bool(genome.any()) for genome in genomes[:5]] == [True, True, True, True, False]  # then the identity
    for number in range(5, 12):
        differ = [int((genomes[number] != parent).any(axis=0).sum()) for parent in genomes[number - 5 : number]]
        assert min(differ) == 1


def test_steps_shrink_to_a_fifth() -> None:
    sampler = LeGRSampler(make_context(evaluations=40), seed=0)
    assert [sampler._step(number) for number in (0, 25, 40, 90)] == pytest.approx([1.0, 0.5, 0.2, 0.2])
