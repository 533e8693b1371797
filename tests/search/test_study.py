"""The record is the state: stopped and resumed equals straight, for every sampler, wherever it was stopped."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.samplers import CmaEsSampler
from optuna.samplers import GPSampler
from optuna.samplers import NSGAIISampler
from optuna.samplers import RandomSampler
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from optuna.trial import create_trial

from search.study import Outcome
from search.study import RecordedStudy

SPACE = {name: FloatDistribution(0.1, 1.0) for name in ("conv10", "conv2", "fc")}
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=4),
    "cmaes": lambda seed: CmaEsSampler(seed=seed, popsize=4, n_startup_trials=1, warn_independent_sampling=False),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=4),
    "gp": lambda seed: GPSampler(seed=seed, n_startup_trials=3, deterministic_objective=True),
}
TRIALS = {"gp": 7}

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:Constraints have been")


def measure(params: Mapping[str, float]) -> Outcome:
    """Peak inside the space, a constraint that half of it violates, and attributes of every plain kind."""
    value = -sum((ratio - target) ** 2 for ratio, target in zip(params.values(), (0.3, 0.9, 0.5), strict=True))
    widths = {name: round(1000 * ratio) for name, ratio in params.items()}
    return Outcome(value, sum(params.values()) - 1.6, {"widths": widths, "accuracy": value + 1.0, "passes": 3})


def open_study(file: Path, sampler: BaseSampler) -> RecordedStudy:
    return RecordedStudy(file, sampler=sampler, space=SPACE)


def facts(trial: FrozenTrial) -> tuple[Any, ...]:
    """Return all that a trial says, besides times."""
    attributes = {key: value for key, value in trial.user_attrs.items() if key != "proposal_seconds"}
    return trial.number, trial.state, trial.value, trial.params, trial.constraints, attributes


def run(name: str, file: Path, stops: list[int], seed: int = 5) -> RecordedStudy:
    """Run up to each number of evaluations in turn, with a fresh sampler and a fresh study every time."""
    for evaluations in stops:
        study = open_study(file, SAMPLERS[name](seed))
        study.optimize(measure, evaluations)
        assert study.mismatches == 0
    return study


@pytest.mark.parametrize("name", SAMPLERS)
def test_resumed_equals_straight(name: str, tmp_path: Path) -> None:
    end = TRIALS.get(name, 12)
    straight = run(name, tmp_path / "straight.db", [end])
    resumed = run(name, tmp_path / "resumed.db", [1, end // 2, end - 1, end])
    assert [facts(trial) for trial in resumed.trials] == [facts(trial) for trial in straight.trials]
    assert len({tuple(trial.params.values()) for trial in straight.trials}) == end  # nothing is repeated


@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsga2"])
def test_samplers_here_do_learn(name: str, tmp_path: Path) -> None:
    """Otherwise the test above would say nothing about their state."""
    trials = run(name, tmp_path / "record.db", [9]).trials
    others = open_study(tmp_path / "other.db", SAMPLERS[name](5))
    others.optimize(lambda params: Outcome(params["fc"]), 9)
    assert [trial.params for trial in trials] != [trial.params for trial in others.trials]


def test_one_study_goes_on_where_it_was(tmp_path: Path) -> None:
    straight = run("tpe", tmp_path / "straight.db", [10])
    study = open_study(tmp_path / "record.db", SAMPLERS["tpe"](5))
    for evaluations in (4, 7, 7, 10):
        study.optimize(measure, evaluations)
    assert study.mismatches == 0
    assert [facts(trial) for trial in study.trials] == [facts(trial) for trial in straight.trials]


KILLED = """
import os, signal, sys
from pathlib import Path
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from search.study import Outcome, RecordedStudy

def measure(params):
    if len(study.trials) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    value = -sum((ratio - target) ** 2 for ratio, target in zip(params.values(), (0.3, 0.9, 0.5), strict=True))
    widths = {name: round(1000 * ratio) for name, ratio in params.items()}
    return Outcome(value, sum(params.values()) - 1.6, {"widths": widths, "accuracy": value + 1.0, "passes": 3})

space = {name: FloatDistribution(0.1, 1.0) for name in ("conv10", "conv2", "fc")}
study = RecordedStudy(Path(sys.argv[1]), sampler=TPESampler(seed=5, n_startup_trials=4), space=space)
study.optimize(measure, 10)
"""


def test_a_killed_process_loses_only_the_trial_in_flight(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "record.db")], check=False)
    assert killed.returncode == -signal.SIGKILL
    study = open_study(tmp_path / "record.db", SAMPLERS["tpe"](5))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6
    study.optimize(measure, 10)
    straight = run("tpe", tmp_path / "straight.db", [10])
    assert [facts(trial) for trial in study.trials] == [facts(trial) for trial in straight.trials]


def test_an_exception_leaves_no_trace_of_its_trial(tmp_path: Path) -> None:
    def interrupted(params: Mapping[str, float]) -> Outcome:
        if len(study.trials) == 3:
            raise KeyboardInterrupt
        return measure(params)

    study = open_study(tmp_path / "record.db", SAMPLERS["tpe"](5))
    with pytest.raises(KeyboardInterrupt):
        study.optimize(interrupted, 6)
    resumed = run("tpe", tmp_path / "record.db", [6])
    straight = run("tpe", tmp_path / "straight.db", [6])
    assert [facts(trial) for trial in resumed.trials] == [facts(trial) for trial in straight.trials]


def test_everything_told_comes_back_equal(tmp_path: Path) -> None:
    attributes = {
        "widths": {"conv10": 3, "conv2": 64},
        "accuracy": 0.1 + 0.2,
        "synops": 123456789.123456789,
        "list": [1, 2.5, "x", None, True],
        "text": "ä 'quoted' \"twice\" \n",
    }
    study = open_study(tmp_path / "record.db", RandomSampler(seed=0))
    study.optimize(lambda params: Outcome(1.0 / 3.0, -1e-17, attributes), 1)
    (here,), (again,) = study.trials, open_study(tmp_path / "record.db", RandomSampler(seed=0)).trials
    assert facts(again) == facts(here) == (0, TrialState.COMPLETE, 1 / 3, here.params, {"synops": -1e-17}, attributes)
    assert again.user_attrs == here.user_attrs
    assert again.user_attrs["proposal_seconds"] >= 0.0
    assert again.distributions == SPACE
    assert list(here.params) == list(SPACE)


def test_parameters_are_asked_for_in_the_order_of_the_space(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def measured(params: Mapping[str, float]) -> Outcome:
        seen.append(list(params))
        return measure(params)

    open_study(tmp_path / "record.db", TPESampler(seed=0, n_startup_trials=2)).optimize(measured, 5)
    assert seen == [["conv10", "conv2", "fc"]] * 5


def test_on_trial_sees_each_new_trial_once_and_recorded(tmp_path: Path) -> None:
    seen: list[int] = []
    for evaluations in (3, 5):
        study = open_study(tmp_path / "record.db", RandomSampler(seed=0))

        def note(trial: FrozenTrial, study: RecordedStudy = study) -> None:
            assert study.trials[-1] is trial
            with sqlite3.connect(tmp_path / "record.db") as database:
                assert database.execute("select count(*) from trials").fetchone() == (trial.number + 1,)
            seen.append(trial.number)

        study.optimize(measure, evaluations, note)
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "value"), [("random", math.inf), ("tpe", math.nan), ("cmaes", -math.inf), ("nsga2", math.inf)]
)
def test_an_unusable_value_is_a_failed_trial_and_is_survived(name: str, value: float, tmp_path: Path) -> None:
    def measured(params: Mapping[str, float]) -> Outcome:
        good = measure(params)
        return Outcome(value, value, good.attributes) if params["fc"] < 0.4 else good

    end = 12
    for number, stops in enumerate(([end], [5, end])):
        for evaluations in stops:
            study = open_study(tmp_path / f"{number}.db", SAMPLERS[name](1))
            study.optimize(measured, evaluations)
            assert study.mismatches == 0
        failed = [trial for trial in study.trials if trial.params["fc"] < 0.4]
        assert 0 < len(failed) < end
        for trial in study.trials:
            assert trial.state == (TrialState.FAIL if trial in failed else TrialState.COMPLETE)
            assert (trial.value is None) == (trial in failed)
            assert set(trial.constraints) == (set() if trial in failed else {"synops"})
        if number == 0:
            straight = [facts(trial) for trial in study.trials]
    assert [facts(trial) for trial in study.trials] == straight


def test_a_failed_trial_is_an_evaluation_too(tmp_path: Path) -> None:
    study = open_study(tmp_path / "record.db", RandomSampler(seed=0))
    study.optimize(lambda params: Outcome(math.nan, None, {"widths": {"fc": round(99 * params["fc"])}}), 3)
    assert (study.evaluations, len(study.trials)) == (3, 3)


def test_repeated_networks_cost_no_evaluation(tmp_path: Path) -> None:
    """Every second proposal comes to the network of the one before it."""
    calls: list[int] = []

    def measured(params: Mapping[str, float]) -> Outcome:
        calls.append(len(calls) // 2)
        return Outcome(params["fc"], None, {"widths": {"fc": calls[-1], "conv2": 7}})

    study = open_study(tmp_path / "record.db", RandomSampler(seed=0))
    study.optimize(measured, 3)
    assert (study.evaluations, len(study.trials), calls) == (3, 5, [0, 0, 1, 1, 2])


def test_a_search_ends_at_four_proposals_an_evaluation(tmp_path: Path) -> None:
    study = open_study(tmp_path / "record.db", RandomSampler(seed=0))
    study.optimize(lambda params: Outcome(1.0, None, {"widths": {"fc": 3}}), 5)
    assert (study.evaluations, len(study.trials)) == (1, 20)


def test_without_widths_the_proposal_itself_is_the_network(tmp_path: Path) -> None:
    study = open_study(tmp_path / "record.db", RandomSampler(seed=0))
    study.optimize(lambda params: Outcome(1.0), 4)
    assert (study.evaluations, len(study.trials)) == (4, 4)


class TwoShots(RandomSampler):
    """Is exhausted after two finished trials."""

    def is_exhausted(self, study: Study) -> bool:
        return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)) >= 2


def test_an_exhausted_sampler_ends_the_search_and_stays_ended(tmp_path: Path) -> None:
    for _ in range(2):
        study = open_study(tmp_path / "record.db", TwoShots(seed=0))
        study.optimize(measure, 50)
        assert len(study.trials) == 2


class Witness(RandomSampler):
    """Remembers what the study looked like at the last proposal."""

    seen: list[tuple[dict[str, Any], float | None]]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self.seen = [(each.params, each.value) for each in known]


def test_a_changed_record_is_reported_and_told_as_it_is(tmp_path: Path) -> None:
    run("random", tmp_path / "record.db", [5])
    changed = {"conv10": 0.11, "conv2": 0.22, "fc": 0.33}
    database = sqlite3.connect(tmp_path / "record.db")
    with database:
        for name, value in changed.items():
            row = "param_name = ? and trial_id = (select trial_id from trials where number = 2)"
            assert database.execute(f"update trial_params set param_value = ? where {row}", (value, name)).rowcount == 1
    database.close()
    sampler = Witness(seed=5)
    study = open_study(tmp_path / "record.db", sampler)
    with pytest.warns(UserWarning, match="1 of 6 recorded trials were proposed differently on replay"):
        study.optimize(measure, 6)
    assert study.mismatches == 1
    assert study.trials[2].params == changed
    assert sampler.seen == [(trial.params, trial.value) for trial in study.trials[:5]]


def test_a_record_of_another_sampler_is_told_as_it_is(tmp_path: Path) -> None:
    recorded = [facts(trial) for trial in run("random", tmp_path / "record.db", [4]).trials]
    study = open_study(tmp_path / "record.db", SAMPLERS["tpe"](6))
    with pytest.warns(UserWarning, match="4 of 6 recorded trials"):
        study.optimize(measure, 6)
    assert [facts(trial) for trial in study.trials[:4]] == recorded
    assert len(study.trials) == 6


def test_a_faithful_record_is_replayed_without_a_word(tmp_path: Path) -> None:
    run("tpe", tmp_path / "record.db", [6])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run("tpe", tmp_path / "record.db", [8])


def all_text(file: Path) -> str:
    with sqlite3.connect(file) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        return repr([database.execute(f"select * from {name}").fetchall() for name in tables])


def test_no_sampler_state_is_recorded(tmp_path: Path) -> None:
    run("cmaes", tmp_path / "record.db", [9])
    assert "cma" not in all_text(tmp_path / "record.db")
    assert "fc" in all_text(tmp_path / "record.db")
    # Optuna's own study does record it, as a pickle in hexadecimal digits: the look above would find it.
    own = optuna.create_study(storage=f"sqlite:///{tmp_path / 'own.db'}", sampler=SAMPLERS["cmaes"](5))
    own.optimize(lambda trial: sum(trial.suggest_float(name, 0.1, 1.0) for name in SPACE), n_trials=6)
    assert "cma" in all_text(tmp_path / "own.db")


def test_the_record_is_an_optuna_study_that_others_can_open(tmp_path: Path) -> None:
    study = run("random", tmp_path / "record.db", [4])
    opened = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'record.db'}")
    assert [facts(trial) for trial in opened.trials] == [facts(trial) for trial in study.trials]
    feasible = [trial for trial in study.trials if trial.constraints["synops"] <= 0.0]
    assert opened.best_trial.number == max(feasible, key=lambda trial: trial.value or 0.0).number


def test_others_see_how_long_a_trial_took(tmp_path: Path) -> None:
    def slow(params: Mapping[str, float]) -> Outcome:
        time.sleep(0.05)
        return measure(params)

    study = open_study(tmp_path / "study.db", SAMPLERS["random"](5))
    study.optimize(slow, 2)
    seen = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'study.db'}").trials
    assert all(0.05 <= trial.duration.total_seconds() < 5.0 for trial in seen if trial.duration)
    assert [trial.duration is None for trial in seen] == [False, False]


def test_a_record_made_elsewhere_is_replayed(tmp_path: Path) -> None:
    """A study filled by hand with what the sampler would propose is as good as one of ours."""
    ours = run("random", tmp_path / "ours.db", [3])
    theirs = optuna.create_study(
        study_name="search", storage=f"sqlite:///{tmp_path / 'theirs.db'}", direction="maximize"
    )
    for trial in ours.trials:
        theirs.add_trial(
            create_trial(value=trial.value, params=trial.params, distributions=trial.distributions)  # nothing else
        )
    study = open_study(tmp_path / "theirs.db", SAMPLERS["random"](5))
    study.optimize(measure, 5)
    assert study.mismatches == 0
    assert [trial.params for trial in study.trials[:3]] == [trial.params for trial in ours.trials]


def test_the_file_lies_where_it_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "with space #1 ä? 50%41"
    folder.mkdir()
    run("random", folder / "study.db", [2])
    assert os.listdir(folder) == ["study.db"]
