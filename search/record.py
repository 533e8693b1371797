"""All that is known of a finished run, and where its folder says it."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from conf.schema import SearchConfig
from lightning_snn.errors import RunError
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from search.budget import Budget
from search.configuration import restore_config
from search.estimator import Estimator
from search.sampling import Sample
from search.sampling import fitted
from search.study_file import MEND
from search.study_file import STUDY
from search.study_file import check_file
from search.study_file import one_sentence
from search.study_file import storage_of

SAMPLES = "samples.json"
"""Of a run's folder: the samples that its estimator was fitted to."""


NETWORK = ("validation_accuracy", "test_accuracy", "synops", "parameters", "macs", "size_bytes", "batch_seconds")
FIGURES = {
    "baseline": NETWORK,
    "result": NETWORK,
    "budget": ("target_fraction", "target_synops", "validation_target_synops", "validation_baseline_synops"),
    "estimator": ("slope", "intercept", "predicted_synops", "lower", "upper"),
    "seconds": ("baseline", "estimator", "search", "finetune", "verify", "total"),
}
"""Numbers that ``result.json`` must hold, by its parts."""
TRIAL = ("accuracy", "synops", "predicted_synops", "upper", "parameters")
"""Numbers that every trial must have as attributes, beside its widths."""


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a finished run."""

    result: dict[str, Any]
    """What ``result.json`` holds."""
    trials: list[FrozenTrial]
    samples: list[Sample]
    """What the estimator was fitted to."""
    estimator: Estimator
    config: SearchConfig

    @property
    def budget(self) -> Budget:
        """Return the budget, in SynOps on validation data."""
        values = self.result["budget"]
        return Budget(values["validation_target_synops"], values["validation_baseline_synops"])

    @property
    def full(self) -> dict[str, int]:
        """Return group name -> channels of the dense network, in network order."""
        widths: dict[str, int] = self.result["baseline"]["widths"]
        return widths


def write_samples(run: Path, samples: Sequence[Sample]) -> None:
    """Leave the samples in the run's folder, so that it says all there is to say of the run by itself."""
    write_json(run / SAMPLES, [dataclasses.asdict(sample) for sample in samples])


def read_record(run: Path) -> RunRecord:
    """Return what a finished run's folder holds.

    Raises:
        ConfigError: If it is not the folder of a search.
        RunError: If the search is not finished, or was made by another version.
    """
    config = restore_config(run)
    if not (run / "result.json").exists():
        raise RunError(f"{run} holds a search that is not finished. Give its command again to go on with it.")
    result = read_result(run)
    if not (run / SAMPLES).exists() or "widths" not in result["baseline"]:
        raise RunError(f"{run} was made by another version, which left less behind. Make the run again.")
    samples = _read_samples(run)
    return RunRecord(result, read_trials(run), samples, fitted(samples, config.estimator), config)


def _read_samples(run: Path) -> list[Sample]:
    try:
        samples = [Sample.of(values) for values in read_json(run / SAMPLES)]
    except TypeError as error:
        raise RunError(f"{run / SAMPLES} holds no samples ({error}). {_again(run)}") from error
    if not samples:
        raise RunError(f"{run / SAMPLES} holds no samples. {_again(run)}")
    return samples


def _again(run: Path) -> str:
    return f"Delete {run}; the search's own command makes it again."


def read_result(run: Path) -> dict[str, Any]:
    """Return what ``result.json`` of a finished search holds.

    Raises:
        RunError: If it cannot be read, or was made by another version.
    """
    result = read_json(run / "result.json")
    mend = "Delete it; the search's own command makes it again."
    if not isinstance(result, dict) or result.get("schema") != 1:
        raise RunError(f"{run / 'result.json'} is not the result of a search of this version. {mend}")
    for part, names in FIGURES.items():
        found = result.get(part)
        for name in names:
            value = found.get(name) if isinstance(found, dict) else None
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise RunError(
                    f"{run / 'result.json'} needs a number at {part}.{name}, found {value!r}. It is damaged, or of "
                    f"another version. {mend}"
                )
    return result


def read_trials(run: Path) -> list[FrozenTrial]:
    """Return all trials of a run.

    Raises:
        RunError: If there is no record of them, or it cannot be read.
    """
    file = run / "study.db"
    if not file.exists():
        raise RunError(f"{run} holds no study.db. Name the folder of a search, below runs/.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mend = f"Put a copy of it back. Without one: {_again(run)}"
    with one_sentence(file, mend):
        check_file(file)
        if file.stat().st_size == 0:
            raise ValueError("it is empty")
        trials = optuna.load_study(study_name=STUDY, storage=storage_of(file)).get_trials()
    check_attributes(trials, file, mend)
    return trials


def check_attributes(trials: Sequence[FrozenTrial], file: Path, mend: str = MEND) -> None:
    """Refuse trials without what a search notes of each: somebody else's, or of a version long ago.

    Raises:
        RunError: If there are some.
    """
    for trial in trials:
        seen = trial.user_attrs
        lacking = [name for name in TRIAL if not isinstance(seen.get(name), int | float)]
        if lacking or not isinstance(seen.get("widths"), dict):
            raise RunError(
                f"{file} holds trials that no search of ours made: trial {trial.number} has no "
                f"{lacking[0] if lacking else 'widths'}. {mend}"
            )
