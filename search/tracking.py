"""Who else gets the numbers of a run while it works: nobody, or Weights & Biases.

The study and the run folder are the record; a tracker is a view that can be rebuilt from them. The caller hands in
all recorded samples and trials after every start, so that everything is there once, however often the run was
killed: an online run goes on and what it has is skipped, an offline run, which W&B cannot resume, starts afresh.
"""

import io
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol

from optuna.trial import FrozenTrial
from PIL import Image

from conf.identity import leaves
from conf.identity import network_name
from conf.schema import SearchConfig
from lightning_snn._wandb import start_wandb
from search.configuration import run_name
from search.drawing import figure_png
from search.objective import best_trial
from search.objective import is_feasible
from search.record import RunRecord
from search.run_page import draw_figures
from search.sampling import Sample

if TYPE_CHECKING:
    import wandb

TRIAL_COLUMNS = (
    "number",
    "value",
    "accuracy",
    "synops",
    "predicted_synops",
    "upper",
    "constraint",
    "parameters",
    "widths",
)
EVALUATIONS = "evaluations"
"""Distinct networks so far: what curves of several strategies are drawn against."""
SAMPLE_COLUMNS = ("index", "pre", "post", "accuracy_pre", "accuracy_post")


class Tracker(Protocol):
    """What a run tells about itself."""

    def sample(self, sample: Sample) -> None:
        """Take a sample of the estimator; all of them come before the first trial."""
        ...

    def trial(self, trial: FrozenTrial, best: FrozenTrial | None) -> None:
        """Take a finished trial and the best one so far; in order, recorded ones again after every start."""
        ...

    def finish(self, record: RunRecord) -> None:
        """Take the finished run."""
        ...

    def close(self) -> None:
        """End, with the run finished or not."""
        ...


class NoTracker:
    """Tells nobody."""

    def sample(self, sample: Sample) -> None:
        """Do nothing."""

    def trial(self, trial: FrozenTrial, best: FrozenTrial | None) -> None:
        """Do nothing."""

    def finish(self, record: RunRecord) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class WandbTracker:
    """Tells Weights & Biases: online where there is a key, else offline in ``<folder>/wandb``; never asks for one."""

    def __init__(self, config: SearchConfig, folder: Path) -> None:
        """Start the W&B run that belongs to ``config``.

        Raises:
            RunError: If it does not start.
        """
        self._run = start_wandb(
            config, folder, name=run_name(config), group=_group(config), tags=[config.strategy.name]
        )
        self._run.define_metric("trial/*", step_metric=EVALUATIONS, summary="none")  # the last trial sums up nothing
        self._run.define_metric("best_feasible_accuracy", step_metric=EVALUATIONS, summary="max")
        self._samples: list[Sample] = []
        self._networks: set[tuple[int, ...]] = set()
        self._is_finished = False

    def sample(self, sample: Sample) -> None:
        """Keep a sample for the table that goes out with the first trial."""
        self._samples.append(sample)

    def trial(self, trial: FrozenTrial, best: FrozenTrial | None) -> None:
        """Log a trial as the step of its number, unless W&B has it."""
        self._networks.add(tuple(trial.user_attrs.get("widths", {}).values()))
        if trial.number < self._run.starting_step:
            return
        row: dict[str, Any] = {EVALUATIONS: len(self._networks)} | {
            f"trial/{name}": value
            for name, value in zip(TRIAL_COLUMNS, _trial_row(trial), strict=True)
            if isinstance(value, int | float)
        }
        if best is not None and is_feasible(best):
            row["best_feasible_accuracy"] = best.user_attrs["accuracy"]
        if trial.number == 0:
            rows = [[getattr(sample, name) for name in SAMPLE_COLUMNS] for sample in self._samples]
            row["tables/samples"] = _table(SAMPLE_COLUMNS, rows)
        self._run.log(row, step=trial.number, commit=True)

    def finish(self, record: RunRecord) -> None:
        """Log the table of trials and the pictures, and summarise the result."""
        import wandb

        row: dict[str, Any] = {
            f"figures/{name}": wandb.Image(Image.open(io.BytesIO(figure_png(figure))))
            for name, figure in draw_figures(record).items()
        }
        row["tables/trials"] = _table(TRIAL_COLUMNS, [_trial_row(trial) for trial in record.trials])
        self._run.log(row, step=len(record.trials), commit=True)
        self._run.summary.update(dict(leaves(record.result, separator="/")))
        self._is_finished = True

    def close(self) -> None:
        """End the W&B run, as failed where the search did not finish."""
        self._run.finish(exit_code=0 if self._is_finished else 1)


def open_tracker(config: SearchConfig, folder: Path) -> Tracker:
    """Return the tracker that ``logger.name`` asks for.

    Args:
        config: Settings of the run.
        folder: Of the run; exists.

    Raises:
        RunError: If W&B does not start.
    """
    return NoTracker() if config.logger.name == "none" else WandbTracker(config, folder)


def send(record: RunRecord, tracker: Tracker) -> None:
    """Tell a tracker all of a finished run."""
    with closing(tracker):
        for sample in record.samples:
            tracker.sample(sample)
        for count, trial in enumerate(record.trials, 1):
            tracker.trial(trial, best_trial(record.trials[:count]))
        tracker.finish(record)


def _trial_row(trial: FrozenTrial) -> list[Any]:
    seen = trial.user_attrs
    measured = [seen.get(name) for name in ("accuracy", "synops", "predicted_synops", "upper")]
    widths = json.dumps(seen.get("widths"))
    return [trial.number, trial.value, *measured, trial.constraints.get("synops"), seen.get("parameters"), widths]


def _table(columns: Sequence[str], rows: list[list[Any]]) -> "wandb.Table":
    import wandb

    return wandb.Table(columns=list(columns), data=rows)


def _group(config: SearchConfig) -> str:
    """Return what runs that differ in strategy and seed have in common."""
    budget = config.budget
    target = f"{budget.target:g}" if budget.synops is None else f"{budget.synops:g}synops"
    return f"{config.data.name}-{network_name(config)}-{target}"
