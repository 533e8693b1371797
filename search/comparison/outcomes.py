"""What one finished search came to, read from its folder alone."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from lightning_snn.describe import share_of
from search.comparison.plan import Member
from search.configuration import restore_config
from search.objective import best_so_far
from search.objective import is_feasible
from search.record import read_result
from search.record import read_trials


@dataclass(frozen=True)
class SearchOutcome:
    """One search. Accuracies and shares lie in [0, 1]; SynOps are those after fine-tuning, on test data."""

    variant: str
    target: float
    seed: int
    run: str
    """Name of its folder."""
    strategy: str
    data: str
    network: str
    time_steps: int
    allowed: int
    """Evaluations that it might make; one whose proposals repeat ends before."""
    best: float
    """Primary: validation accuracy of the best feasible network before fine-tuning; 0 where none was feasible."""
    curve: list[float]
    """The same after 1, 2, ... evaluations."""
    feasible: float
    """Share of the proposals in the second half of the search whose upper bound lies within the budget."""
    front: list[tuple[float, float]]
    """Networks that no other one of the search beats: predicted SynOps over the dense ones, validation accuracy."""
    test_accuracy: float
    dense_test_accuracy: float
    synops: float
    """Of the result, as a share of the dense network's."""
    violation: float
    """How far they lie above the target, as a share of the target."""
    met: bool
    tightened: int
    operations: float
    """Operations of all layers of the result, in the budget or not, as a share of the dense network's."""
    parameters: float
    """Of the result, as a share of the dense network's."""
    evaluations: int
    trials: int
    search_seconds: float
    total_seconds: float
    balanced_test_accuracy: float | None = None
    """Of the result; None, like the next two, where the classes of the test data are equal."""
    largest_class: float | None = None
    """Share of the test samples."""
    beats_largest_class: bool | None = None
    """Whether the result does better than always answering that class."""


def read_outcome(member: Member) -> SearchOutcome:
    """Read what a finished search left.

    Raises:
        ConfigError: If its settings cannot be read.
        RunError: If it is not finished, or its record cannot be read.
    """
    result = read_result(member.folder)
    trials = read_trials(member.folder)
    curve = best_so_far(trials)
    before, after = result["baseline"], result["result"]
    share = share_of(after["synops"], before["synops"])
    return SearchOutcome(
        variant=member.variant,
        target=member.target,
        seed=member.seed,
        run=member.folder.name,
        **{name: result[name] for name in ("strategy", "data", "network", "time_steps")},
        allowed=restore_config(member.folder).strategy.evaluations,
        best=curve[-1] if curve else 0.0,
        curve=curve,
        feasible=feasible_share(trials[len(trials) // 2 :]),
        front=pareto_front(trials, result["budget"]["validation_baseline_synops"]),
        test_accuracy=after["test_accuracy"],
        dense_test_accuracy=before["test_accuracy"],
        synops=share,
        violation=float(np.maximum(0.0, share / result["budget"]["target_fraction"] - 1.0)),  # NaN stays NaN
        met=result["budget"]["met"],
        tightened=result["budget"]["tightened"],
        operations=share_of(_all_operations(after), _all_operations(before)),
        parameters=after["parameters"] / before["parameters"],
        evaluations=result["evaluations"],
        trials=result["trials"],
        search_seconds=result["seconds"]["search"],
        total_seconds=result["seconds"]["total"],
        balanced_test_accuracy=after.get("test_balanced_accuracy"),
        largest_class=after.get("test_largest_class"),
        beats_largest_class=after.get("test_beats_largest_class"),
    )


def feasible_share(trials: Sequence[FrozenTrial]) -> float:
    """Return the share of trials whose upper bound lies within the budget; NaN without a trial."""
    return sum(map(is_feasible, trials)) / len(trials) if trials else math.nan


def _all_operations(network: Mapping[str, Any]) -> float:
    return float(sum(layer["synops"] for layer in network["layers"].values()))


def pareto_front(trials: list[FrozenTrial], dense: float) -> list[tuple[float, float]]:
    """Return (predicted SynOps over the dense ones, accuracy) of the trials that no other one beats, by SynOps.

    Args:
        trials: Of one search.
        dense: SynOps of the dense network, on validation data.
    """
    measured = [trial.user_attrs for trial in trials if trial.value is not None]
    points = [(seen["predicted_synops"] / dense, seen["accuracy"]) for seen in measured]
    front: list[tuple[float, float]] = []
    for synops, accuracy in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((synops, accuracy))
    return front
