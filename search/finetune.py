"""Fine-tune the winner, and make it smaller where the measurement says that it misses the budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial
from pytorch_lightning.callbacks import Callback
from torch import nn

from lightning_snn.inference import Evaluation
from lightning_snn.seeds import seed_for
from search.budget import Budget
from search.budget import project
from search.evaluator import Evaluator
from search.objective import candidate_of
from search.space import SearchContext

AIM = 0.98
"""A tightened network aims at this share of the target."""


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned network and what it measures on validation data."""

    network: nn.Module
    widths: tuple[int, ...]
    trial: FrozenTrial
    """Where the first attempt's widths come from."""
    validation: Evaluation
    tightened: int
    met: bool
    """Whether validation SynOps, with two standard errors, lie within the budget."""


def finetune_within_budget(
    best: FrozenTrial,
    evaluator: Evaluator,
    context: SearchContext,
    budget: Budget,
    folder: Path,
    callbacks: Sequence[Callback],
) -> Finetuned:
    """Fine-tune from the dense network's surviving weights; tighten and tune again while the budget is missed.

    Args:
        best: The trial whose network is fine-tuned.
        evaluator: Prunes, recalibrates and measures.
        context: Groups and static cost, to choose smaller widths.
        budget: What validation SynOps are held against.
        folder: Checkpoints of each attempt; an interrupted one goes on.
        callbacks: Of Lightning, for every attempt.
    """
    task, widths = evaluator.task, candidate_of(best, context.names).widths
    for attempt in range(task.config.budget.tightenings + 1):
        network = evaluator.prune(widths)
        task.train_(
            network,
            task.config.finetuning,
            seed=seed_for(task.config.seed, "finetuning", attempt),
            checkpoints=folder / f"attempt-{attempt}",
            callbacks=callbacks,
        )
        measured = task.measure_validation(network)
        met = budget.met_by(measured.synops.total, measured.synops.standard_error)
        done = Finetuned(network, widths, best, measured, attempt, met)
        smaller = widths if met else _tighter(widths, measured, context, budget)
        if met or smaller == widths:
            break
        widths = smaller
    return done


def _tighter(widths: tuple[int, ...], measured: Evaluation, context: SearchContext, budget: Budget) -> tuple[int, ...]:
    """Scale the static cost of ``widths`` by how far the measurement, with its error, lies above the aim."""
    found = measured.synops.total + 2.0 * measured.synops.standard_error
    return tuple(
        project(
            [width / full for width, full in zip(widths, context.full, strict=True)],
            context.full,
            low=context.low,
            cost=context.cost,
            target=max(context.least_cost, context.cost(widths) * AIM * budget.target / found),
        )
    )
