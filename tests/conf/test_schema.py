"""Every range of the configuration: its ends are accepted, what lies beyond is one sentence."""

import dataclasses
import math
import re
from typing import Any

import pytest

from conf import schema
from conf.schema import AblateConfig
from conf.schema import BudgetConfig
from conf.schema import CompareConfig
from conf.schema import ConfigError
from conf.schema import DataConfig
from conf.schema import EstimatorConfig
from conf.schema import LoggerConfig
from conf.schema import MeasureConfig
from conf.schema import NetworkConfig
from conf.schema import RewardConfig
from conf.schema import SearchConfig
from conf.schema import SpaceConfig
from conf.schema import StrategyConfig
from conf.schema import SynOpsConfig
from conf.schema import TrainConfig
from conf.schema import TrainingConfig

ACCEPTED: list[tuple[type[Any], str, Any]] = [
    (DataConfig, "validation_fraction", 0.01),
    (DataConfig, "batch_size", 1),
    (NetworkConfig, "time_steps", 1),
    (TrainingConfig, "epochs", 1),
    (TrainingConfig, "warmup_epochs", 0),
    (TrainingConfig, "label_smoothing", 0.0),
    (TrainingConfig, "optimizer", "adamw"),
    (TrainingConfig, "loss", "tet"),
    (SynOpsConfig, "first_layer", "drop"),
    (SynOpsConfig, "analog_hidden", "apart"),
    (SpaceConfig, "low", 0.01),
    (SpaceConfig, "recalibration_batches", 0),
    (EstimatorConfig, "min_samples", 3),
    (EstimatorConfig, "max_samples", 8),
    (EstimatorConfig, "confidence", 0.51),
    (BudgetConfig, "target", 1.0),
    (BudgetConfig, "target", 1e-6),
    (BudgetConfig, "synops", 0.5),
    (BudgetConfig, "tightenings", 0),
    (RewardConfig, "beta", 0.3),
    (StrategyConfig, "evaluations", 1),
    (LoggerConfig, "name", "wandb"),
    (SearchConfig, "seed", 0),
    (SearchConfig, "threads", 1),
    (SearchConfig, "name", "run-1.b_2"),
    (SearchConfig, "name", "2"),
]
REFUSED: list[tuple[type[Any], str, Any, str]] = [
    (DataConfig, "validation_fraction", 0.0, "data.validation_fraction must lie strictly between 0 and 1, found 0"),
    (DataConfig, "validation_fraction", 1.0, "found 1"),
    (DataConfig, "batch_size", 0, "data.batch_size must be at least 1, found 0"),
    (DataConfig, "eval_batch_size", 0, "data.eval_batch_size must be at least 1, found 0"),
    (NetworkConfig, "time_steps", 0, "network.time_steps must be at least 1, found 0"),
    (SynOpsConfig, "first_layer", "yes", "synops.first_layer must be one of apart, add, drop, found 'yes'"),
    (SynOpsConfig, "analog_hidden", "drop", "synops.analog_hidden must be one of add, apart, found 'drop'"),
    (SpaceConfig, "low", 0.0, "space.low must lie strictly between 0 and 1, found 0"),
    (SpaceConfig, "low", 1.0, "found 1"),
    (SpaceConfig, "recalibration_batches", -1, "space.recalibration_batches must be at least 0, found -1"),
    (SpaceConfig, "recalibration_batch_size", 0, "space.recalibration_batch_size must be at least 1, found 0"),
    (EstimatorConfig, "min_samples", 2, "estimator.min_samples must be at least 3, found 2"),
    (EstimatorConfig, "max_samples", 7, "estimator.max_samples must be at least 8, found 7"),
    (EstimatorConfig, "batch", 0, "estimator.batch must be at least 1, found 0"),
    (EstimatorConfig, "workers", 0, "estimator.workers must be at least 1, found 0"),
    (EstimatorConfig, "margin", 0.0, "estimator.margin must be a number above 0, found 0"),
    (EstimatorConfig, "confidence", 0.5, "estimator.confidence must lie strictly between 0.5 and 1, found 0.5"),
    (EstimatorConfig, "confidence", 1.0, "found 1"),
    (BudgetConfig, "target", 0.0, "share of the baseline's SynOps in (0, 1], found 0"),
    (BudgetConfig, "target", 50.0, "found 50. Use 0.5 to halve them"),
    (BudgetConfig, "target", math.nan, "found nan"),
    (BudgetConfig, "synops", 0.0, "budget.synops must be a number above 0, found 0"),
    (BudgetConfig, "synops", math.nan, "found nan"),
    (BudgetConfig, "synops", math.inf, "found inf"),
    (BudgetConfig, "tightenings", -1, "budget.tightenings must be at least 0, found -1"),
    (RewardConfig, "beta", 0.0, "reward.beta must be a number above 0, found 0"),
    (StrategyConfig, "evaluations", 0, "strategy.evaluations must be at least 1, found 0"),
    (LoggerConfig, "name", "tensorboard", "logger must be one of none, wandb, found 'tensorboard'"),
    (SearchConfig, "seed", -1, "seed must be at least 0, found -1"),
    (SearchConfig, "threads", 0, "threads must be at least 1, found 0"),
    *(
        (SearchConfig, "name", name, "name is that of a folder below runs")
        for name in ("", "a/b", "..", "_shared", "a?b")
    ),
]
SECTIONS = [each for each in vars(schema).values() if dataclasses.is_dataclass(each) and isinstance(each, type)]


@pytest.mark.parametrize(("section", "key", "value"), ACCEPTED)
def test_the_ends_of_a_range_are_accepted(section: type[Any], key: str, value: Any) -> None:
    assert getattr(section(**{key: value}), key) == value


@pytest.mark.parametrize(("section", "key", "value", "message"), REFUSED)
def test_what_lies_beyond_is_refused_in_one_sentence(section: type[Any], key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(**{key: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["training", "finetuning"])
@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("epochs", 0, "epochs must be at least 1, found 0"),
        ("warmup_epochs", -1, "warmup_epochs must be at least 0, found -1"),
        ("learning_rate", 0.0, "learning_rate must be a number above 0, found 0"),
        ("weight_decay", -1.0, "weight_decay must be at least 0, found -1"),
        ("weight_decay", math.inf, "weight_decay must be a finite number, found inf"),
        ("tet_phi", math.nan, "tet_phi must be a finite number, found nan"),
        ("momentum", 1.5, "momentum must lie between 0 and 1, found 1.5"),
        ("tet_lambda", -0.1, "tet_lambda must lie between 0 and 1, found -0.1"),
        ("optimizer", "adam", "optimizer must be one of sgd, adamw, found 'adam'"),
        ("loss", "TET", "loss must be one of mean, tet, found 'TET'"),
        ("label_smoothing", 1.1, "label_smoothing must lie between 0 and 1, found 1.1"),
    ],
)
def test_a_recipe_is_refused_with_its_section(section: str, field: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{section}.{sentence}')}"):
        SearchConfig(**{section: TrainingConfig(**{field: value})})


@pytest.mark.parametrize("schema", [CompareConfig, AblateConfig])
def test_seeds_are_compared_at_shares(schema: type[SearchConfig]) -> None:
    with pytest.raises(ConfigError, match=r"found budget\.synops=1000\. Give budget\.target"):
        schema(budget=BudgetConfig(synops=1000.0))


def test_every_section_of_a_run_is_a_dataclass_of_its_own() -> None:
    configs = (SearchConfig(), TrainConfig())
    values = [getattr(config, each.name) for config in configs for each in dataclasses.fields(config)]
    values.append(MeasureConfig().trainer)
    sections = {type(value) for value in values} & set(SECTIONS)
    commands = {each for each in SECTIONS if issubclass(each, schema.TaskConfig)}
    assert sections | commands == set(SECTIONS)


def test_no_two_configurations_share_a_value_that_can_change() -> None:
    one, other = SearchConfig(), SearchConfig()
    one.strategy.options["x"] = 1
    assert other.strategy.options == {}
    assert one.training is not one.finetuning


def test_errors_are_value_errors() -> None:
    assert issubclass(ConfigError, ValueError)
