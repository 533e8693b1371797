"""What ``--help`` says of each setting, against the schema."""

import dataclasses
import re

import pytest

from conf.help import help_text
from conf.schema import CompareConfig
from conf.schema import MeasureConfig
from conf.schema import SearchConfig
from conf.schema import TaskConfig
from conf.schema import TrainConfig
from conf.schema import TrainingConfig
from conf.schema import settings_in
from lightning_snn.criteria import CRITERIA
from search.estimator import ESTIMATORS
from search.reward import FORMS

COMMANDS = [SearchConfig, TrainConfig, MeasureConfig]


def settings(schema: type[TaskConfig]) -> list[str]:
    return help_text("", schema).split("with their defaults:\n")[1].split("\n\n")[0].splitlines()


def keys(schema: type[TaskConfig]) -> set[str]:
    found = set()
    for each in settings_in(schema):
        value = getattr(schema(), each.name)
        inner = settings_in(value) if dataclasses.is_dataclass(value) else ()
        if not isinstance(value, TrainingConfig):
            found |= {f"{each.name}.{leaf.name}" for leaf in inner} or {each.name}
    return found


@pytest.mark.parametrize("schema", COMMANDS)
def test_every_setting_is_one_line_with_a_meaning_that_fits(schema: type[TaskConfig]) -> None:
    lines = settings(schema)
    assert {line.strip().partition("=")[0] for line in lines} == keys(schema)
    assert len(lines) == len(keys(schema))
    starts = {len(line) - len(line.split("  ", 2)[2].lstrip()) for line in lines}
    assert len(starts) == 1
    assert max(map(len, lines)) <= 120
    assert not any("``" in line or line.endswith((".", " ")) for line in lines)


def test_only_the_first_sentence_is_shown_of_a_setting_wherever_its_class_inherits_it() -> None:
    expected = "trainer.devices=1 Processes that train one network together (DDP)"
    for schema in (SearchConfig, TrainConfig):
        assert expected in [" ".join(line.split()) for line in settings(schema)]


def test_recipes_are_explained_once_and_without_defaults() -> None:
    recipes = help_text("", SearchConfig).split("\n\n")[-1].splitlines()
    assert recipes[0].startswith("training.*, finetuning.*: ")
    assert [line.split()[0] for line in recipes[1:]] == [each.name for each in dataclasses.fields(TrainingConfig)]
    assert all(len(line.split()) > 2 for line in recipes[1:])
    assert help_text("", TrainConfig).split("\n\n")[-1].startswith("training.*, finetuning.*: ")
    assert "training.*" not in help_text("", MeasureConfig)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("data.on_bad_file", ("error", "skip")),
        ("synops.first_layer", ("add", "apart", "drop")),
        ("synops.analog_hidden", ("add", "apart")),
        ("space.criterion", tuple(CRITERIA)),
        ("estimator.name", tuple(ESTIMATORS)),
        ("reward.form", tuple(FORMS)),
        ("trainer.accelerator", ("auto", "cpu", "gpu")),
        ("trainer.precision", ("32-true", "bf16-mixed")),
        ("logger.name", ("none", "wandb")),
    ],
)
def test_allowed_values_are_named(key: str, values: tuple[str, ...]) -> None:
    (line,) = (line for line in settings(SearchConfig) if line.startswith(f"  {key}="))
    meaning = line.split("  ", 2)[2]
    assert all(value in meaning for value in values)


def test_ways_in_that_are_no_settings_are_offered() -> None:
    for schema in COMMANDS:
        text = help_text("", schema)
        assert "--experiment path/to/mine.yaml: a file of your own" in text
        assert "--debug: " in text


def test_what_a_command_takes_in_the_plural_is_offered_in_the_plural() -> None:
    text = help_text("", CompareConfig, {"strategy": "strategies", "seed": "seeds"})
    assert "Strategies (--strategies NAME,NAME):" in text
    assert not re.search(r"^  (seed|strategy\.name)=", text, re.MULTILINE)
    assert re.search(r"^  strategy\.evaluations=100 ", text, re.MULTILINE)
