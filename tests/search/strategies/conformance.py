"""What every strategy promises, written once; ``class TestX(StrategyConformance)`` only says which one it is."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import BaseSampler

from lightning_snn.surgery import ChannelGroup
from search.cost import CostModel
from search.cost import LayerCost
from search.errors import SearchError
from search.space import SearchContext
from search.strategies import build_strategy
from search.study import Outcome
from search.study import RecordedStudy

WIDTHS = {"features.2": 8, "features.10": 16, "features.20": 32}
"""Network order; sorted by name, ``features.10`` would come first."""


def make_context(evaluations: int = 12) -> SearchContext:
    """A chain of three groups: spikes of each channel cost as many operations as the next layer is wide."""
    names, full = list(WIDTHS), list(WIDTHS.values())
    outputs = [16, 32, 10]
    layers = {}
    for position, width in enumerate(full):
        spikes = np.linspace(2.0, 1.0, width)
        table = np.concatenate([[0.0], np.cumsum(spikes * outputs[position])])
        shares = {position + 1: 1.0 / full[position + 1]} if position + 1 < len(full) else {}
        layers[names[position]] = LayerCost(0.0, {position: table}, 0.0 if shares else 1.0, shares)
    cost = CostModel(layers)
    generator = np.random.default_rng(0)
    return SearchContext(
        groups=[ChannelGroup(name, width, (name,), ()) for name, width in WIDTHS.items()],
        low=0.1,
        scores={name: generator.random(width) + 0.1 for name, width in WIDTHS.items()},
        cost=cost,
        target_cost=0.5 * cost(full),
        state_features_LF=np.linspace(0.0, 1.0, 3 * 4).reshape(3, 4),
        evaluations=evaluations,
        fresh_network=lambda: torch.nn.Identity(),
    )


def objective(params: dict[str, float]) -> Outcome:
    """A known reward with an interaction; the best is at 0.8, 0.4, 0.6."""
    a, b, c = params.values()
    value = -((a - 0.8) ** 2) - (b - 0.4) ** 2 - (c - 0.6) ** 2 - 0.5 * (a - 0.8) * (b - 0.4)
    return Outcome(value, constraint=a + b + c - 2.0, attributes={"keep": dict(params)})


class StrategyConformance:
    """The promises of this project, for one strategy."""

    name: str
    proposals: int | None = None
    """How many it makes at most in a search of 12 evaluations; None: as many as it is asked for."""
    draws = True
    """Whether its seed matters."""

    options: Mapping[str, Any] = MappingProxyType({})

    def context(self) -> SearchContext:
        return make_context()

    def build(self, seed: int = 0) -> BaseSampler:
        return build_strategy(self.name, seed=seed, context=self.context(), **self.options)

    def run(self, folder: Path, *, runs: list[int], seed: int = 5) -> list[dict[str, float]]:
        """Optimise, starting anew from the record between the runs, as after a kill."""
        folder.mkdir()
        for evaluations in runs:
            study = RecordedStudy(folder / "study.db", sampler=self.build(seed), space=make_context().space)
            study.optimize(objective, evaluations)
            assert study.mismatches == 0
        return [trial.params for trial in study.trials]

    def test_proposals_lie_in_the_space_in_network_order(self, tmp_path: Path) -> None:
        for params in self.run(tmp_path / "study", runs=[6]):
            assert list(params) == list(WIDTHS)
            assert all(0.1 <= ratio <= 1.0 for ratio in params.values())

    def test_resumed_equals_straight(self, tmp_path: Path) -> None:
        straight = self.run(tmp_path / "straight", runs=[14])
        assert self.run(tmp_path / "pieces", runs=[1, 5, 12, 14]) == straight
        assert len(straight) >= 14 if self.proposals is None else len(straight) == self.proposals

    def test_seed_decides(self, tmp_path: Path) -> None:
        first = self.run(tmp_path / "a", runs=[4], seed=1)
        assert first == self.run(tmp_path / "b", runs=[4], seed=1)
        if self.draws:
            assert first != self.run(tmp_path / "c", runs=[4], seed=2)

    def test_neighbouring_seeds_share_no_proposal(self, tmp_path: Path) -> None:
        if not self.draws:
            pytest.skip("it proposes the same for every seed")
        first = self.run(tmp_path / "a", runs=[6], seed=0)
        second = self.run(tmp_path / "b", runs=[6], seed=1)
        assert not [params for params in first if params in second]

    @pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
    def test_unusable_reward_is_survived(self, reward: float, tmp_path: Path) -> None:
        for _ in range(2):  # the second time from the record
            study = RecordedStudy(tmp_path / "study.db", sampler=self.build(), space=make_context().space)
            study.optimize(lambda params: Outcome(reward), 3)
        assert all(trial.value is None for trial in study.trials)
        assert study.mismatches == 0

    def test_global_generators_are_left_alone(self, tmp_path: Path) -> None:
        before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        self.run(tmp_path / "study", runs=[4])
        assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before

    def test_minimises_and_survives_plain_optuna(self) -> None:
        study = optuna.create_study(direction="minimize", sampler=self.build())
        study.optimize(lambda trial: sum(trial.suggest_float(name, 0.1, 1.0) for name in WIDTHS), n_trials=5)
        assert len(study.trials) == 5

    def test_unknown_option_names_the_nearest(self) -> None:
        with pytest.raises(SearchError, match=f"Strategy '{self.name}' has no option 'evalations'"):
            build_strategy(self.name, seed=0, context=self.context(), evalations=3)
