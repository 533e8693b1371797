"""TAR: what a pruned network is worth, given its accuracy and its SynOps against the target.

With ``u = synops / target`` and accuracy A in [0, 1]:

    linear     A - beta max(0, u - 1)        default without projection; one-sided form of TuNAS's absolute reward
    two-sided  A - beta |u - 1|              TuNAS
    replace    A if u <= 1 else 1 - u        Distiller, "punish-agent"
    cliff      A + 1 if u <= 1.002 else -3 - u     after Distiller, with u for its density
    power      A u^-beta if u > 1 else A     MnasNet (its w is -beta)
    amc-log    -(1 - A) ln(synops)           AMC, SynOps in place of FLOPs
    plain      A                             AMC; with projection always, as all proposals are within the budget

SPEAR's own Eqs. 4-6 could not be read: that this family stands for its "target-aware reward" is ours, and so is
beta = 3. The linear form is exact where beta exceeds the accuracy gained per unit of u above the budget.
"""

import math
from collections.abc import Callable
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lightning_snn.errors import nearest
from search.errors import SearchError

FORMS: Final[Mapping[str, Callable[[float, float, float, float], float]]] = MappingProxyType(
    {
        "linear": lambda accuracy, u, synops, beta: accuracy - beta * max(0.0, u - 1.0),
        "two-sided": lambda accuracy, u, synops, beta: accuracy - beta * abs(u - 1.0),
        "replace": lambda accuracy, u, synops, beta: accuracy if u <= 1.0 else 1.0 - u,
        "cliff": lambda accuracy, u, synops, beta: accuracy + 1.0 if u <= 1.002 else -3.0 - u,
        "power": lambda accuracy, u, synops, beta: accuracy * u**-beta if u > 1.0 else accuracy,
        "amc-log": lambda accuracy, u, synops, beta: -(1.0 - accuracy) * math.log(synops),
        "plain": lambda accuracy, u, synops, beta: accuracy,
    }
)
"""Form -> function of (accuracy, u, synops, beta)."""


def target_aware_reward(
    accuracy: float, synops: float, target: float, *, form: str = "linear", beta: float = 3.0
) -> float:
    """Return the reward of one pruned network.

    Args:
        accuracy: In [0, 1], on validation data.
        synops: SynOps per sample: by default the upper bound of the estimator's prediction.
        target: The budget, SynOps per sample, above 0.
        form: One of :data:`FORMS`.
        beta: Accuracy lost per unit of ``synops / target`` above 1.

    Returns:
        The reward; NaN where accuracy or SynOps are not finite or SynOps are not above 0 (a silent network is
        no achievement), so that a study records a failed trial.

    Raises:
        SearchError: If the form is unknown or the target not above 0.
    """
    if form not in FORMS:
        raise SearchError(f"No reward is called {form!r}. {nearest(form, FORMS)}")
    if not target > 0.0:
        raise SearchError(f"The target of a reward must be above 0 SynOps, found {target:g}.")
    if not (math.isfinite(accuracy) and math.isfinite(synops) and synops > 0.0):
        return math.nan
    return FORMS[form](accuracy, synops / target, synops, beta)
