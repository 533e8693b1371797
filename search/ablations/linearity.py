"""When the line holds: the same kind of networks under five conditions, each held against the line of the usual one.

    usual           levels around the target, keep ratios at random (what searches sample)
    uneven          one layer at its least, the others alike: the unlike networks that a search may propose
    no recalibration  batch norms keep the dense network's statistics before fine-tuning
    short           a quarter of the fine-tuning, while the final run has all of it
    per layer       how each layer's operations move, in the usual pool

For each pool: the error of its own line (leave-one-out), that of the usual line on it, R^2, the correlation of squared
residuals with the prediction, and the p-value of Shapiro and Wilk's test of the residuals. Conclusion by rule: the line
holds under a condition where the usual line's error on it is at most 2 % of the dense network's SynOps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from conf.schema import SearchConfig
from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.finding import Finding
from search.ablations.pool import Draw
from search.ablations.pool import Floats
from search.ablations.pool import Pool
from search.ablations.pool import pool_config
from search.ablations.pool import take_pool
from search.ablations.pool import usual_widths
from search.ablations.pool import what_pools_cost
from search.budget import Budget
from search.budget import project
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent
from search.comparison.tables import percent
from search.comparison.tables import plain
from search.estimator import LinearEstimator
from search.estimator import leave_one_out_errors
from search.space import SearchContext

COUNTS: Final = {"usual": 24, "uneven": 16, "no recalibration": 16, "short": 16}
GOOD: Final = 0.02
"""Error, as a share of the dense network's SynOps, up to which the line is said to hold."""


@dataclass(frozen=True)
class Diagnosis:
    """Of one pool."""

    own_error: float
    usual_error: float
    r_squared: float
    spread: float
    """Spearman correlation of squared residuals with the prediction: away from 0, errors grow or shrink with SynOps."""
    normal_p: float


def uneven_widths(count: int, context: SearchContext, budget: Budget, seed: int) -> list[list[int]]:
    """Return widths with one layer at its least and the others alike, each layer in turn, at three levels."""
    drawn = []
    least = [context.low] * len(context.full)
    for index in range(count):
        ratios = [0.5] * len(context.full)
        ratios[index % len(ratios)] = context.low
        level = (0.9, 1.0, 1.1)[index // len(ratios) % 3]
        target = max(context.cost([1] * len(least)), level * budget.fraction * context.dense_cost)
        drawn.append(project(ratios, context.full, low=context.low, cost=context.cost, target=target))
    return drawn


class LinearityAblation:
    """Residuals of the line, condition by condition."""

    question = "When does the line hold?"

    def cost(self, setting: Setting) -> str:
        """Say how many samples are left to be taken."""
        return what_pools_cost([each for seed in setting.config.seeds for each in _pools(setting, seed).values()])

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, and diagnose each."""
        found: dict[str, list[Diagnosis]] = {name: [] for name in COUNTS}
        drifts: list[dict[str, tuple[float, float]]] = []
        shown: dict[str, Pool] = {}
        for seed in setting.config.seeds:
            pools = {name: take_pool(*each[:2], phase, each[2]) for name, each in _pools(setting, seed).items()}
            # what a short fine-tuning predicts is wanted of the full one, of the same networks
            full = pools["usual"].samples[: len(pools["short"].samples)]
            long_enough = Pool(pools["usual"].budget, pools["usual"].dense_layers, full)
            for name, pool in pools.items():
                tested = long_enough if name == "short" else pool
                line = pool if name == "short" else pools["usual"]
                found[name].append(diagnose(pool, line, tested))
            drifts.append(layer_drifts(pools["usual"]))
            shown = shown or pools
        return conclude(found, drifts, shown)


def diagnose(pool: Pool, line: Pool, tested: Pool) -> Diagnosis:
    """Diagnose a pool's residuals.

    Args:
        pool: Whose own line and residuals are looked at.
        line: What the other line is fitted to.
        tested: What that other line is tested on.
    """
    own = LinearEstimator().fit(pool.pre, pool.post)
    predicted = own.predict(pool.pre).mean
    residuals = pool.post - predicted
    fitted = LinearEstimator().fit(line.pre, line.post)
    total = float(((pool.post - pool.post.mean()) ** 2).sum())
    return Diagnosis(
        own_error=float(leave_one_out_errors("linear", pool.pre, pool.post).mean()),
        usual_error=float(np.abs(fitted.predict(tested.pre).mean - tested.post).mean()),
        r_squared=1.0 - float((residuals**2).sum()) / total,
        spread=float(stats.spearmanr(predicted, residuals**2).statistic),
        normal_p=float(stats.shapiro(residuals).pvalue),
    )


def layer_drifts(pool: Pool) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation, over a pool, of each layer's operations after over before fine-tuning."""
    drifts = {}
    for name in pool.dense_layers:
        ratios = [post / pre for pre, post in (sample.layers[name] for sample in pool.samples) if pre > 0.0]
        if ratios:
            drifts[name] = (float(np.mean(ratios)), float(np.std(ratios)))
    return drifts


def conclude(
    found: dict[str, list[Diagnosis]], drifts: list[dict[str, tuple[float, float]]], shown: dict[str, Pool]
) -> Finding:
    """Say under which conditions the line holds.

    Args:
        found: Condition -> diagnosis of each seed.
        drifts: What :func:`layer_drifts` returns, of each seed.
        shown: Pools of the first seed, for the picture.
    """
    means = {
        name: {key: mean_of([getattr(each, key) for each in values]) for key in Diagnosis.__dataclass_fields__}
        for name, values in found.items()
    }
    held = [name for name, each in means.items() if each["usual_error"].mean <= GOOD]
    broken = [name for name in means if name not in held]
    layers = {name: (_mean(drifts, name, 0), _mean(drifts, name, 1)) for name in drifts[0]}
    least, most = min(layers, key=lambda name: layers[name][0]), max(layers, key=lambda name: layers[name][0])
    said = [f"The line holds (error of at most {percent_of(GOOD)}) for: {', '.join(held) or 'none'}."]
    said += [
        "It does not for: "
        + "; ".join(f"{name} ({in_percent(means[name]['usual_error'], 2)})" for name in broken)
        + "."
    ] * bool(broken)
    ends = f"{layers[least][0]:.2f} ({least}) to {layers[most][0]:.2f} ({most})"
    said.append(f"Single layers drift by factors of {ends} on average.")
    return Finding(
        name="linearity",
        question=LinearityAblation.question,
        conclusion=" ".join(said),
        head=["condition", "own line, %", "usual line, %", "R²", "spread of residuals", "normal, p"],
        rows=[
            [
                name,
                percent(each["own_error"], 2),
                percent(each["usual_error"], 2),
                plain(each["r_squared"], 3),
                plain(each["spread"], 2),
                plain(each["normal_p"], 2),
            ]
            for name, each in means.items()
        ]
        + [
            [f"layer {name}", "", "", f"x {mean:.3f} ± {spread:.3f}", "", ""] for name, (mean, spread) in layers.items()
        ],
        legend=(
            "Errors: shares of the dense network's SynOps, mean ± standard error over seeds. Own line: leave-one-out. "
            "Usual line: fitted to the usual pool; for 'short', the line of short fine-tunings tested on full ones. "
            "Layers: operations after over before fine-tuning, mean and standard deviation over the usual pool. The "
            "picture shows the first seed."
        ),
        figure=_figure(shown),
        values={
            "conditions": {name: [vars(each) for each in values] for name, values in found.items()},
            "layers": drifts,
        },
    )


def percent_of(share: float) -> str:
    """Return a share in percent."""
    return f"{100.0 * share:g} %"


def _pools(setting: Setting, seed: int) -> dict[str, tuple[SearchConfig, int, Draw]]:
    quarter = max(1, setting.config.finetuning.epochs // 4)
    changes: dict[str, tuple[Sequence[str], Draw]] = {
        "usual": ((), usual_widths),
        "uneven": ((), uneven_widths),
        "no recalibration": (("space.recalibration_batches=0",), usual_widths),
        "short": ((f"finetuning.epochs={quarter}",), usual_widths),
    }
    return {
        name: (pool_config(setting, seed, changed), COUNTS[name], draw) for name, (changed, draw) in changes.items()
    }


def _mean(drifts: list[dict[str, tuple[float, float]]], name: str, column: int) -> float:
    return float(np.mean([each[name][column] for each in drifts if name in each]))


def _figure(shown: dict[str, Pool]) -> go.Figure:
    figure = chart("SynOps before fine-tuning, % of the dense network", "after fine-tuning, %")
    for (name, pool), colour in zip(shown.items(), COLOURS, strict=False):
        figure.add_scatter(
            x=(100.0 * pool.pre).tolist(),
            y=(100.0 * pool.post).tolist(),
            mode="markers",
            name=name,
            marker={"color": colour, "size": 7},
        )
    seen = np.concatenate([each.pre for each in shown.values()])
    ends: Floats = np.array([seen.min(), seen.max()])
    line = LinearEstimator().fit(shown["usual"].pre, shown["usual"].post).predict(ends).mean
    x, y = (100.0 * ends).tolist(), (100.0 * line).tolist()
    figure.add_scatter(x=x, y=y, mode="lines", name="usual line", line={"color": "#444"})
    return figure


LINEARITY: Final = LinearityAblation()
