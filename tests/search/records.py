"""Runs made by hand: a network of two groups, 1,000 SynOps when dense, a budget of half of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from optuna.trial import create_trial

from conf.schema import SearchConfig
from search.budget import Budget
from search.estimator import LinearEstimator
from search.record import RunRecord
from search.record import write_samples
from search.result import describe_study
from search.sampling import Sample
from search.study import Outcome
from search.study import RecordedStudy

FULL = {"conv1": 8, "conv2": 16}
BUDGET = Budget(target=500.0, baseline=1000.0)


def trial(
    number: int, accuracy: float = 0.5, *, upper: float = 490.0, widths: tuple[int, int] = (4, 8), failed: bool = False
) -> FrozenTrial:
    """A trial whose SynOps are predicted 20 below their upper bound, and were 70 below it when measured."""
    made = create_trial(
        state=TrialState.FAIL if failed else TrialState.COMPLETE,
        value=None if failed else accuracy,
        params={"conv1": 0.5, "conv2": 0.5},
        distributions={"conv1": FloatDistribution(0.1, 1.0), "conv2": FloatDistribution(0.1, 1.0)},
        user_attrs={
            "keep": {"conv1": widths[0] / 8, "conv2": widths[1] / 16},
            "widths": {"conv1": widths[0], "conv2": widths[1]},
            "accuracy": float("nan") if failed else accuracy,
            "synops": upper - 70.0,
            "predicted_synops": upper - 20.0,
            "lower": upper - 40.0,
            "upper": upper,
            "parameters": 300,
            "passes": 2,
            "seconds": 0.25,
        },
        constraints=None if failed else {"synops": upper / 500.0 - 1.0},
    )
    made.number = number
    return made


def sample(index: int, pre: float, post: float) -> Sample:
    return Sample(index, [4, 8], pre, post, accuracy_pre=0.4, accuracy_post=0.9, seconds=1.5)


SAMPLES = [sample(0, 300.0, 410.0), sample(1, 400.0, 530.0), sample(2, 500.0, 650.0), sample(3, 450.0, 580.0)]
TRIALS = [
    trial(0, 0.9, upper=600.0, widths=(8, 8)),  # infeasible
    trial(1, 0.5, widths=(4, 8)),
    trial(2, 0.5, widths=(4, 8)),  # the same network again
    trial(3, 0.4, widths=(3, 9)),
    trial(4, 0.7, upper=480.0, widths=(2, 12)),
    trial(5, widths=(1, 1), failed=True),
]


def layers(first: int, second: int, synops: float) -> dict[str, dict[str, Any]]:
    """What ``result.json`` holds of two convolutions on maps of 8 pixels and a classifier."""
    shapes = {"conv1": [first, 8, 8], "conv2": [second, 8, 8], "head": [10]}
    return {
        name: {"synops": synops, "in_budget": name != "conv1", "input_rate": 0.25, "output_shape": shape}
        for name, shape in shapes.items()
    }


def result(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """What ``result.json`` holds; ``changes`` are laid over its sections."""
    values: dict[str, Any] = {
        "schema": 1,
        "strategy": "ddpg",
        "seed": 3,
        "data": "digits",
        "network": "vgg_small",
        "time_steps": 4,
        "split_policy": "half and half",
        "samples": {"train": 70, "validation": 20, "test": 10},
        "skipped_recordings": ["a.bin"],
        "kept_whole": {"attention": "not followed"},
        "trials": 6,
        "evaluations": 5,
        "baseline": {
            "validation_accuracy": 0.95,
            "test_accuracy": 0.94,
            "synops": 2000.0,
            "parameters": 1200,
            "macs": 80.0,
            "dense_macs": 6000.0,
            "size_bytes": 4096,
            "batch_seconds": 0.02,
            "layers": layers(8, 16, 1000.0),
            "widths": FULL,
        },
        "result": {
            "validation_accuracy": 0.93,
            "test_accuracy": 0.9275,
            "synops": 960.0,
            "parameters": 300,
            "macs": 20.0,
            "dense_macs": 1500.0,
            "size_bytes": 1024,
            "batch_seconds": 0.015,
            "layers": layers(2, 12, 480.0),
            "widths": {"conv1": 2, "conv2": 12},
        },
        "budget": {"target_fraction": 0.5, "target_synops": 1000.0, "met": True, "tightened": 0}
        | {"validation_target_synops": BUDGET.target, "validation_baseline_synops": BUDGET.baseline},
        "estimator": {
            "samples": 4,
            "slope": 1.19,
            "intercept": -55.0,
            "holdout_mae_fraction": 0.0123,
            "predicted_synops": 460.0,
            "lower": 440.0,
            "upper": 480.0,
        },
        "synops_switches": {"first_layer": "apart", "analog_hidden": "add"},
        "versions": {"torch": "2.15.0", "optuna": "5.0.0"},
        "seconds": {
            "baseline": 30.0,
            "estimator": 50.0,
            "search": 15.0,
            "finetune": 4.0,
            "verify": 1.0,
            "total": 100.0,
        },
    }
    return {key: values[key] | changes.get(key, {}) if isinstance(values[key], dict) else values[key] for key in values}


def constant(accuracy: float = 12 / 13) -> dict[str, Any]:
    """What ``result.json`` also holds of a network that always answers the largest class, of 12 of 13 samples."""
    return {
        f"{split}_{key}": value
        for split in ("test", "validation")
        for key, value in {
            "accuracy": accuracy,
            "balanced_accuracy": 0.5,
            "largest_class": 12 / 13,
            "beats_largest_class": False,
        }.items()
    }


def record(**changes: Any) -> RunRecord:
    """The run of the constants above, with other ``changes``."""
    parts: dict[str, Any] = {
        "result": result(),
        "trials": TRIALS,
        "samples": SAMPLES,
        "estimator": LinearEstimator().fit([s.pre for s in SAMPLES], [s.post for s in SAMPLES]),
        "config": SearchConfig(),
    }
    return RunRecord(**parts | changes)


def write_run(folder: Path, config: SearchConfig, found: dict[str, Any]) -> Path:
    """Leave a finished search with two trials of one network, as ``search.pipeline`` does; return its folder."""
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(OmegaConf.to_container(OmegaConf.structured(config))))
    (folder / "result.json").write_text(json.dumps(found))
    write_samples(folder, SAMPLES)
    study = RecordedStudy(
        folder / "study.db",
        sampler=RandomSampler(seed=0),
        space=trial(0).distributions,
        about=describe_study(config, BUDGET, "a digest"),
    )
    study.optimize(lambda params: Outcome(0.7, -0.1, trial(0, upper=480.0).user_attrs), 1)
    return folder
