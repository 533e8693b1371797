"""A whole row on tiny digits, in many calls: out of time, killed, and carried to another machine."""

import hashlib
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from _paper_record import _differences
from _paper_row import ROWS
from _paper_row import load_row
from paper_run import main

from tests.benchmarks.calls import At
from tests.benchmarks.calls import call

NOT_YET = 75
ROW = {
    "about": "tiny digits",
    "settings": {
        "data.train_samples": 300,
        "data.batch_size": 50,
        "network.time_steps": 2,
        "network.options.plan": "[8,M,12,M,16,M]",
        "training.epochs": 5,
        "finetuning.epochs": 2,
        "space.low": 0.2,
        "space.recalibration_batches": 1,
        "estimator.min_samples": 4,
        "estimator.max_samples": 4,
        "budget.target": 0.6,
        "budget.tightenings": 0,
        "strategy.evaluations": 4,
        "trainer.accelerator": "cpu",
    },
    "strategies": {"random": {}, "ddpg": {"strategy.options.warmup": 3}},
    "round_dense": True,
    "expected_seconds": {"epoch": 1.0, "evaluation": 1.0},
    "published": {"accuracy": 90.0, "synops": 60.0, "parameters": 50.0, "source": "a made-up table"},
    "paper": {"training.epochs": 210, "estimator.samples": 500, "training.optimizer": "adamw"},
}
SHORT = {**ROW, "strategies": {"random": {}}}
EPOCH = ("lightning_snn.classifier", "SpikingClassifier.on_train_epoch_start")


class Machine:
    """Folders for calls; another machine gets the state alone."""

    def __init__(self, folder: Path, state: Path | None = None, row: dict[str, Any] = ROW) -> None:
        self.folder, self.state, self.row = folder, state or folder / "state", row
        folder.mkdir(exist_ok=True)
        (folder / "tiny.json").write_text(json.dumps(row))

    def arguments(self, minutes: float = 10.0) -> list[str]:
        folders = ("--state", self.state, "--work", self.folder / "work", "--results", self.folder / "results")
        return ["--row", str(self.folder / "tiny.json"), "--minutes", str(minutes), *map(str, folders)]

    def call(self, at: At | None = None, minutes: float = 10.0) -> int:
        return call(self.arguments(minutes), self.folder / "said.txt", at)

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def moved(self, name: str) -> "Machine":
        state = self.folder.with_name(name) / "state"
        if self.state.exists():
            shutil.copytree(self.state, state)
        shutil.rmtree(self.folder)
        return Machine(self.folder.with_name(name), state, self.row)

    @property
    def record(self) -> dict[str, Any]:
        record = json.loads((self.folder / "results" / "tiny" / "record.json").read_text())
        assert isinstance(record, dict)
        return record

    @property
    def outcome(self) -> dict[str, Any]:
        """All results, but how long things took."""
        results = self.record["results"]
        for result in results.values():
            del result["seconds"], result["baseline"]["batch_seconds"], result["result"]["batch_seconds"]
        assert isinstance(results, dict)
        return results


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One call that did everything."""
    machine = Machine(tmp_path_factory.mktemp("straight"))
    assert machine.call() == 0
    return machine


def test_the_record_holds_what_was_measured_beside_what_was_published(straight: Machine) -> None:
    record = straight.record
    assert list(record["ours"]) == ["random", "ddpg"]
    for strategy, ours in record["ours"].items():
        result = record["results"][strategy]
        assert ours["accuracy"] == 100 * result["result"]["test_accuracy"]
        assert ours["dense_accuracy"] == 100 * result["baseline"]["test_accuracy"]
        assert ours["synops"] == 100 * result["result"]["synops"] / result["baseline"]["synops"]
        assert ours["estimator"]["samples"] == 4
        assert record["differences"][strategy] == [
            {"setting": "training.epochs", "ours": 5, "paper": 210},
            {"setting": "estimator.samples", "ours": 4, "paper": 500},
        ]
        assert f"--strategy {strategy} " in record["commands"][strategy]
        assert str(straight.folder) not in record["commands"][strategy]
    assert record["published"] == ROW["published"]
    assert (record["seeds"], record["devices"]) == ([0], ["CPU"])
    assert [call["seconds"] > 0 for call in record["calls"]] == [True]
    assert record["seconds"]["dense_step"] == pytest.approx(record["seconds"]["dense_epoch"] / 6)
    assert not any("fresh optimizer" in each for each in record["statements"])
    assert any("rounded to bfloat16" in each for each in record["statements"])


def test_the_page_says_so_too(straight: Machine) -> None:
    page = (straight.folder / "results" / "tiny" / "README.md").read_text()
    ours = straight.record["ours"]["ddpg"]
    verdict = "met" if ours["budget_met"] else "NOT met: infeasible"
    row = f"| {ours['synops']:.1f} | {ours['parameters']:.1f} | {ours['accuracy']:.2f} | {ours['dense_accuracy']:.2f} "
    assert f"| ours, `ddpg` {row}| {verdict} |" in page
    assert "| published | 60.0 | 50.0 | 90.0 | not stated | |" in page
    assert "training.epochs 5 (paper: 210)" in page
    assert str(straight.folder) not in page


def test_the_dense_weights_are_bfloat16_numbers(straight: Machine) -> None:
    import torch
    from safetensors.torch import load_file

    (file,) = straight.folder.glob("work/tiny/runs/_shared/*/network/model.safetensors")
    weights = load_file(file)
    assert sum(each.ndim > 1 for each in weights.values()) == 4
    assert all(torch.equal(each, each.bfloat16().float()) for each in weights.values() if each.ndim > 1)


def test_a_finished_row_writes_its_record_from_the_state_alone(straight: Machine, tmp_path: Path) -> None:
    elsewhere = Machine(tmp_path / "elsewhere", straight.state)
    before = {file: file.stat().st_mtime_ns for file in straight.state.iterdir()}
    assert elsewhere.call() == 0
    assert elsewhere.record == straight.record
    assert before == {file: file.stat().st_mtime_ns for file in straight.state.iterdir()}


def test_calls_of_seconds_end_like_one_long_call(straight: Machine, tmp_path: Path) -> None:
    """A true timer, on one machine: no training loses its momentum."""
    machine, codes = Machine(tmp_path / "machine", row=SHORT), list[int]()
    while not codes or (codes[-1] == NOT_YET and len(codes) < 12):
        codes.append(machine.call(minutes=0.02 * 1.5 ** len(codes)))  # so that it ends on any machine
    assert codes == [NOT_YET] * (len(codes) - 1) + [0]
    assert len(codes) > 1
    assert machine.outcome == {"random": straight.outcome["random"]}
    assert len(machine.record["calls"]) == len(codes)


def test_killed_and_stopped_between_steps_and_moved_each_time_it_ends_alike(straight: Machine, tmp_path: Path) -> None:
    """Every call on a new machine. What a kill takes is made again, with the same outcome."""
    machine = Machine(tmp_path / "m0", row=SHORT)
    moments = [
        At(*EPOCH, 3, "kill"),  # in the dense network's training: nothing is there yet
        At("search.sampling", "take_sample", 2),
        At("search.study", "RecordedStudy._tell", 1, "kill"),
        At("search.pipeline", "verify", 0),
        At("_paper_state", "_write", 0, "kill"),  # in the middle of packing
    ]
    for number, moment in enumerate(moments, 1):
        assert machine.call(moment) == (-signal.SIGKILL if moment.how == "kill" else NOT_YET)
        machine = machine.moved(f"m{number}")
    assert machine.call() == 0
    assert machine.outcome == {"random": straight.outcome["random"]}
    assert not any("fresh optimizer" in each for each in machine.record["statements"])


def test_moved_in_the_middle_of_trainings_it_ends_and_says_what_that_cost(tmp_path: Path) -> None:
    """Momentum does not travel: another outcome, but a whole one, and the record says which trainings it was."""
    machine = Machine(tmp_path / "m0", row=SHORT)
    for number, moment in enumerate([At(*EPOCH, 3), At(*EPOCH, 2 + 2 + 1), At(*EPOCH, 1 + 2 * 2 + 1)], 1):
        assert machine.call(moment) == NOT_YET
        machine = machine.moved(f"m{number}")
    assert machine.call() == 0
    (dense, sample, result) = [each for each in machine.record["statements"] if "fresh optimizer" in each]
    assert "/training went on after 3 of 5 epochs" in dense
    assert "/001-training went on after 1 of 2 epochs" in sample
    assert "attempt-0 went on after 1 of 2 epochs" in result
    outcome = machine.outcome["random"]
    assert outcome["evaluations"] == 4
    assert outcome["result"]["synops"] < outcome["baseline"]["synops"]
    assert not outcome["budget"]["met"] or outcome["result"]["synops"] <= outcome["budget"]["target_synops"]


def test_what_remains_is_said_with_an_estimate(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    assert machine.call(At(*EPOCH, 2)) == NOT_YET
    left = "3 epochs of the dense network; up to 4 samples of the estimator; the search of random: 4 evaluations"
    assert f"Not done yet: {left}, fine-tuning; the search of ddpg" in machine.said
    assert "minutes: call again." in machine.said
    assert machine.call(At("search.study", "RecordedStudy._tell", 1)) == NOT_YET
    assert "Not done yet: the search of random: 3 evaluations, fine-tuning; the search of ddpg" in machine.said


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    return error


def test_a_damaged_state_is_a_sentence(straight: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(straight.state, tmp_path / "state")
    for part in (tmp_path / "state").glob("*.part"):
        part.write_bytes(part.read_bytes()[:-7])
    machine = Machine(tmp_path / "machine", tmp_path / "state")
    assert "The state is damaged" in refused(machine.arguments(), capsys)


def test_other_settings_are_refused(straight: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(tmp_path / "machine", straight.state)
    changed = json.loads(json.dumps(ROW))
    changed["settings"]["training.epochs"] = 6
    (machine.folder / "tiny.json").write_text(json.dumps(changed))
    assert "training.epochs was 5 and is 6" in refused(machine.arguments(), capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--row", "vgg16-0.52", "--state", "s"], "Did you mean 'vgg16-0.525'?"),
        (["--row", "vgg16-0.525"], "--state"),
        (["--row", "x.json", "--state", "s"], "x.json"),
        (["--row", "vgg16-0.525", "--state", "s", "--minutes", "0"], "--minutes must be above 0"),
        (["--row", "vgg16-0.525", "--state", "s", "--minutes", "many"], "--minutes"),
        (["--row", "vgg16-0.525", "--state", "s", "--rwo", "1"], "--rwo"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refused(arguments, capsys)
    assert not list(tmp_path.iterdir())


def test_missing_data_are_named_until_all_parts_were_brought(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import _paper_data

    official = {name: name.encode() * 9 for name in ("data_batch_1", "test_batch", "batches.meta")}
    sums = {name: hashlib.md5(content).hexdigest() for name, content in official.items()}
    monkeypatch.setattr("_paper_data.official_files", lambda: sums)
    monkeypatch.setattr("_paper_data._pixels", lambda content: (0, 0))
    (tmp_path / "official").mkdir()
    for name, content in official.items():
        (tmp_path / "official" / name).write_bytes(content)
    _paper_data.pack(tmp_path / "official", tmp_path / "all", sums)
    arguments = ["--row", "vgg16-0.525", "--state", str(tmp_path / "state"), "--work", str(tmp_path / "work")]
    for number, name in enumerate(official):
        bag = tmp_path / f"bag{number}"
        bag.mkdir()
        shutil.copy(tmp_path / "all" / f"{name}.zip", bag)
        last = name == "batches.meta"
        assert main([*arguments, "--data", str(bag), "--step", "data"]) == (0 if last else NOT_YET)
        assert ("complete" if last else "still lacks") in capsys.readouterr().out
        if number == 0:
            assert "lacks test_batch, batches.meta" in refused([*arguments, "--data", str(bag)], capsys)
    assert sorted(file.name for file in (tmp_path / "work" / "data" / "cifar-10-batches-py").iterdir()) == sorted(
        official
    )
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", [file.stem for file in sorted(ROWS.glob("*.json"))])
def test_the_rows_that_come_along_are_valid(name: str, tmp_path: Path) -> None:
    row = load_row(name)
    configs = row.configs(tmp_path, tmp_path)
    assert list(configs) == ["cmaes", "ddpg"]
    assert {config.budget.target for config in configs.values()} == {row.published["synops"] / 100}
    for config in configs.values():
        differences = _differences(row, config, {"estimator": {"samples": 12}})
        assert {"training.epochs", "finetuning.epochs", "estimator.samples"} <= {
            each["setting"] for each in differences
        }
        assert all(each["ours"] != each["paper"] for each in differences)
    assert set(row.expected_seconds) == {"epoch", "evaluation"}
    assert row.published["source"].startswith("SPEAR")
