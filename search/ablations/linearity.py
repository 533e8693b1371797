"""When the line holds: pools of networks of four kinds, each held against the line of the usual one.

    usual             levels around the target, keep ratios at random (what searches sample)
    one layer least   one layer at its least, the others alike: the unlike networks that a search may propose
    no recalibration  batch norms keep the dense network's statistics before fine-tuning
    short             a quarter of the fine-tuning: its line is tested on the same networks after all of it

For each pool: the error of its own line (leave-one-out), that of the usual line on it, that of no prediction, R^2, the
rank correlation of squared residuals with the prediction, and with how many seeds Shapiro and Wilk's test finds the
residuals not normal; and how each layer's operations move in the usual pool. Conclusion by rule: ``rule.py``, of lines
of their own, of the usual one, and of the one of short fine-tunings on full ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.finding import Finding
from search.ablations.pool import Draw
from search.ablations.pool import Floats
from search.ablations.pool import Pool
from search.ablations.pool import PoolAblation
from search.ablations.pool import Request
from search.ablations.pool import pool_config
from search.ablations.pool import usual_widths
from search.ablations.rule import judgement
from search.budget import Budget
from search.budget import project
from search.budget import widths_of
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.summary import mean_of
from search.comparison.tables import percent
from search.comparison.tables import plain
from search.estimator import LinearEstimator
from search.estimator import leave_one_out_errors
from search.space import SearchContext

SHORT: Final = "short"
COUNTS: Final = {"usual": 24, "one layer least": 15, "no recalibration": 16, SHORT: 16}
LEVELS: Final = (0.9, 1.0, 1.1)
"""Of the target, in turn, where one layer is at its least."""


@dataclass(frozen=True)
class Diagnosis:
    """Of one pool. Errors are shares of the dense network's SynOps."""

    own_error: float
    usual_error: float
    no_line_error: float
    r_squared: float
    """NaN where SynOps after fine-tuning do not differ."""
    spread: float
    """Spearman correlation of squared residuals with the prediction: away from 0, errors grow or shrink with SynOps."""
    normal_p: float


def one_layer_least(count: int, context: SearchContext, budget: Budget, seed: int) -> list[list[int]]:
    """Return widths with one layer at its least, each in turn, and the others alike, at levels around the target."""
    full, drawn = context.full, []
    for index in range(count):
        group, turn = index % len(full), index // len(full)
        least = widths_of([context.low], [full[group]])[0]

        def cost(others: Sequence[int], group: int = group, least: int = least) -> float:
            return context.cost([*others[:group], least, *others[group:]])

        others = [*full[:group], *full[group + 1 :]]
        lowest, highest = cost(widths_of([context.low] * len(others), others)), cost(others)
        around = min(budget.fraction * context.dense_cost, highest / max(LEVELS))  # or what the others can give
        target = max(lowest, LEVELS[(group + turn) % len(LEVELS)] * around)
        widths = project([0.5] * len(others), others, low=context.low, cost=cost, target=target)
        drawn.append([*widths[:group], least, *widths[group:]])
    return drawn


class LinearityAblation(PoolAblation):
    """Residuals of the line, condition by condition."""

    def pools(self, setting: Setting, seed: int) -> dict[str, Request]:
        """Return a pool of each condition."""
        quarter = max(1, setting.config.finetuning.epochs // 4)
        changes: dict[str, tuple[Sequence[str], Draw]] = {
            "usual": ((), usual_widths),
            "one layer least": ((), one_layer_least),
            "no recalibration": (("space.recalibration_batches=0",), usual_widths),
            SHORT: ((f"finetuning.epochs={quarter}",), usual_widths),
        }
        if quarter == setting.config.finetuning.epochs:
            del changes[SHORT]  # there is no shorter one
        return {
            name: Request(pool_config(setting, seed, changed), COUNTS[name], draw)
            for name, (changed, draw) in changes.items()
        }

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, and diagnose each."""
        found: dict[str, list[Diagnosis]] = {}
        drifts: list[dict[str, tuple[float, float]]] = []
        shown: dict[str, Pool] = {}
        for _, pools in self.taken(setting, phase):
            for name, pool in pools.items():
                line, tested = pools["usual"], pool
                if name == SHORT:  # what it predicts is wanted of the full fine-tuning, of the same networks
                    line, tested = pool, first_of(pools["usual"], len(pool.samples))
                found.setdefault(name, []).append(diagnose(pool, line, tested))
            drifts.append(layer_drifts(pools["usual"]))
            shown = shown or pools
        return conclude(found, drifts, shown)


def diagnose(pool: Pool, line: Pool, tested: Pool) -> Diagnosis:
    """Diagnose a pool's residuals.

    Args:
        pool: Whose own line and residuals are looked at.
        line: What the other line is fitted to.
        tested: What that other line is tested on; the pool that it is fitted to is tested leave-one-out.
    """
    own = LinearEstimator().fit(pool.pre, pool.post)
    predicted = own.predict(pool.pre).mean
    residuals = pool.post - predicted
    fitted = LinearEstimator().fit(line.pre, line.post)
    total = float(((pool.post - pool.post.mean()) ** 2).sum())
    own_error = float(leave_one_out_errors("linear", pool.pre, pool.post).mean())
    other_error = float(np.abs(fitted.predict(tested.pre).mean - tested.post).mean())
    return Diagnosis(
        own_error=own_error,
        usual_error=own_error if tested is line else other_error,
        no_line_error=float(np.abs(tested.pre - tested.post).mean()),
        r_squared=1.0 - float((residuals**2).sum()) / total if total > 0.0 else math.nan,
        spread=float(stats.spearmanr(predicted, residuals**2).statistic),
        normal_p=float(stats.shapiro(residuals).pvalue),
    )


def first_of(pool: Pool, count: int) -> Pool:
    """Return the first samples of a pool."""
    return Pool(pool.budget, pool.layers, pool.samples[:count], pool.macs_N[:count])


def layer_drifts(pool: Pool) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation, over a pool, of each layer's operations after over before fine-tuning.

    Layers that have less than one operation per sample before it are left out, as are samples where they have.
    """
    drifts = {}
    for name in pool.layers:
        ratios = [post / pre for pre, post in (sample.layers[name] for sample in pool.samples) if pre >= 1.0]
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
    layers = {name: (_mean(drifts, name, 0), _mean(drifts, name, 1)) for name in drifts[0]}
    no_line = {name: [each.no_line_error for each in values] for name, values in found.items()}
    tested = {name: [each.usual_error for each in values] for name, values in found.items() if name != "usual"}
    short = {name: tested.pop(name) for name in (SHORT,) if name in tested}
    own = {name: [each.own_error for each in values] for name, values in found.items() if name != SHORT}
    said = [
        judgement("A line of their own", own, no_line),
        judgement("The usual line", tested, no_line),
        *([judgement("The line of shorter fine-tunings on full ones", short, no_line)] if short else []),
    ]
    if layers:
        least, most = (end(layers, key=lambda name: layers[name][0]) for end in (min, max))
        said.append(
            f"Operations of single layers move by factors of {layers[least][0]:.2f} ({least}) to "
            f"{layers[most][0]:.2f} ({most}) on average."
        )
    head = ["condition", "own line, %", "usual line, %", "no line, %", "R²", "spread of residuals", "not normal"]
    rows = [
        [
            name,
            percent(each["own_error"], 2),
            percent(each["usual_error"], 2),
            percent(each["no_line_error"], 2),
            plain(each["r_squared"], 3),
            plain(each["spread"], 2),
            f"{sum(one.normal_p < 0.05 for one in found[name])}/{len(found[name])}",
        ]
        for name, each in means.items()
    ]
    factors = "; ".join(f"{name} {mean:.3f} ({spread:.3f})" for name, (mean, spread) in layers.items())
    return Finding(
        conclusion=" ".join(said),
        head=head,
        rows=rows,
        legend=(
            "Errors: shares of the dense network's SynOps, mean ± standard error over seeds. Own line: leave-one-out. "
            "Usual line: fitted to the usual pool (which is tested leave-one-out); for 'short', the line of "
            "fine-tunings of a quarter of the epochs, tested on full ones. No line: SynOps stay as they are, of the "
            "networks that the usual line, or that of short ones, is tested on. Spread of "
            "residuals: rank correlation of their squares with the prediction, away from 0 where errors grow or shrink "
            "with SynOps. Not normal: seeds with p < 0.05 by Shapiro and Wilk. Operations after over before "
            "fine-tuning, layer by layer, mean (standard deviation) over the usual pool: "
            f"{factors}. The picture shows the first seed."
        ),
        figure=_figure(shown),
        values={
            "conditions": {name: [vars(each) for each in values] for name, values in found.items()},
            "layers": drifts,
        },
    )


def _mean(drifts: list[dict[str, tuple[float, float]]], name: str, column: int) -> float:
    return float(np.mean([each[name][column] for each in drifts if name in each]))


def _figure(shown: dict[str, Pool]) -> go.Figure:
    figure = canvas("SynOps before fine-tuning, % of the dense network", "after fine-tuning, %")
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
