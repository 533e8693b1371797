"""Work is reused where what it was made of is the same, and made anew everywhere else; never reused and different.

The oracle is an empty folder: whatever lies in ``runs/`` from earlier, a command must come to what it comes to there.
"""

import dataclasses
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import Final

import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from rich.console import Console
from safetensors.torch import load_file
from safetensors.torch import save_file

from conf.schema import ContentConfig
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import RunError
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.task import Task
from search import pipeline
from search import report
from search import sampling
from search.configuration import load_config
from search.configuration import restore_config
from search.configuration import run_name
from search.pipeline import run_search
from tests.datamodules.event_files import toy_events
from tests.datamodules.event_files import write_array

TINY: Final = {
    "--data": "event_folder",
    "--strategy": "uniform",
    "--network._target_": "net_that_changes.Net",
    "--network.time_steps": "2",
    "--training.epochs": "1",
    "--finetuning.epochs": "1",
    "--estimator.min_samples": "3",
    "--estimator.max_samples": "3",
    "--space.recalibration_batches": "1",
    "--data.batch_size": "8",
    "--seed": "0",
}
CODE: Final = """
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels, threshold=0.5):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(in_channels, 8, 3, padding=1), layer.BatchNorm2d(8),
            neuron.LIFNode(v_threshold=threshold, surrogate_function=surrogate.ATan(), decay_input=False),
            layer.MaxPool2d(2), layer.Conv2d(8, 12, 3, padding=1), layer.BatchNorm2d(12),
            neuron.LIFNode(v_threshold=threshold, surrogate_function=surrogate.ATan(), decay_input=False),
            layer.Dropout(0.1), layer.Flatten(), layer.Linear(192, num_classes),
        )
        for norm in (self.body[1], self.body[5]):
            nn.init.constant_(norm.bias, 0.9)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x)
"""


class World:
    """Recordings, a network's code, and the command: all that a result is made of."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "recordings"
        self.options = dict(TINY)

    @classmethod
    def made_in(cls, folder: Path) -> "World":
        folder.mkdir()
        world = cls(folder)
        world.write_code(CODE)
        for number in range(20):
            world.write(world.root / "ab"[number % 2] / f"{number:02d}.npz", number)
        return world

    @property
    def code(self) -> Path:
        return self.folder / "net_that_changes.py"

    def write_code(self, text: str) -> None:
        self.code.write_text(text)

    def write(self, file: Path, number: int) -> None:
        """Write a recording; in the place of another one, with the times of that."""
        status = file.stat() if file.exists() else None
        write_array(file, toy_events(number, (8, 8)), height=8, width=8)
        if status is not None:
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    @property
    def split(self) -> Path:
        return self.root / f"split-4to1-seed{self.options['--seed']}.json"

    def listed(self, half: str) -> list[Path]:
        """Return the recordings of a half of the split; it is drawn by the first run."""
        return [self.root / name for name in json.loads(self.split.read_text())[half]]

    def run(self, runs: Path, *more: str, console: Console | None = None) -> dict[str, Any]:
        """Carry out the command as it is now, and return what counts of its result."""
        sys.modules.pop("net_that_changes", None)
        importlib.invalidate_caches()
        sys.path.insert(0, str(self.folder))
        try:
            options = [word for pair in self.options.items() for word in pair]
            config = load_config(["--runs", str(runs), "--data.root", str(self.root), *options, *more])
            return figures(run_search(config, console or Console(quiet=True)))
        finally:
            sys.path.remove(str(self.folder))


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a result that do not depend on clocks."""
    found = {key: value for key, value in result.items() if key not in ("seconds", "versions")}
    for part in ("baseline", "result"):
        found[part] = {key: value for key, value in found[part].items() if key != "batch_seconds"}
    return found


def another_line(old: str, new: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        text = world.code.read_text()
        world.write_code(text.replace(old, new) if old in text else text.replace(new, old))

    return change


def another_option(key: str, value: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        is_set = world.options.get(key) == value
        world.options = {k: v for k, v in world.options.items() if k != key}
        world.options |= {key: TINY[key]} if is_set and key in TINY else {} if is_set else {key: value}

    return change


def another_recording(half: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        file = world.listed(half)[0]
        world.write(file, 100 + file.read_bytes()[-40] % 7)

    return change


def two_exchanged(world: World) -> None:
    one, other = world.listed("train")[0], world.listed("test")[-1]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def split_exchanged(world: World) -> None:
    split = read_json(world.split)
    split["train"][0], split["test"][0] = split["test"][0], split["train"][0]
    write_json(world.split, split)


def classes_exchanged(world: World) -> None:
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        (world.root / old).rename(world.root / new)
    for each in world.root.glob("split-*"):
        each.unlink()


def moved(world: World) -> None:
    place = world.folder / f"moved-{len(list(world.folder.iterdir()))}"
    shutil.copytree(world.root, place)
    world.root = place


def touched(world: World) -> None:
    for file in world.root.rglob("*.npz"):
        os.utime(file)


SAME: Final[dict[str, Callable[[World], None]]] = {
    "nothing": lambda world: None,
    "a comment": lambda world: world.write_code(world.code.read_text() + "# a comment\n"),
    "a docstring": another_line("(nn.Module):\n", '(nn.Module):\n    """A text."""\n\n'),
    "data moved": moved,
    "files touched": touched,
}
OTHER: Final[dict[str, Callable[[World], None]]] = {
    "a training recording": another_recording("train"),
    "a test recording": another_recording("test"),
    "two recordings exchanged": two_exchanged,
    "split": split_exchanged,
    "classes": classes_exchanged,
    "threshold in the code": another_line("threshold=0.5", "threshold=0.4"),
    "pool in the code": another_line("MaxPool2d", "AvgPool2d"),
    "surrogate in the code": another_line("surrogate.ATan", "surrogate.Sigmoid"),
    "dropout in the code": another_line("Dropout(0.1)", "Dropout(0.4)"),
    "a line that no noise reaches": another_line("return self.body(x)", "return self.body(x.clamp(max=1e6))"),
    "memory of batch norms": another_line("BatchNorm2d(8)", "BatchNorm2d(8, momentum=0.9)"),
    "initial values in the code": another_line("bias, 0.9", "bias, 0.8"),
    "seed": another_option("--seed", "1"),
    "option of the network": another_option("--network.options.threshold", "0.6"),
    "option of the data": another_option("--data.options.frames_by", "count"),
    "time steps": another_option("--network.time_steps", "3"),
    "learning rate": another_option("--training.learning_rate", "0.05"),
}
CHANGES: Final = SAME | OTHER


@pytest.fixture(autouse=True)
def _imported_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions of a file can be of the same second
    monkeypatch.setattr(pipeline, "write_report", lambda *_: None)  # these two take longer than all the rest
    monkeypatch.setattr(sampling, "give_memory_back", lambda: None)
    yield
    sys.modules.pop("net_that_changes", None)


@given(st.lists(st.sampled_from(sorted(CHANGES)), min_size=3, max_size=3))
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_lies_in_runs_never_shapes_a_result(tmp_path_factory: pytest.TempPathFactory, changes: list[str]) -> None:
    folder = tmp_path_factory.mktemp("reuse")
    world, used = World.made_in(folder / "world"), folder / "used"
    world.run(used)
    for number, change in enumerate(changes):
        CHANGES[change](world)
        expected = world.run(folder / f"empty-{number}")
        assert world.run(used) == expected, change


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A world with two runs in it, one with a name of its own."""
    folder = tmp_path_factory.mktemp("first")
    world = World.made_in(folder / "world")
    world.run(folder / "runs", "--name", "mine")
    return folder, world.run(folder / "runs")


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_is_shown_again_where_nothing_that_counts_has_changed(
    change: str, first: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trained(Exception):
        pass

    def trained(*_: Any, **__: Any) -> None:
        raise Trained

    shutil.copytree(first[0], tmp_path / "copy")
    world = World(tmp_path / "copy" / "world")
    CHANGES[change](world)
    monkeypatch.setattr(Task, "train_", trained)
    if change in SAME:
        assert world.run(tmp_path / "copy" / "runs") == first[1]
        assert world.run(tmp_path / "copy" / "runs", "--name", "mine") == first[1]
        return
    with pytest.raises(Trained):
        world.run(tmp_path / "copy" / "runs")
    with pytest.raises(RunError, match=r"holds a run with (other|the same) settings"):
        world.run(tmp_path / "copy" / "runs", "--name", "mine")


def test_a_run_of_an_earlier_version_is_shown_with_a_word_and_goes_on_no_more(
    first: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(first[0], tmp_path / "copy")
    world, runs = World(tmp_path / "copy" / "world"), tmp_path / "copy" / "runs"
    (made,) = runs.glob("event_folder-*")
    config = restore_config(made)
    old = runs / run_name(dataclasses.replace(config, content=ContentConfig()))
    made.rename(old)
    for run in (old, runs / "mine"):
        recorded = read_json(run / "settings.json")
        del recorded["content"]  # nor had it been recorded of what its networks compute
        write_json(run / "settings.json", recorded)
        architecture = read_json(run / "best" / "architecture.json")
        del architecture["fingerprint"]
        write_json(run / "best" / "architecture.json", architecture)
    for more, run in (([], old), (["--name", "mine"], runs / "mine")):
        assert world.run(runs, *more, console=Console()) == first[1]
        said = capsys.readouterr().out
        assert said.startswith(f"{run} was made by a version that did not record what data and networks are")
        assert report.main([str(run)]) == 0
        assert "did not record what data and networks are" in capsys.readouterr().out
        (run / "result.json").unlink()
    with pytest.raises(RunError, match="so it cannot be known whether it may go on"):
        world.run(runs, "--name", "mine")
    assert world.run(runs) == first[1], "made anew, beside the old one"
    assert read_json(next(path for path in runs.glob("event_folder-*") if path != old) / "settings.json")["content"]


def test_trials_of_one_dense_network_are_not_gone_on_with_on_another(
    first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Where it was deleted and came out otherwise, on another machine say."""
    shutil.copytree(first[0], tmp_path / "copy")
    world, runs = World(tmp_path / "copy" / "world"), tmp_path / "copy" / "runs"
    (weights,) = runs.glob("_shared/*/network/model.safetensors")
    (runs / "mine" / "result.json").unlink()
    tensors = load_file(weights)
    save_file({name: 1.01 * tensors[name] if name.endswith("9.bias") else tensors[name] for name in tensors}, weights)
    with pytest.raises(RunError, match=r"study\.db is the record of another search: dense_network is"):
        world.run(runs, "--name", "mine")


def test_a_lost_network_is_not_said_to_be_there_and_a_damaged_shared_one_is_named(
    first: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(first[0], tmp_path / "copy")
    world, runs = World(tmp_path / "copy" / "world"), tmp_path / "copy" / "runs"
    shutil.rmtree(runs / "mine" / "best")
    world.run(runs, "--name", "mine", console=Console(width=500))
    said = capsys.readouterr().out
    assert "mine/best, the network of this finished run, is no longer there: delete" in said
    assert "holds the network" not in said
    (runs / "mine" / "result.json").unlink()
    (weights,) = runs.glob("_shared/*/network/model.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:100])
    with pytest.raises(ArtifactError, match=r"an earlier run left in .*network cannot be used: delete that folder"):
        world.run(runs, "--name", "mine")
    weights.write_bytes(content)
    assert world.run(runs, "--name", "mine") == first[1]
    assert (runs / "mine" / "best").exists()
