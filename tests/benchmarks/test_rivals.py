"""The campaign of rivals: its rows can be run, finished ones are not done again, and its tables say what rows say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rivals
from _rivals_report import against
from _rivals_report import table
from _rivals_report import write_report
from _rivals_rows import BY_PATTERN
from _rivals_rows import BY_TARGET
from _rivals_rows import CONTROLS
from _rivals_rows import DATA
from _rivals_rows import SEEDS
from _rivals_rows import Row
from _rivals_rows import rows

from conf.loading import load
from conf.schema import TrainConfig
from lightning_snn.pruners import PRUNERS
from lightning_snn.pruners import check_pruner

PARTS = {"connectivity": 0.25, "connectivity_factor": 0.55, "rate_factor": 0.9}


def figures(accuracy: float, share: float = 0.5) -> dict[str, Any]:
    return {"test_accuracy": accuracy, "synops_share": share, **PARTS}


def record(method: str, seed: int, accuracy: float, strength: str = "50%", data: str = "digits") -> dict[str, Any]:
    baseline = {"test_accuracy": 0.9 + 0.01 * seed}
    identity = {"data": data, "method": method, "strength": strength, "seed": seed}
    return {**identity, "baseline": baseline, "result": figures(accuracy)}


def test_every_method_has_two_strengths_and_three_seeds_on_every_data_set() -> None:
    for data in DATA:
        for method in (*BY_TARGET, *BY_PATTERN):
            mine = {(row.strength, row.seed) for row in rows() if (row.data, row.method) == (data, method)}
            assert len({strength for strength, _ in mine}) >= 2
            for strength in {strength for strength, _ in mine}:
                assert {seed for each, seed in mine if each == strength} == set(SEEDS) == {0, 1, 2}


def test_every_pruner_and_every_control_is_a_row() -> None:
    methods = {row.method for row in rows()}
    assert set(CONTROLS) | set(CONTROLS.values()) <= methods
    named = {next(each for each in row.settings if each.startswith("pruning=")) for row in rows()}
    assert named == {f"pruning={name}" for name in PRUNERS}


def test_rows_can_be_told_apart() -> None:
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names)
    for name in names:
        TrainConfig(name=name)  # refuses what cannot be a folder's name


@pytest.mark.parametrize("row", [row for row in rows() if row.seed == 0], ids=lambda row: row.name)
def test_settings_of_a_row_are_valid(row: Row) -> None:
    config = load(TrainConfig, "train", row.settings)
    check_pruner(config.pruning.name, config.pruning.options)
    assert config.seed == row.seed
    assert config.data.name == row.data
    if row.strength == "100%":
        assert config.pruning.options["sparsity"] < 1e-5
    elif row.strength.endswith("%"):
        assert config.pruning.target == float(row.strength[:-1]) / 100
    elif ":" in row.strength:
        assert [config.pruning.options["n"], config.pruning.options["m"]] == [int(n) for n in row.strength.split(":")]


def test_the_table_by_hand() -> None:
    """Differences of 2, 4 and 6 points: mean 4, deviation 2, so 3.5 standard errors; of two seeds none are told."""
    records = [
        record("random weights", 0, 0.80),
        record("random weights", 1, 0.82),
        record("random weights", 2, 0.84),
        record("lamp", 0, 0.82),
        record("lamp", 1, 0.86),
        record("lamp", 2, 0.90),
        record("slamp", 0, 0.82),
        record("slamp", 1, 0.86),
    ]
    lines = table(records).splitlines()
    assert lines[2].startswith("| dense |  | 3 | 91.00 ± 0.58 % |")
    assert lines[3] == "| random weights | 50% | 3 | 82.00 ± 1.15 % | 50.0 % | 55.0 % | 90.0 % | 25.0 % |  |  |"
    assert lines[4] == "| lamp | 50% | 3 | 86.00 ± 2.31 % | 50.0 % | 55.0 % | 90.0 % | 25.0 % | +4.00 points | +3.5 |"
    assert lines[5].endswith("| +3.00 points | - |")


def test_one_seed_says_nothing_about_a_difference() -> None:
    assert against({0: figures(0.5), 1: figures(0.6)}, {1: figures(0.4), 2: figures(0.4)}) == ("", "")


def test_finished_rows_are_not_done_again_and_failed_ones_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [Row("digits", "lamp", "50%", seed, ("seed=" + str(seed),)) for seed in (0, 1)]
    monkeypatch.setattr(rivals, "rows", lambda: few)
    monkeypatch.setattr("_rivals_report.rows", lambda: few)
    calls = []

    def command(words: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        calls.append(words)
        if "seed=1" in words and len(calls) == 2:
            return subprocess.CompletedProcess(words, 2, "", "error: no.")
        (name,) = [word.partition("=")[2] for word in words if word.startswith("name=")]
        result = {key: {} for key in (*rivals.KEPT, "notes")} | {"baseline": {"test_accuracy": 0.9}}
        result["result"] = figures(0.8)
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "result.json").write_text(json.dumps(result))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", command)
    monkeypatch.setattr(sys, "argv", ["rivals.py", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")])
    assert rivals.main() == 1
    assert "digits-lamp-50-s1: FAILED, error: no." in capsys.readouterr().out
    assert rivals.main() == 0
    assert [words[3] for words in calls] == ["seed=0", "seed=1", "seed=1"]
    assert "2 of 2 rows are there" in (tmp_path / "out" / "tables.md").read_text()
    assert rivals.main() == 0
    assert len(calls) == 3


def test_the_report_has_a_table_and_a_panel_for_each_data_set(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for data in ("digits", "cifar10"):
        for row in [row for row in rows() if row.data == data and row.method in ("lamp", "random weights")][:4]:
            content = record(row.method, row.seed, 0.8, row.strength, data)
            (tmp_path / "rows" / f"{row.name}.json").write_text(json.dumps(content))
    write_report(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert "## digits" in text
    assert "## cifar10" in text
    assert f"of {len(rows())} rows are there" in text
    assert (tmp_path / "rivals.svg").read_text().count("<!-- test accuracy, % -->") == 2  # a panel each
