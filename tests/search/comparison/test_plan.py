"""Which searches are planned, and that mistakes are found before any is carried out."""

import dataclasses
import json
from pathlib import Path

import pytest

from conf.identity import digest
from conf.identity import identity
from conf.loading import load
from conf.schema import CompareConfig
from conf.schema import ConfigError
from search import compare
from search.comparison.plan import members_of
from search.comparison.plan import plan_runs
from search.comparison.plan import what_searches_cost
from search.configuration import load_config
from search.errors import SearchError

VARIANTS = {"random": ("strategy=random",), "slow": ("strategy=ddpg", "strategy.options.warmup=20")}


def name_of(settings: list[str]) -> str:
    return digest(identity(load(CompareConfig, "compare", settings)))


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
    assert planned[0].title == "random, 70 %, seed 4"


def test_what_a_strategy_file_sets_comes_along() -> None:
    (planned,) = plan_runs([], {"spear": ("strategy=spear",)}, targets=[0.5], seeds=[0])
    assert planned.config.budget.projection is False


def test_an_experiment_is_passed_on_but_not_its_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nfinetuning:\n  epochs: 5\nstrategy:\n  evaluations: 27\nbudget:\n  target: 0.3\n")
    planned = plan_runs([f"experiment={file}"], VARIANTS, targets=[0.5], seeds=[1, 2])
    assert len({each.folder for each in planned}) == 4
    for config in (each.config for each in planned):
        assert (config.name, config.finetuning.epochs, config.strategy.evaluations) == (None, 5, 27)
        assert config.budget.target == 0.5


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("seed: 3", "found seed"),
        ("strategy:\n  name: gp", "found strategy.name"),
        ("defaults: [strategy: gp]", "strategy."),
    ],
)
def test_one_of_what_a_comparison_has_several_of_is_refused_in_its_experiment(
    content: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    assert compare.main(["--experiment", str(tmp_path / "mine.yaml"), "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: A comparison has several: ")
    assert found in said


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


def test_an_absolute_budget_is_no_share_to_compare_at(tmp_path: Path) -> None:
    config = load_config(["budget.synops=1000"])
    (tmp_path / "settings.json").write_text(json.dumps(dataclasses.asdict(config)))
    with pytest.raises(ConfigError, match=r"found budget\.synops=1000 in .* Report it apart"):
        members_of([tmp_path])


@pytest.mark.parametrize(
    "settings",
    [
        ["budget.target=0.3"],
        ["targets=0.3"],
        ["strategy.evaluations=7"],
        ["finetuning.epochs=1"],
        ["network.options.tau=3"],
        ["seeds=0,1"],
        ["strategies=random,cmaes"],
    ],
)
def test_a_comparison_of_other_searches_has_another_name(settings: list[str]) -> None:
    assert digest(identity(load(CompareConfig, "compare", settings))) != digest(
        identity(load(CompareConfig, "compare", []))
    )


def test_a_comparison_is_the_same_however_it_is_carried_out() -> None:
    settings = ["workers=4", "task=2", "reference=cmaes", "threads=2", "runs=elsewhere", "logger=wandb"]
    assert digest(identity(load(CompareConfig, "compare", settings))) == digest(
        identity(load(CompareConfig, "compare", []))
    )


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not the folder of a run"):
        members_of([tmp_path])


def folder_of(root: Path, name: str, *settings: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(identity(load_config(settings))))
    return folder


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("synops.first_layer=add", r"synops\.first_layer apart in .*a and add in .*b"),
        ("finetuning.epochs=1", r"finetuning\.epochs 8 in .*a and 1 in"),
        ("space.low=0.3", r"space\.low 0\.1 in .*a and 0\.3 in"),
        ("estimator.name=identity", r"estimator\.name linear in .*a and identity in"),
        ("data=digits_events", r"data\.name digits in .*a and digits_events in"),  # with another seed than the first
    ],
)
def test_searches_under_other_rules_are_not_compared(setting: str, said: str, tmp_path: Path) -> None:
    one = folder_of(tmp_path, "a", "strategy=ddpg")
    other = folder_of(tmp_path, "b", "strategy=cmaes", "seed=1", setting)
    with pytest.raises(ConfigError, match=said):
        members_of([one, other])


def test_strategies_may_rank_channels_otherwise_and_run_on_other_machines(tmp_path: Path) -> None:
    one = folder_of(tmp_path, "a", "strategy=ddpg", "estimator.workers=1")
    other = folder_of(tmp_path, "b", "strategy=slimming", "estimator.workers=2")
    assert [each.variant for each in members_of([one, other])] == ["ddpg", "slimming"]


def test_a_search_that_is_all_warm_up_is_refused() -> None:
    with pytest.raises(
        SearchError, match=r"'spear' proposes at random in its warm-up of 100 .* found .*evaluations 100"
    ):
        plan_runs(["strategy.evaluations=100"], {"spear": ("strategy=spear",)}, targets=[0.5], seeds=[0])
    plan_runs(["strategy.evaluations=101"], {"spear": ("strategy=spear",)}, targets=[0.5], seeds=[0])


@pytest.mark.parametrize(("evaluations", "is_said"), [(10, True), (11, False)])
def test_a_search_that_its_own_warm_up_fills_is_named_before_it_starts(evaluations: int, is_said: bool) -> None:
    variants = {name: (f"strategy={name}",) for name in ("ddpg", "random")}
    planned = plan_runs([f"strategy.evaluations={evaluations}"], variants, targets=[0.5], seeds=[0])
    assert ("Searches of ddpg with so few evaluations are all warm-up" in what_searches_cost(planned)) == is_said
