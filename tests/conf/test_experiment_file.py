"""Experiments by name and by path: what they say arrives or is refused by name; what cannot be read is a sentence."""

import os
from pathlib import Path

import pytest

from conf.experiment_file import read_experiment
from conf.identity import identity
from conf.loading import given_keys
from conf.loading import load
from conf.schema import ConfigError
from conf.schema import MeasureConfig
from conf.schema import SearchConfig
from conf.schema import TrainConfig

MINE = """\
# mine
defaults:
  - override /data: cifar10
training:
  epochs: 3
network:
  options:
    plan: [8, M]
pruning:
  target: 0.3
estimator:
  min_samples: 4
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(content: str | bytes, name: str = "mine.yaml") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def search(*arguments: str) -> SearchConfig:
    return load(SearchConfig, "search", arguments)


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "below/mine.yaml", "./mine", "~/mine.yaml", "/mine"])
@pytest.mark.parametrize("before", ["", "# @package _global_\n", "\ufeff# @package _global_\n", "\ufeff", "---\n"])
def test_a_file_by_its_path_says_what_it_says(
    name: str, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = str(tmp_path / name[1:]) if name.startswith("/") else name
    written(before + MINE, os.path.expanduser(name))
    config = search("--experiment", name)
    assert (config.data.name, config.training.epochs, config.network.options) == ("cifar10", 3, {"plan": [8, "M"]})
    assert (config.training.loss, config.estimator.min_samples) == ("tet", 4)  # the data bring their recipe


def test_sections_of_other_commands_are_for_them() -> None:
    name = written(MINE)
    trained = load(TrainConfig, "train", ["--experiment", name, "--pruning", "lamp"])
    assert (trained.pruning.target, trained.training.epochs) == (0.3, 3)
    assert load(MeasureConfig, "measure", ["--experiment", name]).data.name == "cifar10"


def test_the_command_line_comes_after_the_file() -> None:
    config = search("--experiment", written(MINE), "--data", "digits", "--training.epochs", "7")
    assert (config.data.name, config.training.epochs, config.training.loss) == ("digits", 7, "mean")


def test_a_name_of_the_command_line_comes_after_one_of_the_file() -> None:
    name = written("network:\n  name: vgg16\n  time_steps: 3\n")
    assert search("--experiment", name).network.name == "vgg16"
    config = search("--experiment", name, "--network", "vgg11")
    assert (config.network.name, config.network.time_steps) == ("vgg11", 3)


def test_what_a_run_is_does_not_depend_on_where_its_experiment_lies() -> None:
    first, second = (identity(search("--experiment", written(MINE, name))) for name in ("a.yaml", "b/c.yml"))
    assert first == second
    assert first != identity(search("--experiment", written(MINE.replace("epochs: 3", "epochs: 4"))))


def test_an_experiment_comes_before_what_a_run_recorded() -> None:
    recorded = {"seed": 3, "data": {"name": "digits", "batch_size": 7}, "synops": {"first_layer": "drop"}}
    config = load(MeasureConfig, "measure", ["--experiment", written("data:\n  batch_size: 9\n")], recorded)
    assert (config.seed, config.data.name, config.data.batch_size) == (3, "digits", 9)
    assert config.synops.first_layer == "drop"
    picked = load(MeasureConfig, "measure", ["--experiment", written(MINE)], recorded)
    assert (picked.data.name, picked.data.batch_size) == ("cifar10", search("--data", "cifar10").data.batch_size)


def test_keys_of_the_file_are_given_keys() -> None:
    found = given_keys(["--experiment", written(MINE), "--seed", "3"])
    assert {"experiment", "seed", "data", "training.epochs", "network.options.plan"} <= set(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "training:\n  epoch: 3\n",
            "No setting is called 'training.epoch', found in mine.yaml. Did you mean 'training.ep",
        ),
        (
            "trainin:\n  epochs: 3\n",
            "No setting is called 'trainin.epochs', found in mine.yaml. Did you mean 'training.e",
        ),
        ("experiment:\n  seed: 3\n", "No setting is called 'experiment.seed', found in mine.yaml."),
        ("seed:\n  a: 3\n", "No setting is called 'seed.a', found in mine.yaml. Did you mean 'seed'?"),
        ("pruning:\n  tarjet: 0.3\n", "No setting is called 'pruning.tarjet', found in mine.yaml."),
        (
            "trainer:\n  device: 2\n",
            "No setting is called 'trainer.device', found in mine.yaml. Did you mean 'trainer.de",
        ),
        ("training.epochs: 3\n", "training.epochs in mine.yaml has a dot. Write a.b as 'a:'"),
        ("network:\n  options.plan: [3]\n", "options.plan in mine.yaml has a dot."),
        ("seeds: [1, 2]\n", "seeds in mine.yaml is for one command alone. Give it on the command line, as --seeds."),
        (
            "data: cifar10\n",
            "data in mine.yaml is a section, found 'cifar10'. Write its settings below it, indented, or",
        ),
        ("training:\n", "training in mine.yaml is a section, found nothing."),
        ("training:\n  epochs: x\n", "mine.yaml: training.epochs must be a whole number, found 'x'."),
        ("network:\n  options: 3\n", "mine.yaml: network.options are set one by one, found 3."),
        ("training:\n\tepochs: 3\n", "mine.yaml, line 2: a tab. Indent with spaces."),
        ("training:\n  epochs: 3\n  epochs: 4\n", "mine.yaml, line 3: epochs is given twice. Leave one out."),
        ("seed: 1\nruns: x\nseed: 1\n", "mine.yaml, line 3: seed is given twice."),
        ("a: b: c\n", "mine.yaml, line 1: not YAML, mapping values are not allowed here."),
        ("training: {epochs: 3", "mine.yaml, line 1: not YAML, expected ',' or '}'"),
        ("seed: !!python/object:os.system 3\n", "mine.yaml, line 1: not YAML, could not determine a constructor"),
        ("seed: 1\n---\nseed: 2\n", "mine.yaml, line 2: not YAML, but found another document."),
        ("a: &a [*a]\n", "mine.yaml cannot be read: an anchor in it refers to itself."),
        ("a: \x01", "mine.yaml cannot be read: unacceptable character #x0001"),
        (b"seed: 1\nruns: \xe9\n", "mine.yaml, line 2: not UTF-8. Save the file as UTF-8."),
        ("seed: 1\n".encode("utf-16"), "mine.yaml, line 1: not UTF-8."),
        ("- seed\n- 3\n", "mine.yaml holds no settings. Write them as 'key: value', one a line."),
        ("epochs 3\n", "mine.yaml holds no settings."),
        ("3\n", "mine.yaml holds no settings."),
        (
            "defaults:\n  - override /data: cifa10\n",
            "mine.yaml: No data set is called 'cifa10'. Did you mean 'cifar10'?",
        ),
        (
            "defaults:\n  - override /dta: digits\n",
            "No group of files is called 'dta' in mine.yaml. Did you mean 'data'?",
        ),
        (
            "defaults:\n  - cifar10_first\n",
            "defaults in mine.yaml pick files, found 'cifar10_first'. Picks are written '-",
        ),
        ("defaults: cifar10\n", "defaults in mine.yaml are a list, found 'cifar10'. Picks are written"),
        (
            "defaults:\n  - override /data: digits\n  - /data: cifar10\n",
            "data is picked twice in mine.yaml: digits and cifar10.",
        ),
    ],
)
def test_what_nobody_takes_or_reads_is_one_sentence(content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        search("--experiment", written(content))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "# nothing yet\n", "defaults: null\n", "training: {}\n", "defaults:\n - _self_\n"]
)
def test_a_file_that_says_nothing_changes_nothing(content: str) -> None:
    assert search("--experiment", written(content)) == search()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.yaml", "There is no file none.yaml for --experiment. Ours are named without a path; see --help."),
        (
            "conf/experiment/cifar10_first.yaml",
            "There is no file conf/experiment/cifar10_first.yaml for --experiment. Did",
        ),
        ("folder.yaml", "folder.yaml cannot be read for --experiment (Is a directory). Name a YAML file."),
        ("mine", "No experiment is called 'mine'. For the file, write --experiment mine.yaml."),
        ("cifar10_firs", "No experiment is called 'cifar10_firs'. Did you mean 'cifar10_first'?"),
        ("", "No experiment is called ''. Known names: cifar10_cpu,"),
    ],
)
def test_a_file_that_is_not_there_is_one_sentence(name: str, message: str) -> None:
    written(MINE)
    Path("folder.yaml").mkdir()
    with pytest.raises(ConfigError) as caught:
        read_experiment(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none", "null"])
def test_no_experiment_is_one_too(name: str) -> None:
    assert read_experiment(name).values == read_experiment(name).picked == {}


def test_a_name_brings_its_settings_however_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("strategy:\n  name: spear\n  evaluations: 30\n")
    given = [
        load(SearchConfig, "search", arguments)
        for arguments in (
            ["--strategy", "spear", "--strategy.evaluations", "30"],
            ["--strategy.name", "spear", "--strategy.evaluations", "30"],
            ["--experiment", str(file)],
        )
    ]
    assert given[0] == given[1] == given[2]
    assert not given[0].budget.projection
    file.write_text("defaults:\n  - override /strategy: l1\nstrategy:\n  name: spear\n")
    with pytest.raises(ConfigError, match="names two of strategy, l1 and spear"):
        load(SearchConfig, "search", ["--experiment", str(file)])
