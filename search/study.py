"""The record is the state: finished trials in SQLite, replayed through a seeded sampler after every start.

Proposals come from an in-memory study. On start the sampler is asked again for every recorded trial, the proposal
is compared with the record, and the recorded value is told. So a kill loses at most the trial in flight, and
k trials + kill + the rest equal all of them straight, whatever state the sampler keeps (it is never stored).
"""

import math
import time
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from optuna.trial import create_trial

from search.study_file import STUDY
from search.study_file import check_about
from search.study_file import check_file
from search.study_file import check_trials
from search.study_file import one_sentence
from search.study_file import storage_of

PROPOSALS_PER_EVALUATION = 4
"""A search also ends at this many proposals per evaluation, so that a strategy that repeats itself ends."""


@dataclass(frozen=True)
class Outcome:
    """What one proposal came to."""

    value: float
    """Reward, to be maximised; NaN records a failed trial."""
    constraint: float | None = None
    """Upper bound / target - 1; feasible at or below 0."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values; ``widths`` (executed, by group) decides what counts as an evaluation of its own."""


class RecordedStudy:
    """One Optuna study in a file, driven by one process.

    ``trials`` are Optuna's frozen trials, each with the raw proposal as ``params`` and the outcome as attributes.
    """

    def __init__(
        self,
        file: Path,
        *,
        sampler: BaseSampler,
        space: Mapping[str, FloatDistribution],
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Open or create the record.

        Args:
            file: SQLite file; its folder exists.
            sampler: Seeded; nothing of it is stored.
            space: Parameters in the order in which they are asked for.
            about: Attributes of the study, for those who look at its file with other tools.

        Raises:
            RunError: If the file is damaged, locked, or the record of something else.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space, self.sampler, self._file = dict(space), sampler, file
        with one_sentence(file):
            check_file(file)
            self._record = optuna.create_study(
                study_name=STUDY, storage=storage_of(file), direction="maximize", load_if_exists=True
            )
            self.trials: list[FrozenTrial] = self._record.get_trials()
            check_about(self._record.user_attrs, about, file)
            check_trials(self.trials, self.space, file)
            for key, value in about.items():
                self._record.set_user_attr(key, value)
        self._memory = optuna.create_study(direction="maximize", sampler=sampler)
        self.mismatches = 0
        self._replayed = 0

    @property
    def evaluations(self) -> int:
        """Return how many distinct networks were measured."""
        return len({_network_of(trial) for trial in self.trials})

    def optimize(
        self,
        objective: Callable[[dict[str, float]], Outcome],
        evaluations: int,
        on_trial: Callable[[FrozenTrial], None] = lambda trial: None,
    ) -> None:
        """Replay the record, then go on until there are ``evaluations`` distinct measured networks.

        Ends earlier after four proposals per evaluation, or when the sampler has an ``is_exhausted(study)`` (as
        Optuna's ``GridSampler`` has) that says so. ``on_trial`` sees each new trial once it is recorded.
        """
        while not self._ended(evaluations):
            started = time.perf_counter()
            trial = self._memory.ask()
            params = {
                name: trial.suggest_float(name, each.low, each.high, step=each.step, log=each.log)
                for name, each in self.space.items()
            }
            if self._replayed < len(self.trials):
                self._retell(trial, params, self.trials[self._replayed])
                self._replayed += 1
            else:
                trial.set_user_attr("proposal_seconds", time.perf_counter() - started)
                self._tell(trial, objective(params))
                self._replayed += 1
                on_trial(self.trials[-1])
        if self.mismatches:
            warnings.warn(
                f"{self.mismatches} of {len(self.trials)} recorded trials were proposed differently on replay "
                "(another library version, perhaps); they were told as recorded.",
                stacklevel=2,
            )

    def _ended(self, evaluations: int) -> bool:
        if self._replayed < len(self.trials):
            return False
        exhausted = getattr(self.sampler, "is_exhausted", None)
        return (
            self.evaluations >= evaluations
            or len(self.trials) >= PROPOSALS_PER_EVALUATION * evaluations
            or (exhausted is not None and bool(exhausted(self._memory)))
        )

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        usable = math.isfinite(outcome.value)
        if outcome.constraint is not None and math.isfinite(outcome.constraint):
            trial.set_constraint("synops", outcome.constraint)
        for key, value in outcome.attributes.items():
            trial.set_user_attr(key, value)
        told = self._memory.tell(
            trial,
            outcome.value if usable else None,
            state=TrialState.COMPLETE if usable else TrialState.FAIL,
        )
        # Without the system attributes: CMA-ES keeps its pickled state there, and sampler state is not recorded.
        whole = create_trial(
            state=told.state,
            value=told.value if usable else None,
            params=told.params,
            distributions=told.distributions,
            user_attrs=told.user_attrs,
            constraints=told.constraints,
        )
        whole.number = len(self.trials)
        whole.datetime_start, whole.datetime_complete = told.datetime_start, told.datetime_complete
        with one_sentence(self._file):
            self._record.add_trial(whole)
        self.trials.append(whole)

    def _retell(self, trial: optuna.Trial, params: Mapping[str, float], recorded: FrozenTrial) -> None:
        if params != recorded.params:
            self.mismatches += 1
            self._memory.tell(trial, state=TrialState.FAIL)
            self._memory.add_trial(recorded)
            return
        for key, value in recorded.constraints.items():
            trial.set_constraint(key, value)
        for key, value in recorded.user_attrs.items():
            trial.set_user_attr(key, value)
        self._memory.tell(trial, recorded.value, state=recorded.state)


def _network_of(trial: FrozenTrial) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(trial.user_attrs.get("widths", trial.params).items()))
