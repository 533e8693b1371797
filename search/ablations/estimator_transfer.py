"""Whether a line holds where it was not fitted: at another target, data set, network or number of time steps.

Lines are fitted to shares of the own dense network's SynOps, 16 samples a pool. Conclusion by rule: ``rule.py``.
"""

from collections.abc import Sequence
from typing import Final
from typing import NamedTuple

import numpy as np

from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.charts import points
from search.ablations.finding import Finding
from search.ablations.pool import PoolAblation
from search.ablations.pool import Request
from search.ablations.pool import pool_config
from search.ablations.rule import judgement
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.summary import mean_of
from search.comparison.tables import percent
from search.comparison.tables import plain
from search.estimator import LinearEstimator
from search.estimator import leave_one_out_errors

POOL: Final = 16


class Errors(NamedTuple):
    """Mean absolute errors in one place, as shares of the dense network's SynOps there."""

    fitted_there: float
    from_here: float
    no_line: float


def places(setting: Setting) -> dict[str, Sequence[str]]:
    """Return where lines are fitted and used: name -> settings; the first is where they come from."""
    config = setting.config
    steps = config.network.time_steps
    found: dict[str, Sequence[str]] = {"here": ()}
    found |= {f"target {each:g}": (f"budget.target={each}",) for each in (0.3, 0.7) if each != config.budget.target}
    found |= {f"T = {each}": (f"network.time_steps={each}",) for each in (2, 8) if each != steps}
    if config.data.name == "digits":
        found["digits_events"] = ("data=digits_events",)
    found["resnet_small" if config.network.name != "resnet_small" else "vgg_small"] = (
        "network=resnet_small" if config.network.name != "resnet_small" else "network=vgg_small",
    )
    return found


class TransferAblation(PoolAblation):
    """Errors of a line elsewhere."""

    def pools(self, setting: Setting, seed: int) -> dict[str, Request]:
        """Return a pool of each place."""
        return {name: Request(pool_config(setting, seed, each), POOL) for name, each in places(setting).items()}

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, and use the first one's line on all."""
        errors: dict[str, list[Errors]] = {name: [] for name in places(setting)}
        slopes: dict[str, list[float]] = {name: [] for name in errors}
        for _, pools in self.taken(setting, phase):
            line = LinearEstimator().fit(pools["here"].pre, pools["here"].post)
            for name, pool in pools.items():
                own = float(leave_one_out_errors("linear", pool.pre, pool.post).mean())
                other = own if name == "here" else float(np.abs(line.predict(pool.pre).mean - pool.post).mean())
                errors[name].append(Errors(own, other, float(np.abs(pool.pre - pool.post).mean())))
                slopes[name].append(LinearEstimator().fit(pool.pre, pool.post).slope)
        return conclude(errors, slopes)


def conclude(errors: dict[str, list[Errors]], slopes: dict[str, list[float]]) -> Finding:
    """Say where the line transfers to.

    Args:
        errors: Place -> errors of each seed.
        slopes: Place -> slope of the line fitted there, of each seed.
    """
    means = {
        name: [mean_of([getattr(each, key) for each in values]) for key in Errors._fields]
        for name, values in errors.items()
    }
    elsewhere = {name: values for name, values in errors.items() if name != "here"}
    said = judgement(
        "The line from here",
        {name: [each.from_here for each in values] for name, values in elsewhere.items()},
        {name: [each.no_line for each in values] for name, values in elsewhere.items()},
    )
    figure = canvas("", "mean error, % of the dense network's SynOps")
    points(figure, list(means), [each[0] for each in means.values()], "line fitted there", COLOURS[0])
    points(figure, list(means), [each[1] for each in means.values()], "line from here", COLOURS[1])
    points(figure, list(means), [each[2] for each in means.values()], "no line", COLOURS[2])
    return Finding(
        conclusion=said,
        head=["used at", "line fitted there, %", "line from here, %", "no line, %", "slope there"],
        rows=[
            [name, *(percent(each, 2) for each in found), plain(mean_of(slopes[name]), 3)]
            for name, found in means.items()
        ],
        legend=(
            f"Mean absolute error as a share of the own dense network's SynOps, mean ± standard error over seeds; "
            f"{POOL} samples a pool; the line fitted there is judged leave-one-out. No line: SynOps stay as they are. "
            "Only the embedded digits have another data set to go to."
        ),
        figure=figure,
        values={name: [each._asdict() for each in values] for name, values in errors.items()},
    )


TRANSFER: Final = TransferAblation()
