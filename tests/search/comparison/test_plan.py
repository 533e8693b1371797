"""Which searches are planned, and that mistakes are found before any is carried out."""

from pathlib import Path

import pytest

from conf.schema import ConfigError
from search.comparison.plan import members_of
from search.comparison.plan import plan_runs
from search.errors import SearchError

VARIANTS = {"random": ("strategy=random",), "slow": ("strategy=ddpg", "strategy.options.warmup=20")}


def test_variants_times_targets_times_seeds() -> None:
    planned = plan_runs(["strategy.evaluations=30"], VARIANTS, targets=[0.7, 0.5], seeds=[4, 2])
    assert [(each.variant, each.target, each.seed) for each in planned] == [
        (variant, target, seed) for seed in (4, 2) for target in (0.7, 0.5) for variant in ("random", "slow")
    ]
    for each in planned:
        assert (each.config.budget.target, each.config.seed) == (each.target, each.seed)
        assert each.config.strategy.evaluations == 30
    assert planned[1].config.strategy.options == {"warmup": 20}
    assert len({each.folder for each in planned}) == 8
    assert planned[0].title == "random, 70%, seed 4"


def test_what_a_strategy_file_sets_comes_along() -> None:
    (planned,) = plan_runs([], {"spear": ("strategy=spear",)}, targets=[0.5], seeds=[0])
    assert planned.config.budget.projection is False


@pytest.mark.parametrize(
    ("settings", "variants", "said"),
    [
        (["data.batch=3"], VARIANTS, "No setting is called 'data.batch'"),
        ([], {"a": ("strategy=cmeas",)}, "No strategy is called 'cmeas'"),
        ([], {"a": ("strategy=random", "strategy.options.warmup=3")}, "Strategy 'random' has no option 'warmup'"),
        (["space.criterion=l2"], VARIANTS, r"No space\.criterion is called 'l2'"),
        (["estimator.name=line"], VARIANTS, r"No estimator\.name is called 'line'"),
    ],
)
def test_a_mistake_is_found_at_once(settings: list[str], variants: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises((ConfigError, SearchError), match=said):
        plan_runs(settings, variants, targets=[0.5], seeds=[0])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not the folder of a run"):
        members_of([tmp_path])
