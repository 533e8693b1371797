"""A trial in one line."""

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState
from optuna.trial import create_trial

from search.progress import trial_news


def trial(value: float | None, accuracy: float, constraint: float) -> FrozenTrial:
    made = create_trial(
        state=TrialState.COMPLETE if value is not None else TrialState.FAIL,
        value=value,
        params={"a": 0.5},
        distributions={"a": FloatDistribution(0.1, 1.0)},
        user_attrs={"accuracy": accuracy, "synops": 1.0},
        constraints={"synops": constraint},
    )
    made.number = 7
    return made


def test_news_of_a_trial() -> None:
    feasible, infeasible = trial(0.9, 0.9, -0.01), trial(0.95, 0.95, 0.25)
    assert trial_news(infeasible, feasible) == "best 90.00%; trial 7: 125.0% of the budget"
    assert trial_news(infeasible, infeasible) == "none feasible; trial 7: 125.0% of the budget"
    assert trial_news(trial(None, 0.0, 0.0), feasible) == "trial 7 failed"
