"""Whether a line holds where it was not fitted: at another target, data set, network or number of time steps.

Lines are fitted to shares of the own dense network's SynOps, 16 samples a pool. Conclusion by rule: a line transfers
where its error there is at most 2 % of the dense network's SynOps, or at most 1.5 times that of the line fitted there.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.charts import points
from search.ablations.finding import Finding
from search.ablations.pool import pool_config
from search.ablations.pool import take_pool
from search.ablations.pool import usual_widths
from search.ablations.pool import what_pools_cost
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent
from search.comparison.tables import percent
from search.estimator import LinearEstimator
from search.estimator import leave_one_out_errors

POOL: Final = 16
GOOD: Final = 0.02
TOLERATED: Final = 1.5


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


class TransferAblation:
    """Errors of a line elsewhere."""

    question = "Does a line hold where it was not fitted?"

    def cost(self, setting: Setting) -> str:
        """Say how many samples are left to be taken."""
        return what_pools_cost(
            [
                (pool_config(setting, seed, changes), POOL, usual_widths)
                for seed in setting.config.seeds
                for changes in places(setting).values()
            ]
        )

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, and use the first one's line on all."""
        errors: dict[str, list[tuple[float, float]]] = {name: [] for name in places(setting)}
        slopes: dict[str, list[float]] = {name: [] for name in errors}
        for seed in setting.config.seeds:
            pools = {
                name: take_pool(pool_config(setting, seed, changes), POOL, phase)
                for name, changes in places(setting).items()
            }
            line = LinearEstimator().fit(pools["here"].pre, pools["here"].post)
            for name, pool in pools.items():
                own = float(leave_one_out_errors("linear", pool.pre, pool.post).mean())
                other = own if name == "here" else float(np.abs(line.predict(pool.pre).mean - pool.post).mean())
                errors[name].append((own, other))
                slopes[name].append(LinearEstimator().fit(pool.pre, pool.post).slope)
        return conclude(errors, slopes)


def conclude(errors: dict[str, list[tuple[float, float]]], slopes: dict[str, list[float]]) -> Finding:
    """Say where the line transfers to.

    Args:
        errors: Place -> (error of the line fitted there, error of the line from here), of each seed.
        slopes: Place -> slope of the line fitted there, of each seed.
    """
    means = {name: [mean_of([each[column] for each in values]) for column in (0, 1)] for name, values in errors.items()}
    elsewhere = [name for name in means if name != "here"]
    held = [name for name in elsewhere if means[name][1].mean <= max(GOOD, TOLERATED * means[name][0].mean)]
    broken = [name for name in elsewhere if name not in held]
    said = [f"The line transfers to: {', '.join(held) or 'nowhere'}."]
    if broken:
        named = (
            f"{each} ({in_percent(means[each][1], 2)} in place of {in_percent(means[each][0], 2)})" for each in broken
        )
        said.append(f"It must be fitted anew for: {'; '.join(named)}.")
    figure = chart("", "mean error, % of the dense network's SynOps")
    points(figure, list(means), [each[0] for each in means.values()], "line fitted there", COLOURS[0])
    points(figure, list(means), [each[1] for each in means.values()], "line from here", COLOURS[1])
    return Finding(
        name="estimator-transfer",
        question=TransferAblation.question,
        conclusion=" ".join(said),
        head=["used at", "line fitted there, %", "line from here, %", "slope there"],
        rows=[
            [name, percent(own, 2), percent(other, 2), f"{np.mean(slopes[name]):.3f}"]
            for name, (own, other) in means.items()
        ],
        legend=(
            f"Mean absolute error as a share of the own dense network's SynOps, mean ± standard error over seeds; "
            f"{POOL} samples a pool; the line fitted there is judged leave-one-out."
        ),
        figure=figure,
        values=errors,
    )


TRANSFER: Final = TransferAblation()
