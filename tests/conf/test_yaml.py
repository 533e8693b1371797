"""Every YAML file of ``conf/`` against the typed schema, the registries, and the defaults of the dataclasses."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

import conf
from conf.groups import GROUPS
from conf.loading import load
from conf.schema import DataConfig
from conf.schema import LoggerConfig
from conf.schema import NetworkConfig
from conf.schema import PruningConfig
from conf.schema import SearchConfig
from conf.schema import StrategyConfig
from conf.schema import TrainConfig
from conf.schema import TrainingConfig
from datamodules import DATAMODULES
from lightning_snn.criteria import CRITERIA
from lightning_snn.networks import NETWORKS
from lightning_snn.pruners import PRUNERS
from lightning_snn.task import open_data
from search.configuration import load_config
from search.estimator import ESTIMATORS
from search.reward import FORMS
from search.strategies import STRATEGIES
from search.strategies import check_strategy

ROOT = Path(conf.__file__).parent
FILES = sorted(file for file in ROOT.glob("*/*.yaml"))
SCHEMAS = {"data": DataConfig, "network": NetworkConfig, "strategy": StrategyConfig, "logger": LoggerConfig}
SCHEMAS["pruning"] = PruningConfig
REGISTRIES = {"data": DATAMODULES, "network": NETWORKS, "strategy": STRATEGIES, "pruning": {"none", *PRUNERS}}


def read(file: Path) -> dict[str, Any]:
    values = yaml.safe_load(file.read_text())
    assert isinstance(values, dict)
    return values


def names(group: str) -> set[str]:
    return {file.stem for file in FILES if file.parent.name == group}


def identifier(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def test_every_folder_is_a_group_that_can_be_picked() -> None:
    assert {file.parent.name for file in FILES} == set(GROUPS)


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_every_file_composes_into_the_schema(file: Path) -> None:
    picked = [f"--{file.parent.name}", file.stem]
    config = load(TrainConfig, "train", picked) if file.parent.name == "pruning" else load_config(picked)
    if file.parent.name in SCHEMAS:
        assert getattr(config, file.parent.name).name == file.stem


@pytest.mark.parametrize("group", SCHEMAS)
def test_every_file_says_every_key_of_its_section_and_no_other(group: str) -> None:
    keys = {each.name for each in dataclasses.fields(SCHEMAS[group])} - {"_target_"}
    for name in names(group):
        values = read(ROOT / group / f"{name}.yaml")
        assert set(values.get(group, values)) == keys, name


def test_every_recipe_says_every_key_of_training_and_fine_tuning() -> None:
    keys = {each.name for each in dataclasses.fields(TrainingConfig)}
    for name in names("training"):
        values = read(ROOT / "training" / f"{name}.yaml")
        if set(values) == {"defaults"}:  # another data set's recipe, taken whole
            assert (
                load_config(["--training", name]).training == load_config(["--training", *values["defaults"]]).training
            )
            continue
        assert {section: set(recipe) for section, recipe in values.items()} == {"training": keys, "finetuning": keys}


@pytest.mark.parametrize("group", REGISTRIES)
def test_every_name_is_in_its_registry_and_every_registered_name_has_a_file(group: str) -> None:
    assert names(group) == set(REGISTRIES[group])


def test_every_data_set_has_a_recipe() -> None:
    assert names("data") == names("training")


@pytest.mark.parametrize("name", sorted(names("strategy")))
def test_every_strategy_takes_the_options_of_its_file(name: str) -> None:
    check_strategy(name, load_config(["--strategy", name]).strategy.options)


@pytest.mark.parametrize("name", sorted(names("data")))
def test_every_data_set_takes_what_its_file_says(name: str) -> None:
    config = load_config(["--data", name])
    assert open_data(config.data, seed=0, time_steps=config.network.time_steps).name == name


@pytest.mark.parametrize("file", FILES, ids=identifier)
def test_every_file_begins_with_what_it_is(file: Path) -> None:
    comments = [line for line in file.read_text().splitlines() if line.startswith("# ") and "@package" not in line]
    assert comments or file.parent.name == "training"


def test_names_that_are_checked_later_are_known_by_default() -> None:
    config = load_config([])
    assert config.estimator.name in ESTIMATORS
    assert config.reward.form in FORMS
    assert config.space.criterion in CRITERIA


def test_what_is_run_by_default_is_what_the_dataclasses_say() -> None:
    """But for the recipes, which come with the data; ``--help`` shows the dataclasses' defaults."""
    recipes = load_config([])
    assert recipes == SearchConfig(training=recipes.training, finetuning=recipes.finetuning)


@pytest.mark.parametrize("file", sorted(ROOT.glob("*.yaml")), ids=lambda file: file.stem)
def test_root_files_pick_groups_and_leave_defaults_to_the_dataclasses(file: Path) -> None:
    assert set(read(file)) == {"defaults"}
