"""The whole pipeline on tiny digits: every strategy, killed and resumed, and every way it can refuse."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from torch import nn

from conf.identity import identity
from conf.identity import places
from conf.loading import later_wins
from conf.schema import TrainConfig
from lightning_snn.artifact import load_artifact
from lightning_snn.artifact import save_artifact
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import SurgeryError
from lightning_snn.files import write_json
from lightning_snn.run_folder import RunFolder
from lightning_snn.surgery import ChannelPlan
from lightning_snn.surgery import channel_groups
from lightning_snn.task import Task
from search.baseline import obtain_baseline
from search.cli import main
from search.configuration import load_config
from search.configuration import restore_config
from search.record import read_record
from search.strategies import STRATEGIES
from search.task import SearchTask

SETTINGS = {
    "threads": 1,
    "data.train_samples": 300,
    "data.batch_size": 50,
    "network.time_steps": 2,
    "network.options.plan": "[8,M,12,M,16,M]",
    "training.epochs": 8,
    "finetuning.epochs": 2,
    "space.low": 0.2,
    "space.recalibration_batches": 2,
    "estimator.min_samples": 4,
    "estimator.max_samples": 5,
    "estimator.batch": 1,
    "budget.target": 0.6,
}
TINY = [f"{key}={value}" for key, value in SETTINGS.items()]
OWN_NETWORKS = """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

class Net(nn.Sequential):
    def __init__(self, channels, classes):
        super().__init__(layer.Conv2d(channels, 4, 3), neuron.LIFNode(), layer.Flatten(), layer.Linear(144, classes))
        functional.set_step_mode(self, "m")

def ThreeChannels(plan):
    return Net(3, 10)

def SevenClasses(plan):
    return Net(1, 7)

def NoBatchNorm(plan):
    return Net(1, 10)

class OneLayer(nn.Sequential):
    def __init__(self, plan):
        super().__init__(layer.Flatten(), layer.Linear(64, 10), neuron.LIFNode())
        functional.set_step_mode(self, "m")

class GroupNormed(nn.Sequential):
    def __init__(self, plan):
        super().__init__(
            layer.Conv2d(1, 8, 3, stride=2), layer.BatchNorm2d(8), neuron.LIFNode(v_threshold=0.3),
            layer.Conv2d(8, 8, 3), layer.BatchNorm2d(8), neuron.LIFNode(v_threshold=0.3),
            layer.Conv2d(8, 4, 1), layer.GroupNorm(2, 4), neuron.LIFNode(v_threshold=0.1), layer.Flatten(),
            layer.Linear(4, 10),
        )
        functional.set_step_mode(self, "m")

class OnlyGroupNorms(nn.Sequential):
    def __init__(self, plan):
        super().__init__(
            layer.Conv2d(1, 4, 3), layer.GroupNorm(2, 4), neuron.LIFNode(),
            layer.Conv2d(4, 4, 3), layer.GroupNorm(2, 4), neuron.LIFNode(), layer.Flatten(), layer.Linear(64, 10),
        )
        functional.set_step_mode(self, "m")

class WeightNormed(nn.Sequential):
    def __init__(self, plan):
        super().__init__(
            layer.Conv2d(1, 4, 3), neuron.LIFNode(), nn.utils.weight_norm(layer.Conv2d(4, 4, 3)), neuron.LIFNode(),
            layer.Flatten(), layer.Linear(64, 10),
        )
        functional.set_step_mode(self, "m")
"""
RULES = ("uniform", "l1", "slimming", "sca")
ENDING = ("gradient", "greedy")
"""Strategies that end by themselves after as many proposals as evaluations, or fewer."""
EVALUATIONS = 12


def arguments(runs: Path, strategy: str, *more: str) -> list[str]:
    evaluations = "1" if strategy in RULES else str(EVALUATIONS)
    command = [*TINY, "--runs", str(runs), "--strategy", strategy, "--strategy.evaluations", evaluations, *more]
    return later_wins([*command, *(["--strategy.options.warmup", "5"] if strategy in ("ddpg", "spear") else [])])


def only_run(runs: Path) -> Path:
    (folder,) = [folder for folder in runs.iterdir() if not folder.name.startswith("_")]
    return folder


def trials_of(runs: Path) -> list[Any]:
    """All that was recorded of every trial, but how long it took."""
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{only_run(runs) / 'study.db'}")
    return [
        (t.params, t.value, t.state, t.constraints, {k: v for k, v in t.user_attrs.items() if "seconds" not in k})
        for t in study.trials
    ]


def result_of(runs: Path) -> dict[str, Any]:
    """The result, but how long things took."""
    result = json.loads((only_run(runs) / "result.json").read_text())
    for key in ("baseline", "result"):
        del result[key]["batch_seconds"]
    del result["seconds"]
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with the dense network and the samples that every strategy shares."""
    runs = tmp_path_factory.mktemp("shared")
    assert main(arguments(runs, "uniform")) in (0, 3)
    return runs / "_shared"


@pytest.fixture(scope="module", params=sorted(STRATEGIES))
def finished(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder in which one strategy went straight through."""
    runs = tmp_path_factory.mktemp(request.param)
    shutil.copytree(shared, runs / "_shared")
    assert main(arguments(runs, request.param)) in (0, 3)
    return runs


def strategy_of(runs: Path) -> str:
    return str(json.loads((only_run(runs) / "settings.json").read_text())["strategy"]["name"])


def test_every_strategy_goes_all_the_way(finished: Path) -> None:
    result, folder = result_of(finished), only_run(finished)
    assert result["schema"] == 1
    assert result["strategy"] == strategy_of(finished)
    if result["strategy"] in RULES:
        assert (result["trials"], result["evaluations"]) == (1, 1)
    elif result["strategy"] in ENDING:
        assert 3 <= result["evaluations"] <= result["trials"] <= EVALUATIONS
    else:  # a strategy that repeats itself ends at four proposals per evaluation
        assert result["evaluations"] == EVALUATIONS or result["trials"] == 4 * EVALUATIONS
    assert list(result["result"]["widths"]) == ["features.0", "features.4", "features.8"]
    assert result["budget"]["target_synops"] == pytest.approx(0.6 * result["baseline"]["synops"])
    assert not result["budget"]["met"] or result["result"]["synops"] <= result["budget"]["target_synops"]
    assert result["result"]["parameters"] < result["baseline"]["parameters"]
    assert "<svg" in (folder / "report.html").read_text()


def test_artifact_is_the_network_that_was_reported(finished: Path) -> None:
    result, folder = result_of(finished), only_run(finished)
    network = load_artifact(folder / "best")
    assert sum(parameter.numel() for parameter in network.parameters()) == result["result"]["parameters"]
    groups = channel_groups(network, torch.rand(2, 1, 1, 8, 8))
    assert {group.name: group.width for group in groups} == result["result"]["widths"]


def test_a_search_killed_in_the_middle_ends_like_a_straight_one(finished: Path, shared: Path, tmp_path: Path) -> None:
    strategy = strategy_of(finished)
    shutil.copytree(shared, tmp_path / "_shared")
    calls = 0 if strategy in RULES else 2 if strategy in ENDING else 5
    kill_at("search.objective", "Objective.__call__", calls, arguments(tmp_path, strategy))
    assert not (only_run(tmp_path) / "result.json").exists()
    assert main(arguments(tmp_path, strategy)) in (0, 3)
    assert trials_of(tmp_path) == trials_of(finished)
    assert result_of(tmp_path) == result_of(finished)


@pytest.mark.parametrize(
    ("module", "function", "calls"),
    [
        ("lightning_snn.classifier", "SpikingClassifier.on_train_epoch_start", 5),  # the dense network's training
        ("search.sampling", "take_sample", 2),
        ("lightning_snn.classifier", "SpikingClassifier.on_train_epoch_start", 8 + 2 + 1),  # the second sample's
        ("search.study", "RecordedStudy._tell", 3),
        ("search.finetune", "finetune_within_budget", 0),
        ("lightning_snn.classifier", "SpikingClassifier.on_train_epoch_start", 8 + 5 * 2 + 1),  # fine-tuning
        ("search.pipeline", "verify", 0),
        ("search.pipeline", "write_report", 0),
        ("search.pipeline", "write_json", 0),
    ],
)
def test_killed_in_any_phase_ends_like_a_straight_one(
    module: str, function: str, calls: int, tmp_path: Path, straight_random: Path
) -> None:
    kill_at(module, function, calls, arguments(tmp_path, "random"))
    assert main(arguments(tmp_path, "random")) in (0, 3)
    assert trials_of(tmp_path) == trials_of(straight_random)
    assert result_of(tmp_path) == result_of(straight_random)


@pytest.fixture(scope="module")
def straight_random(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("straight")
    assert main(arguments(runs, "random")) in (0, 3)
    return runs


def kill_at(module: str, function: str, calls: int, command: list[str]) -> None:
    """Run the command in a process of its own that kills itself, without warning, in a call of a function."""
    script = f"""
import functools, importlib, os, signal, sys
owner = importlib.import_module({module!r})
*path, name = {function!r}.split(".")
for each in path:
    owner = getattr(owner, each)
original, count = getattr(owner, name), 0

@functools.wraps(original)
def deadly(*args, **kwargs):
    global count
    if count == {calls}:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return original(*args, **kwargs)

setattr(owner, name, deadly)
from search.cli import main
main(sys.argv[1:])
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script, *command], env=environment, capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


def test_a_finished_run_shows_its_result_again(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in only_run(finished).rglob("*"))
    main(arguments(finished, strategy_of(finished)))
    assert "test accuracy" in capsys.readouterr().out
    assert before == sorted((file, file.stat().st_mtime_ns) for file in only_run(finished).rglob("*"))


def test_other_settings_under_the_same_name_are_refused(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared, tmp_path / "_shared")
    assert main(arguments(tmp_path, "uniform", "--name", "mine")) in (0, 3)
    assert main(arguments(tmp_path, "uniform", "--name", "mine", "--seed", "3")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "seed is 0 there and 3 here" in error


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("--strategy cmeas", "Did you mean 'cmaes'?"),
        ("--data digts", "Did you mean 'digits'?"),
        ("--network vgg_smal", "Did you mean 'vgg_small'?"),
        ("--budget.taget 0.5", "Did you mean 'budget.target'?"),
        ("--budget.target 1.2", "(0, 1]"),
        ("--budget.target 0", "(0, 1]"),
        ("--budget.target 0.001", "smallest network"),
        ("--budget.synops 1e12", "needs only"),
        ("--data cifar10 --data.root /nowhere/at/all", "/nowhere/at/all"),
        ("--strategy.options.wormup 3", "has no option 'wormup'"),
        ("--estimator.name linaer", "Did you mean 'linear'?"),
        ("--budget.projection false --reward.form liner", "Did you mean 'linear'?"),
        ("--reward.form cliff", "reward.form has no effect: with projection all proposals are within the budget"),
        ("--space.criterion l2", "l1"),
        ("--space.criterion activity --space.recalibration_batches 0", "found no batch of them"),
        ("--strategy gradient --space.recalibration_batches 0", "found space.recalibration_batches=0. Set it to 1"),
        ("--strategy slimming --network._target_ own_networks_for_tests.NoBatchNorm", "needs a batch norm"),
        ("--strategy slimming --space.criterion l1", "ranks channels by bn_gamma, found space.criterion 'l1'"),
        ("--network._target_ no.such.Net", "no.such.Net"),
        ("--network._target_ torch.nn.Identity", "has no layers of SpikingJelly"),
        ("--network.options.taus 3", "Did you mean 'tau'?"),
        ("--network._target_ own_networks_for_tests.ThreeChannels", "does not take the data"),
        ("--network._target_ own_networks_for_tests.SevenClasses", "7 logits"),
        ("--network._target_ own_networks_for_tests.GroupNormed", "--space.skip_unsupported true"),
        ("--network._target_ own_networks_for_tests.OnlyGroupNorms", "or temporal effective batch norms.\n"),
        (
            "--network._target_ own_networks_for_tests.OnlyGroupNorms --space.skip_unsupported true",
            "has no channels to prune: those of 0, 3 stay, as they cannot be followed. Channels cannot be removed "
            "through layer '1', found a GroupNorm",
        ),
        (
            "--network._target_ own_networks_for_tests.WeightNormed",
            "make the weight plain: torch.nn.utils.remove_weight_norm(layer).\n",
        ),
        ("--trainer.accelerator tpuu", "auto, cpu, gpu"),
        ("--trainer.accelerator gpu", "no CUDA device"),
        ("--runs /proc/runs", "cannot be written to"),
        ("--baseline.artifact /nowhere", "/nowhere"),
        ("--network._target_ own_networks_for_tests.OneLayer", "has no channels to prune"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    setting: str,
    expected: str,
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "accelerator gpu" in setting and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    (tmp_path / "own_networks_for_tests.py").write_text(OWN_NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    runs = tmp_path / "runs"
    if "budget" in setting:
        shutil.copytree(shared, runs / "_shared")
    strategy = [] if setting.startswith("--strategy ") else ["--strategy", "random"]
    before = sorted(runs.rglob("*.json"))
    assert main(later_wins([*TINY, "--runs", str(runs), *strategy, *setting.split()])) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    assert expected in error
    assert not list(runs.rglob("training")), "refused before it was trained"
    assert sorted(runs.rglob("*.json")) == before


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        ("2.5", "The dense network causes no SynOps at all"),
        ("1.5", "The dense network hardly spikes on validation data: it causes "),
    ],
)
def test_a_network_that_hardly_spikes_is_refused_before_anything_is_sampled(
    threshold: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = ["--training.epochs", "1", "--network.options.threshold", threshold]
    assert main(later_wins([*TINY, "--runs", str(tmp_path), "--strategy", "random", *silent])) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert not [*tmp_path.glob("*/settings.json"), *tmp_path.rglob("000.json")]


def test_a_damaged_record_is_one_sentence_and_stays_where_it_is(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared, tmp_path / "runs" / "_shared")
    record = tmp_path / "runs" / "mine" / "study.db"
    record.parent.mkdir()
    record.write_text("no database")
    assert main(arguments(tmp_path / "runs", "random", "--name", "mine")) == 2
    error = capsys.readouterr().err
    assert f"error: {record} cannot be read as the record of a search (file is not a database). Nothing" in error
    assert error.count("error") == error.count("\n") == 1
    assert record.read_text() == "no database"


def test_a_given_network_is_traced_once_for_itself_and_fresh_ones_before_anything_is_written(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dense,) = shared.glob("*/network")
    traced: list[nn.Module] = []
    trace = SearchTask.channel_plan

    def note(task: SearchTask, network: nn.Module) -> ChannelPlan:
        traced.append(network)
        return trace(task, network)

    monkeypatch.setattr(SearchTask, "channel_plan", note)
    task = SearchTask(load_config([*TINY, f"baseline.artifact={dense}"]))
    assert traced == []
    for starts in (1, 2):
        obtain_baseline(task, tmp_path / "dense", [])
        assert len(traced) == starts
    (tmp_path / "fresh" / "network").mkdir(parents=True)
    task.config.baseline.artifact = None
    with pytest.raises(ArtifactError):
        obtain_baseline(task, tmp_path / "fresh", [])
    assert len(traced) == 2, "it was trained already"
    (tmp_path / "fresh" / "network").rmdir()
    monkeypatch.setattr(Task, "train_", lambda *_, **__: pytest.fail("its channels are looked at before"))
    with pytest.raises(pytest.fail.Exception):
        obtain_baseline(task, tmp_path / "fresh", [])
    assert len(traced) == 3


def test_a_given_network_for_other_images_is_not_saved(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dense,) = shared.glob("*/network")
    command = [*TINY, "--runs", str(tmp_path), "--data", "digits_events", "--baseline.artifact", str(dense)]
    assert main(command) == 2
    assert "The network does not take the data, (2, 3, 2," in capsys.readouterr().err
    assert not list(tmp_path.rglob("network"))


def test_a_given_network_that_cannot_be_followed_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_network_to_be_given.py").write_text(OWN_NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    own = "network._target_=own_network_to_be_given.GroupNormed"
    network = SearchTask(load_config([*TINY, own, "space.skip_unsupported=true"])).new_network()
    save_artifact(tmp_path / "given", network, torch.zeros(2, 1, 1, 8, 8))
    task = SearchTask(load_config([*TINY, own, f"baseline.artifact={tmp_path / 'given'}"]))
    with pytest.raises(SurgeryError, match=r"--space\.skip_unsupported true"):
        obtain_baseline(task, tmp_path / "dense", [])
    assert not (tmp_path / "dense").exists()


def test_the_folder_of_a_training_is_refused_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"data": "0", "network": "0", "baseline": None}
    write_json(tmp_path / "dense" / "settings.json", {**identity(TrainConfig()), "content": content})
    assert main([*TINY, "--runs", str(tmp_path), "--name", "dense"]) == 2
    assert "dense holds a run of another command: settings of 'baseline' are only here." in capsys.readouterr().err


def test_a_run_is_restored_with_the_place_of_its_data(tmp_path: Path) -> None:
    config = load_config([*TINY, "--data.root", "/of/the/run", "--name", "mine", "--runs", str(tmp_path)])
    with RunFolder(tmp_path / "mine", identity(config), places(config)).open():
        pass
    assert restore_config(tmp_path / "mine") == config


def test_a_network_of_ones_own_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_network_for_a_test.py").write_text(
        """
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels, width):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(in_channels, width, 3, padding=1, bias=False), layer.BatchNorm2d(width),
            neuron.IFNode(surrogate_function=surrogate.ATan()), layer.MaxPool2d(2),
            layer.Conv2d(width, 2 * width, 3, padding=1, bias=False), layer.BatchNorm2d(2 * width),
            neuron.LIFNode(surrogate_function=surrogate.ATan()), layer.AdaptiveAvgPool2d(1), layer.Flatten(),
            layer.Linear(2 * width, num_classes),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x)
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--network._target_", "own_network_for_a_test.Net", "--network.options.width", "8"]
    tiny = [setting for setting in TINY if "plan" not in setting]
    command = [*tiny, "--runs", str(tmp_path / "runs"), "--strategy", "uniform", *own]
    assert main(command) in (0, 3)
    assert result_of(tmp_path / "runs")["network"] == "own_network_for_a_test.Net"


@pytest.mark.filterwarnings("ignore:All 3 samples have the same SynOps")
def test_one_group_of_three_channels_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within half of the SynOps lies one network alone, the same in every sample: no line, but a ratio."""
    (tmp_path / "own_network_of_three_channels.py").write_text(
        """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            layer.Conv2d(1, 3, 3), layer.BatchNorm2d(3), neuron.IFNode(v_threshold=0.3), layer.Flatten(),
            layer.Linear(108, 10),
        )
        functional.set_step_mode(self, "m")
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    few = "network._target_=own_network_of_three_channels.Net training.epochs=1 finetuning.epochs=1"
    few += " estimator.min_samples=3 estimator.max_samples=3 data.train_samples=300 budget.target=0.5 strategy=uniform"
    assert main([*few.split(), "--runs", str(tmp_path / "runs")]) in (0, 3)
    result = result_of(tmp_path / "runs")
    assert result["estimator"]["name"] == "ratio"
    assert result["result"]["widths"] == {"0": 1}
    assert read_record(only_run(tmp_path / "runs")).estimator.name == "ratio"


def test_the_first_layer_stays_whole_where_that_is_asked_for(shared: Path, tmp_path: Path) -> None:
    """The dense network is shared with runs that prune it; the estimator's samples are not."""
    runs = tmp_path / "runs"
    shutil.copytree(shared, runs / "_shared")
    trained = sorted((runs / "_shared").glob("*/network"))
    assert main(arguments(runs, "uniform", "--space.prune_first", "false")) in (0, 3)
    assert sorted((runs / "_shared").glob("*/network")) == trained
    assert list(result_of(runs)["result"]["widths"]) == ["features.4", "features.8"]


def test_what_cannot_be_followed_stays_whole_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_network_with_group_norm.py").write_text(OWN_NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--network._target_", "own_network_with_group_norm.GroupNormed", "--space.skip_unsupported", "true"]
    assert main(arguments(tmp_path / "runs", "uniform", "--budget.target", "0.8", *own)) in (0, 3)
    result = result_of(tmp_path / "runs")
    assert list(result["result"]["widths"]) == ["0", "3"]
    assert list(result["kept_whole"]) == ["6"]
    assert (
        "Kept whole, as their channels cannot be followed: 6."
        in (only_run(tmp_path / "runs") / "report.html").read_text()
    )
