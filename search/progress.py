"""A trial in one line, for a person who watches."""

from optuna.trial import FrozenTrial

from search.objective import is_feasible

ENDED = "its proposals repeat or are used up"
"""Why a search has fewer evaluations than it was allowed."""


def trial_news(trial: FrozenTrial, best: FrozenTrial | None) -> str:
    """Return a trial in one line: best feasible accuracy so far, and this trial's SynOps against the budget."""
    if trial.value is None:
        return f"trial {trial.number} failed"
    so_far = f"best {best.user_attrs['accuracy']:.2%}" if best is not None and is_feasible(best) else "none feasible"
    return f"{so_far}; trial {trial.number}: {1.0 + trial.constraints['synops']:.1%} of the budget"
