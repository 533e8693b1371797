"""Every strategy of the registry, under the promises of :class:`StrategyConformance`."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import optuna
import pytest
from torch import nn

from lightning_snn.surgery import ChannelGroup
from search.budget import widths_of
from search.configuration import load_config
from search.cost import CostModel
from search.cost import LayerCost
from search.errors import SearchError
from search.space import SearchContext
from search.strategies import RANKED_BY
from search.strategies import STRATEGIES
from search.strategies import build_strategy
from search.strategies import check_strategy
from search.strategies.legr import LeGRSampler
from tests.search.strategies.conformance import StrategyConformance
from tests.search.strategies.conformance import make_context
from tests.search.strategies.network_context import network_context


class TestRandom(StrategyConformance):
    name = "random"


class TestTPE(StrategyConformance):
    name = "tpe"


class TestGP(StrategyConformance):
    name = "gp"


class TestCmaes(StrategyConformance):
    name = "cmaes"


class TestNSGA2(StrategyConformance):
    name = "nsga2"


class TestDDPG(StrategyConformance):
    name = "ddpg"


class TestSpear(StrategyConformance):
    name = "spear"
    options = MappingProxyType({"warmup": 4})


class TestQMC(StrategyConformance):
    name = "qmc"


class TestLeGR(StrategyConformance):
    name = "legr"

    def test_neighbouring_seeds_share_no_proposal(self, tmp_path: Path) -> None:
        """Different rankings of few channels may be cut alike, so the rankings are compared, but for the identity."""
        drawn = []
        for seed in (0, 1):
            sampler = LeGRSampler(make_context(), seed)
            study = optuna.create_study(sampler=sampler)
            for _ in range(6):
                study.tell(study.ask(make_context().space), 0.0)
            drawn.append([genome.tolist() for genome in sampler._genomes.values() if genome.any()])
        assert not [genome for genome in drawn[0] if genome in drawn[1]]


class TestGreedy(StrategyConformance):
    name = "greedy"
    proposals = 7  # two rounds, in which the third, then the first group cannot go narrow enough; a spare one
    draws = False


class TestGradient(StrategyConformance):
    name = "gradient"
    proposals = 12

    def context(self) -> SearchContext:
        return network_context()


class TestUniform(StrategyConformance):
    name = "uniform"
    proposals = 1
    draws = False


class TestL1(StrategyConformance):
    name = "l1"
    proposals = 1
    draws = False


class TestSlimming(StrategyConformance):
    name = "slimming"
    proposals = 1
    draws = False


class TestSCA(StrategyConformance):
    name = "sca"
    proposals = 1
    draws = False


def test_every_strategy_is_tested() -> None:
    assert {each.name for each in StrategyConformance.__subclasses__()} == set(STRATEGIES)


@pytest.mark.parametrize("name", ["uniform", "l1", "slimming", "sca"])
def test_rules_land_just_within_the_budget(name: str) -> None:
    context = make_context()
    sampler = build_strategy(name, seed=0, context=context)
    # rules look at neither study nor trial
    ratios = [sampler.sample_independent(None, None, n, d) for n, d in context.space.items()]  # type: ignore[arg-type]
    used = context.cost(widths_of(ratios, context.full)) / context.target_cost
    assert 0.85 <= used <= 1.0


def test_uniform_keeps_the_same_share_everywhere() -> None:
    context = make_context()
    sampler = build_strategy("uniform", seed=0, context=context)
    # rules look at neither study nor trial
    ratios = [sampler.sample_independent(None, None, n, d) for n, d in context.space.items()]  # type: ignore[arg-type]
    common = sorted(ratios)[1]
    for ratio, full in zip(ratios, context.full, strict=True):
        assert abs(ratio - common) * full <= 1.5  # half a channel by rounding, one to use the budget up


def test_l1_removes_the_lowest_relative_scores() -> None:
    context = make_context()
    sampler = build_strategy("l1", seed=0, context=context)
    kept_worst, removed_best = [], []
    for (name, distribution), full in zip(context.space.items(), context.full, strict=True):
        # rules look at neither study nor trial
        ratio = sampler.sample_independent(None, None, name, distribution)  # type: ignore[arg-type]  # they look at neither study nor trial
        kept = round(ratio * full)
        relative = sorted(context.scores[name] / context.scores[name].mean(), reverse=True)
        kept_worst.append(relative[kept - 1])
        removed_best += relative[kept : kept + 1]
    assert min(kept_worst) >= max(removed_best)


def by_hand(target: float, low: float = 0.1, tied: int = 1, evaluations: int = 1) -> SearchContext:
    """Four channels at 1 SynOp and five at 10 that score ten times as much; the first come from ``tied`` layers."""
    scores = {"small": np.array([1.0, 4.0, 2.0, 3.0]), "large": np.array([15.0, 35.0, 25.0, 45.0, 5.0])}
    groups = [
        ChannelGroup("small", 4, tuple(f"small{n}" for n in range(tied)), ()),
        ChannelGroup("large", 5, ("large",), ()),
    ]
    tables = [
        price * np.arange(group.width + 1, dtype=np.float64) for group, price in zip(groups, (1, 10), strict=True)
    ]
    return SearchContext(
        groups=groups,
        low=low,
        scores=scores,
        cost=CostModel({g.name: LayerCost(0.0, {n: tables[n]}, 1.0, {}) for n, g in enumerate(groups)}),
        target_cost=target,
        state_features_LF=np.zeros((2, 1)),
        evaluations=evaluations,
        fresh_network=nn.Identity,
    )


def kept(name: str, context: SearchContext) -> list[int]:
    sampler = build_strategy(name, seed=0, context=context)
    # rules look at neither study nor trial
    ratios = [sampler.sample_independent(None, None, n, d) for n, d in context.space.items()]  # type: ignore[arg-type]
    return widths_of(ratios, context.full)


@pytest.mark.parametrize("evaluations", [2, 4, 10, 40])
@pytest.mark.parametrize("target", [11.0, 15.0, 27.0])
def test_greedy_comes_to_the_budget_however_few_evaluations_there_are(target: float, evaluations: int) -> None:
    """With few, one round takes it all, which below 14 the large group cannot do alone; all at their least cost 11."""
    context = by_hand(target, low=0.2, evaluations=evaluations)
    study = optuna.create_study(sampler=build_strategy("greedy", seed=0, context=context))
    costs: list[float] = []
    while len(costs) < 4 * evaluations and not study.sampler.is_exhausted(study):
        trial = study.ask(context.space)
        costs.append(context.cost(widths_of([trial.params[name] for name in context.names], context.full)))
        study.tell(trial, 1.0)
    assert costs
    assert min(costs) <= target


@pytest.mark.parametrize("name", ["slimming", "sca"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (54.0, [4, 5]),  # everything
        (53.0, [3, 5]),  # the score 1 goes
        (52.0, [2, 5]),  # 2 as well
        (51.0, [1, 5]),
        (50.0, [1, 4]),  # 4 is the best of its group, and stays; next is 5
        (40.9, [1, 3]),  # [1, 4] would cost 41; next is 15
        (21.0, [1, 2]),
    ],
)
def test_one_threshold_on_scores_as_they_are(name: str, target: float, expected: list[int]) -> None:
    assert kept(name, by_hand(target)) == expected


def test_l1_normalises_each_group() -> None:
    # over their means, 2.5 and 25: 0.4 1.6 0.8 1.2 and 0.6 1.4 1.0 1.8 0.2; in order L0.2 S0.4 L0.6 S0.8 L1.0 ...
    for target, expected in ((53.0, [4, 4]), (43.0, [3, 4]), (42.0, [3, 3]), (32.5, [2, 3]), (31.0, [2, 2])):
        assert kept("l1", by_hand(target)) == expected


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["slimming", "sca", "l1"])
def test_a_group_whose_scores_are_all_0_loses_its_channels_first(name: str) -> None:
    """By activity, a layer that never fires; a mean of 0 is not divided by."""
    context = by_hand(31.0)
    silent = replace(context, scores={**context.scores, "large": np.zeros(5)})
    assert kept(name, silent) == [4, 1]


@pytest.mark.parametrize("name", ["slimming", "sca"])
def test_tied_channels_rank_by_the_mean_over_their_layers(name: str) -> None:
    context = by_hand(53.0)
    context = replace(context, scores={**context.scores, "small": 7.0 * context.scores["small"]})
    assert kept(name, context) == [4, 4]  # as they are, 5 is the least of 7 28 14 21 and 15 35 25 45 5
    tied = replace(by_hand(53.0, tied=7), scores=context.scores)
    assert kept(name, tied) == [3, 5]  # the means are 1 4 2 3


@pytest.mark.parametrize("name", ["slimming", "sca", "l1"])
def test_a_cut_keeps_the_least_share_of_every_group(name: str) -> None:
    assert kept(name, by_hand(1.0, low=0.5)) == [2, 2]  # 2.5 channels are rounded to even
    assert kept(name, by_hand(53.0, low=1.0)) == [4, 5]


@pytest.mark.parametrize("name", ["slimming", "sca"])
def test_the_least_share_counts_in_the_budget(name: str) -> None:
    assert kept(name, by_hand(42.0, low=0.5)) == [2, 4]
    assert kept(name, by_hand(41.5, low=0.5)) == [
        2,
        3,
    ]  # without the small one that only the share keeps, [1, 4] would do


@pytest.mark.parametrize("name", ["slimming", "sca"])
def test_equal_scores_stay_or_go_together(name: str) -> None:
    context = by_hand(33.0)
    context = replace(context, scores={**context.scores, "large": np.array([9.0, 9.0, 9.0, 10.0, 10.0])})
    assert kept(name, context) == [1, 2]


@pytest.mark.parametrize(("name", "criterion"), RANKED_BY.items())
def test_scores_of_another_criterion_are_refused(name: str, criterion: str) -> None:
    build_strategy(name, seed=0, context=replace(make_context(), criterion=criterion))
    with pytest.raises(SearchError, match=f"Strategy '{name}' ranks channels by {criterion}, found .*'l1'") as error:
        build_strategy(name, seed=0, context=replace(make_context(), criterion="l1"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - set(RANKED_BY)))
def test_other_strategies_take_scores_of_any_criterion(name: str) -> None:
    check_strategy(name, {}, "random")


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_files_of_strategies_set_the_criterion_that_they_rank_by(name: str) -> None:
    assert load_config(["--strategy", name]).space.criterion == RANKED_BY.get(name, "l1")


@pytest.mark.parametrize("name", ["gradient", "greedy", "l1", "legr", "sca", "slimming", "uniform"])
def test_rule_without_context_says_so(name: str) -> None:
    with pytest.raises(SearchError, match="needs a SearchContext"):
        build_strategy(name, seed=0)


def test_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(SearchError, match="Did you mean 'cmaes'"):
        build_strategy("cmeas", seed=0)


def test_legr_ranks_groups_that_are_silent() -> None:
    context = by_hand(30.0)
    context = replace(context, scores={**context.scores, "small": np.zeros(4)})
    ratios = LeGRSampler(context, 0).ratios(np.zeros((2, 2)))
    assert context.cost(widths_of([ratios[name] for name in context.names], context.full)) <= 30.0
