"""A run folder belongs to its settings: made once, found again, refused to others."""

from pathlib import Path
from typing import Any

import pytest

from lightning_snn.errors import RunError
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.run_folder import KINDS
from lightning_snn.run_folder import RunFolder

SETTINGS: dict[str, Any] = {
    "seed": 3,
    "data": {"name": "digits"},
    "strategy": {"name": "ddpg", "options": {}},
    "budget": {"target": 0.5, "synops": None},
    "network": {"options": {"plan": [8, "M", 16]}},
}


HERE = {"data.root": "here"}
RECORDED = {**SETTINGS, "data": {"name": "digits", "root": "here"}}


def settings(**changes: Any) -> dict[str, Any]:
    return {**SETTINGS, **changes}


def made(path: Path) -> RunFolder:
    run = RunFolder(path, settings(), HERE)
    with run.open():
        pass
    return run


def test_looking_makes_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", settings(), HERE)
    assert not run.is_finished()
    assert list(tmp_path.iterdir()) == []


def test_opening_makes_the_folder_with_its_settings_and_holds_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "run", settings(), HERE)
    with run.open():
        assert read_json(run.path / "settings.json") == RECORDED
        with pytest.raises(RunError, match="Another process"), locked(run.path, wait=False):
            pytest.fail("the folder is taken")


def test_the_same_settings_find_their_run_again(tmp_path: Path) -> None:
    made(tmp_path / "run")
    before = (tmp_path / "run" / "settings.json").stat().st_mtime_ns
    with RunFolder(tmp_path / "run", settings(), HERE).open():
        pass
    assert (tmp_path / "run" / "settings.json").stat().st_mtime_ns == before


def test_data_elsewhere_are_the_same_run_and_are_recorded_once_it_goes_on(tmp_path: Path) -> None:
    made(tmp_path / "run")
    moved = RunFolder(tmp_path / "run", settings(), {"data.root": "there"})
    assert read_json(tmp_path / "run" / "settings.json")["data"]["root"] == "here"
    with moved.open():
        assert read_json(tmp_path / "run" / "settings.json") == {
            **SETTINGS,
            "data": {"name": "digits", "root": "there"},
        }


def test_a_run_recorded_without_the_place_of_its_data_goes_on(tmp_path: Path) -> None:
    write_json(tmp_path / "run" / "settings.json", SETTINGS)
    made(tmp_path / "run")
    assert read_json(tmp_path / "run" / "settings.json") == RECORDED


@pytest.mark.parametrize(
    ("recorded", "given", "found"),
    [
        (settings(), settings(space={"low": 0.1}), "'space' are only here"),
        (settings(space={"low": 0.1}), settings(), "'space' are only there"),
    ],
)
def test_a_run_of_another_command_is_called_so(
    recorded: dict[str, Any], given: dict[str, Any], found: str, tmp_path: Path
) -> None:
    write_json(tmp_path / "run" / "settings.json", recorded)
    with pytest.raises(RunError, match=f"run holds a run of another command: settings of {found}. Choose another"):
        RunFolder(tmp_path / "run", given, HERE)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"seed": 4}, "seed is 3 there and 4 here"),
        ({"strategy": {"name": "tpe", "options": {}}}, "strategy.name is 'ddpg' there and 'tpe' here"),
        ({"budget": {"target": 0.5, "synops": 9.0}}, "budget.synops is None there and 9.0 here"),
        ({"network": {"options": {"plan": [8, "M"]}}}, r"network.options.plan is \[8, 'M', 16\] there"),
        ({"strategy": {"name": "ddpg", "options": {"sigma": 1}}}, "strategy.options.*there and .* here"),
        ({"more": 1}, "more is not set there and 1 here"),
        ({"data": {"name": "cifar10"}}, "data.name is 'digits' there and 'cifar10' here"),
    ],
)
def test_other_settings_are_refused_by_name(changes: dict[str, Any], found: str, tmp_path: Path) -> None:
    made(tmp_path / "run")
    with pytest.raises(RunError, match=f"run holds a run with other settings: {found}.* Choose another --name"):
        RunFolder(tmp_path / "run", settings(**changes), HERE)


def test_settings_of_a_process_that_was_faster_are_refused_when_the_folder_is_opened(tmp_path: Path) -> None:
    slow = RunFolder(tmp_path / "run", settings(seed=4), {"data.root": "elsewhere"})
    made(tmp_path / "run")
    with pytest.raises(RunError, match="seed is 3 there and 4 here"), slow.open():
        pytest.fail("these settings are not the folder's")
    assert read_json(tmp_path / "run" / "settings.json") == RECORDED


def test_a_run_is_finished_with_its_result(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    assert not run.is_finished()
    write_json(run.result_file, {"schema": 1})
    assert run.result_file == tmp_path / "run" / "result.json"
    assert run.is_finished()
    assert run.result() == {"schema": 1}


def test_broken_settings_are_one_sentence(tmp_path: Path) -> None:
    made(tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(RunError, match=r"settings\.json cannot be read"):
        RunFolder(tmp_path / "run", settings(), HERE)


@pytest.mark.parametrize("mark", KINDS)
def test_a_folder_is_of_one_kind(mark: str, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", settings(), HERE, mark).open():
        pass
    for other in KINDS:
        if other == mark:
            RunFolder(tmp_path / "run", settings(), HERE, other)
        else:
            with pytest.raises(RunError, match=f"run holds {KINDS[mark]}. Choose another --name."):
                RunFolder(tmp_path / "run", settings(), HERE, other)
