"""Every strategy of the registry, under the promises of :class:`StrategyConformance`."""

from types import MappingProxyType

import pytest

from search.budget import widths_of
from search.errors import SearchError
from search.strategies import STRATEGIES
from search.strategies import build_strategy
from tests.search.strategies.conformance import StrategyConformance
from tests.search.strategies.conformance import make_context


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


class TestUniform(StrategyConformance):
    name = "uniform"
    proposals_after_one = False


class TestL1(StrategyConformance):
    name = "l1"
    proposals_after_one = False


def test_every_strategy_is_tested() -> None:
    assert {each.name for each in StrategyConformance.__subclasses__()} == set(STRATEGIES)


@pytest.mark.parametrize("name", ["uniform", "l1"])
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
        ratio = sampler.sample_independent(None, None, name, distribution)  # type: ignore[arg-type]
        kept = round(ratio * full)
        relative = sorted(context.scores[name] / context.scores[name].mean(), reverse=True)
        kept_worst.append(relative[kept - 1])
        removed_best += relative[kept : kept + 1]
    assert min(kept_worst) >= max(removed_best)


@pytest.mark.parametrize("name", ["uniform", "l1"])
def test_rule_without_context_says_so(name: str) -> None:
    with pytest.raises(SearchError, match="needs a SearchContext"):
        build_strategy(name, seed=0)


def test_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(SearchError, match="Did you mean 'cmaes'"):
        build_strategy("cmeas", seed=0)
