"""Every spelling of a setting that is accepted, every mistake as one sentence, and names that stay."""

import dataclasses
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from conf.groups import GROUPS
from conf.groups import choices
from conf.identity import digest
from conf.identity import identity
from conf.loading import parse_arguments
from conf.schema import ConfigError
from conf.schema import SearchConfig
from lightning_snn.errors import nearest
from lightning_snn.files import write_json
from search.configuration import load_config
from search.configuration import restore_config
from search.configuration import run_name
from search.configuration import shared_folders

URL = "postgresql://user:p%40ss@host:5432/db?sslmode=require&a=b#c"


@cache
def loaded(*arguments: str) -> SearchConfig:
    return load_config(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--seed", "3"], [("seed", "3")]),
        (["--seed=3"], [("seed", "3")]),
        (["seed=3"], [("seed", "3")]),
        (["--budget.target", "0.4", "data.augment=true"], [("budget.target", "0.4"), ("data.augment", "true")]),
        (["--x", "-0.5"], [("x", "-0.5")]),
        (["--x=-0.5"], [("x", "-0.5")]),
        (["--x=--y"], [("x", "--y")]),
        (["--x", URL], [("x", URL)]),
        ([f"--x={URL}"], [("x", URL)]),
        ([f"x={URL}"], [("x", URL)]),
        (["--x", "a b 'c' \"d\""], [("x", "a b 'c' \"d\"")]),
        (["--x", "[1,2]"], [("x", "[1,2]")]),
        (["--x", "1", "--x", "2"], [("x", "1"), ("x", "2")]),
        (["--x", ""], [("x", "")]),
        (["--x="], [("x", "")]),
        ([], []),
    ],
)
def test_arguments_are_split_into_settings(arguments: list[str], expected: list[tuple[str, str]]) -> None:
    assert parse_arguments(arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["seed"], "found 'seed'"),
        (["-s", "3"], "found '-s'"),
        (["--seed", "3", "4"], "found '4'"),
        (["--seed"], "--seed needs a value, found none. Write --seed VALUE"),
        (["--seed", "--threads", "2"], "--seed needs a value"),
        (["--", "3"], "found '--'"),
        (["--=3"], "found '--=3'"),
        (["=3"], "found '=3'"),
    ],
)
def test_what_is_no_setting_is_refused(arguments: list[str], found: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(found)):
        parse_arguments(arguments)


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[a-z_.]+", fullmatch=True), st.text().filter(lambda text: not text.startswith("--")))
def test_every_spelling_says_the_same(key: str, value: str) -> None:
    expected = [(key, value)]
    assert parse_arguments([f"--{key}", value]) == expected
    assert parse_arguments([f"--{key}={value}"]) == expected
    assert parse_arguments([f"{key}={value}"]) == expected


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        (["--strategy", "tpe"], "strategy.name", "tpe"),
        (["strategy=tpe"], "strategy.name", "tpe"),
        (["--strategy", "tpe", "--strategy", "tpe"], "strategy.name", "tpe"),  # twice the same is no question
        (["--strategy", "tpe", "--strategy.name", "tpe"], "strategy.name", "tpe"),
        (["--strategy.evaluations", "7", "--strategy", "tpe"], "strategy.evaluations", 7),  # in whatever order
        (["--strategy", "spear"], "budget.projection", False),  # a group may set values of others
        (["--strategy", "spear", "budget.projection=on"], "budget.projection", True),
        (["--data", "cifar10"], "training.loss", "tet"),  # the data bring their recipe
        (["--data", "cifar10", "--training", "digits"], "training.loss", "mean"),
        (["--data", "cifar10", "finetuning.epochs=3"], "finetuning.epochs", 3),
        (["--experiment", "none"], "data.name", "digits"),
        (["--experiment", "null"], "data.name", "digits"),
        (["--experiment", "cifar10_first"], "network.name", "vgg_compact"),
        (["--experiment", "cifar10_first"], "data.name", "cifar10"),
        (["--experiment", "cifar10_first", "--network", "vgg11"], "network.name", "vgg11"),
        (["--experiment", "cifar10_first", "data.train_samples=null"], "data.train_samples", None),
        (["--budget.target", "0.25"], "budget.target", 0.25),
        (["--budget.target", "1"], "budget.target", 1.0),
        (["--budget.synops", "1e6"], "budget.synops", 1e6),
        (["--budget.synops", "none"], "budget.synops", None),
        (["--data.train_samples", "50"], "data.train_samples", 50),
        (["--data.augment", "true"], "data.augment", True),
        (["--data.augment", "0"], "data.augment", False),
        (["--data.root", "/a b/c=d?e"], "data.root", "/a b/c=d?e"),
        (["--data.root", "01"], "data.root", "01"),
        (["--name", "0.5"], "name", "0.5"),
        (["--name", "null"], "name", None),
        (["--network._target_", "my.package.Net"], "network._target_", "my.package.Net"),
        (["--network.options.threshold", "-0.5"], "network.options", {"threshold": -0.5}),
        (["--network.options.plan", "[8, M, 16]"], "network.options", {"plan": [8, "M", 16]}),
        (["--strategy.options.a", "3", "--strategy.options.b", "x y"], "strategy.options", {"a": 3, "b": "x y"}),
        (["--strategy.options.flag", "false"], "strategy.options", {"flag": False}),
        (["--strategy.options.rate", "1e-3"], "strategy.options", {"rate": 0.001}),
        (["--strategy.options.nothing", "null"], "strategy.options", {"nothing": None}),
        ([f"--strategy.options.url={URL}"], "strategy.options", {"url": URL}),
    ],
)
def test_a_setting_arrives_with_its_type(arguments: list[str], key: str, expected: Any) -> None:
    value: Any = load_config(arguments)
    for part in key.split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


def test_nothing_else_changes_with_a_setting() -> None:
    assert loaded("--budget.target", "0.25") == dataclasses.replace(
        loaded(), budget=dataclasses.replace(loaded().budget, target=0.25)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budgt.target", "0.4"], "No setting is called 'budgt.target'. Did you mean 'budget.target'?"),
        (["--target", "0.4"], "No setting is called 'target'. Did you mean 'budget.target'?"),
        (["--budget", "0.4"], "No setting is called 'budget'. Did you mean 'budget.target'?"),
        (["--training.lr", "0.4"], "No setting is called 'training.lr'. Did you mean 'training.learning_rate'?"),
        (["--strat", "ddpg"], "No setting is called 'strat'. Did you mean 'strategy'?"),
        (["--strategy", "DDPG"], "No strategy is called 'DDPG'. Did you mean 'ddpg'?"),
        (["--wd", "0.4"], "No setting is called 'wd'. Did you mean 'training.weight_decay'?"),
        (["--T", "4"], "No setting is called 'T'. Did you mean 'network.time_steps'?"),
        (["--epochs", "4"], "No setting is called 'epochs'. Did you mean 'training.epochs'?"),
        (["--qqq", "0.4"], "No setting is called 'qqq'. See --help for the settings."),
        (["--network.options.", "4"], "No setting is called 'network.options.'"),
        (["--budget.options.x", "4"], "No setting is called 'budget.options.x'"),
        (["--strategy", "ddgp"], "No strategy is called 'ddgp'. Did you mean 'ddpg'?"),
        (["--strategy", "qqq"], "No strategy is called 'qqq'. Known names: cmaes, ddpg,"),
        (["--strategy", "none"], "No strategy is called 'none'."),
        (["--data", "null"], "No data set is called 'null'."),
        (["--training", "none"], "No training recipe is called 'none'."),
        (["--logger", "null"], "No logger is called 'null'."),
        (["--data", "cifar"], "No data set is called 'cifar'. Did you mean 'cifar10'?"),
        (["--network", "vgg-16"], "No network is called 'vgg-16'. Did you mean 'vgg16'?"),
        (["--experiment", "first"], "No experiment is called 'first'."),
        (["--seed", "1.5"], "seed must be a whole number, found '1.5'."),
        (["--seed", "x"], "seed must be a whole number, found 'x'."),
        (["--seed", "null"], "seed needs a value, found null."),
        (["--seed", "-1"], "seed must be at least 0, found -1."),
        (["--budget.target", "half"], "budget.target must be a number, found 'half'."),
        (["--budget.target", "nan"], "budget.target is a share"),
        (["--data.augment", "maybe"], "data.augment must be true or false, found 'maybe'."),
        (["--strategy.options", "3"], "found '3'. Write --strategy.options.NAME VALUE."),
        (["--runs", "${nothing.there}"], "runs cannot be used: Interpolation key 'nothing.there' not found."),
        (["--strategy.options.x", "${seed}"], "strategy.options.x cannot be used: '${seed}' is neither"),
        (["--strategy.options.x", "[1,"], "strategy.options.x cannot be used: '[1,' is neither"),
        (["--strategy.options.x", "a: b: c"], "strategy.options.x cannot be used: 'a: b: c' is neither"),
        (["--seed", "1", "seed=2"], "--seed 1 and --seed 2 were given both. Leave one out."),
        (["--strategy", "tpe", "--strategy", "gp"], "--strategy tpe and --strategy gp were given both."),
        (["--data", "cifar10", "--data.name", "digits"], "--data cifar10 and --data.name digits were given both."),
        (["--experiment", "cifar10_first", "--experiment", "none"], "were given both. Leave one out."),
        (["--strategy.options.x", "1", "--strategy.options.x", "2"], "were given both. Leave one out."),
        (["--name", ""], "name is that of a folder below runs, found ''"),
        (["--name", "../other"], "name is that of a folder below runs"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_choices_come_with_what_they_are() -> None:
    assert choices("strategy")["random"] == "uniformly random keep ratios"
    assert "SPEAR as published" in choices("strategy")["spear"]  # not the line that says where Hydra puts it
    for group in ("strategy", "data", "network", "logger", "experiment"):
        assert all(choices(group).values())


@pytest.mark.parametrize("group", GROUPS)
def test_choices_are_the_files_of_a_group(group: str) -> None:
    files = sorted(Path(__file__).parents[2].joinpath("conf", group).glob("*.yaml"))
    assert list(choices(group)) == [file.stem for file in files]


def test_nearest_names_one_or_all() -> None:
    assert nearest("abd", ["xyz", "abc"]) == "Did you mean 'abc'?"
    assert nearest("qq", ["xyz", "abc"]) == "Known names: abc, xyz."


def test_a_digest_does_not_depend_on_order_but_on_every_value() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert re.fullmatch(r"[0-9a-f]{10}", digest({}))


@pytest.mark.parametrize("key", ["network.options.tau", "strategy.options.a", "data.options.drop"])
def test_a_number_is_the_same_option_however_it_is_written(key: str) -> None:
    whole, point, other = (loaded(f"--{key}", value) for value in ("2", "2.0", "2.5"))
    assert run_name(whole) == run_name(point) != run_name(other)
    assert shared_folders(whole) == shared_folders(point)
    assert identity(whole) == identity(point)


def test_only_options_are_numbers_of_no_type() -> None:
    assert digest({"a": 2}) != digest({"a": 2.0})
    assert digest({"options": {"a": True}}) != digest({"options": {"a": 1}})
    assert digest({"options": {"plan": [2, "M"]}}) == digest({"options": {"plan": [2.0, "M"]}})


def test_a_run_is_named_after_what_it_does() -> None:
    assert re.fullmatch(r"digits-vgg_small-ddpg-0\.5-s0-[0-9a-f]{10}", run_name(loaded()))
    other = loaded("--strategy", "tpe", "--data", "cifar10", "--network", "vgg16", "budget.target=0.25", "seed=7")
    assert run_name(other).startswith("cifar10-vgg16-tpe-0.25-s7-")
    assert run_name(loaded("--budget.synops", "150000")).startswith("digits-vgg_small-ddpg-150000synops-s0-")
    assert run_name(loaded("--network._target_", "my.package.Net")).startswith("digits-Net-ddpg-")
    assert run_name(loaded("--name", "mine")) == "mine"


def test_the_same_command_finds_its_run_in_another_process() -> None:
    script = "import sys; from search.configuration import *; print(run_name(load_config(sys.argv[1:])))"
    arguments = ["--strategy", "tpe", "--strategy.options.n_startup_trials", "5"]
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", script, *arguments]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == run_name(load_config(arguments))


PLACES = (
    ("--runs", "elsewhere"),
    ("--threads", "4"),
    ("--logger", "wandb"),
    ("--logger.group", "g"),
    ("--data.root", "/data"),
    ("--estimator.workers", "2"),
)
"""Settings that only say where and how a run is carried out."""
SEARCHES = (
    ("--strategy", "tpe"),
    ("--strategy.evaluations", "7"),
    ("--strategy.options.x", "7"),
    ("--reward.beta", "1", "--budget.projection", "off"),
    ("--estimator.max_samples", "12"),
    ("--estimator.min_samples", "12"),
    ("--estimator.batch", "2"),
    ("--estimator.margin", "0.1"),
    ("--estimator.name", "ratio"),
    ("--budget.projection", "off"),
    ("--budget.tightenings", "1"),
)
"""Settings that shape the search, but neither the dense network nor any sample."""
SAMPLES = (
    ("--finetuning.epochs", "3"),
    ("--budget.target", "0.4"),
    ("--budget.synops", "1000"),
    ("--space.low", "0.2"),
    ("--space.criterion", "random"),
    ("--space.recalibration_batches", "2"),
    ("--synops.first_layer", "add"),
)
"""Settings that shape the samples, but not the dense network."""
DENSE = (
    ("--seed", "1"),
    ("--data.train_samples", "100"),
    ("--network.time_steps", "2"),
    ("--network.options.tau", "3"),
    ("--training.epochs", "3"),
    ("--baseline.artifact", "folder"),
    ("--trainer.precision", "bf16-mixed"),
)
"""Settings that shape the dense network, and so everything."""


@pytest.mark.parametrize("setting", PLACES)
def test_a_run_is_the_same_wherever_it_is_carried_out(setting: tuple[str, ...]) -> None:
    assert run_name(loaded(*setting)) == run_name(loaded())
    assert [path.name for path in shared_folders(loaded(*setting))] == [path.name for path in shared_folders(loaded())]


@pytest.mark.parametrize("setting", [*SEARCHES, *SAMPLES, *DENSE])
def test_a_run_with_another_setting_has_another_name(setting: tuple[str, ...]) -> None:
    assert run_name(loaded(*setting)).rsplit("-", 1)[1] != run_name(loaded()).rsplit("-", 1)[1]


def test_all_settings_are_sorted_into_one_of_the_four() -> None:
    """A new setting must be put where it belongs, here and in ``identity`` and ``shared_folders``."""
    sorted_ones = {key.removeprefix("--").split(".")[0] for key, *_ in (*PLACES, *SEARCHES, *SAMPLES, *DENSE)}
    assert sorted_ones | {"name", "content"} == {each.name for each in dataclasses.fields(SearchConfig)}


@pytest.mark.parametrize("setting", SEARCHES)
def test_runs_that_search_differently_share_the_dense_network_and_the_samples(setting: tuple[str, ...]) -> None:
    assert shared_folders(loaded(*setting)) == shared_folders(loaded())


@pytest.mark.parametrize("setting", SAMPLES)
def test_runs_with_other_samples_share_the_dense_network(setting: tuple[str, ...]) -> None:
    (dense, samples), (same, other) = shared_folders(loaded()), shared_folders(loaded(*setting))
    assert (dense == same, samples == other) == (True, False)


@pytest.mark.parametrize("setting", DENSE)
def test_runs_with_other_dense_networks_share_nothing(setting: tuple[str, ...]) -> None:
    (dense, samples), (other, others) = shared_folders(loaded()), shared_folders(loaded(*setting))
    assert dense != other
    assert others.parent == other
    assert samples.parent == dense


def test_shared_folders_lie_below_runs() -> None:
    dense, samples = shared_folders(loaded("--runs", "/somewhere"))
    assert dense.parent == Path("/somewhere/_shared")
    assert samples.parent == dense


def test_a_run_is_restored_from_its_folder(tmp_path: Path) -> None:
    arguments = ["--strategy", "tpe", "--strategy.options.n_startup_trials", "5", "budget.synops=1000"]
    config = load_config([*arguments, "network.options.plan=[8,M]"])
    folder = tmp_path / run_name(config)
    write_json(folder / "settings.json", identity(config))
    restored = restore_config(folder)
    assert identity(restored) == identity(config)
    assert Path(restored.runs) / run_name(restored) == folder


@pytest.mark.parametrize("text", [None, "{", '{"unknown": 1}', '{"seed": "x"}', '{"budget": {"target": 7.0}}'])
def test_a_folder_that_is_no_run_is_one_sentence(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        restore_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_folder_of_a_training_is_told_apart(tmp_path: Path) -> None:
    write_json(tmp_path / "settings.json", {"seed": 0, "pruning": {"name": "lamp"}})
    with pytest.raises(ConfigError, match="not the folder of a search, but of a training"):
        restore_config(tmp_path)
