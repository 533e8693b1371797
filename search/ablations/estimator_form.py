"""Whether another form predicts better than a line: cross-validated, and outside of the range it was fitted to.

A pool of 48 samples a seed around the target; two pools of 12, drawn apart from them around 0.5 and 1.5 times the
target, lie outside: of these, samples beyond all of the first are counted. Conclusion by rule: a form is called better
or worse than the line where the 95 % interval of the paired difference of cross-validated errors, over seeds, leaves 0
out, each form by itself; it fails outside where it errs twice as much.

What a form is worth to a budget is its violation rate: a network that a form puts just at the budget exceeds it as
often as samples end above their prediction. The bound of the line stands beside the forms for that.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go

from lightning_snn.progress import Phase
from lightning_snn.seeds import seed_for
from search.ablations.ablation import Setting
from search.ablations.charts import points
from search.ablations.finding import Finding
from search.ablations.pool import Floats
from search.ablations.pool import Pool
from search.ablations.pool import PoolAblation
from search.ablations.pool import Request
from search.ablations.pool import other_widths
from search.ablations.pool import pool_config
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.canvas import logarithmic
from search.comparison.statistics import Difference
from search.comparison.statistics import paired_difference
from search.comparison.summary import Mean
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent
from search.comparison.tables import in_points
from search.comparison.tables import percent
from search.estimator import LinearEstimator
from search.forms import FORMS
from search.forms import Form
from search.forms import Known

POOL: Final = 48
OUTSIDE: Final = 12
FOLDS: Final = 8
LEVELS: Final = (0.5, 1.5)
"""Outer pools, in shares of the target."""
HIGHEST: Final = 0.95
"""Of the dense network's SynOps: no pool lies around more."""
INNER: Final = "inner"
REFERENCE: Final = "linear"
BOUND: Final = "linear, upper bound"
FAILS: Final = 2.0
"""Times the line's error from which a form is said to fail outside of the range it was fitted to."""


@dataclass(frozen=True)
class Errors:
    """Of one form with one seed; errors are mean absolute ones, shares of the dense network's SynOps."""

    inside: float
    """Cross-validated."""
    above: float
    """Share of the same samples that end above their prediction."""
    outside: tuple[float, ...]
    """In the outer pools; NaN where no sample of one lies outside."""


class FormAblation(PoolAblation):
    """Error of each form."""

    def pools(self, setting: Setting, seed: int) -> dict[str, Request]:
        """Return the inner pool, as searches draw it, and the outer ones, by their level."""
        inner = {INNER: Request(pool_config(setting, seed), POOL)}
        return inner | {
            f"{level:g}": Request(pool_config(setting, seed, [_target(setting, level)]), OUTSIDE, other_widths)
            for level in LEVELS
        }

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, fit and predict."""
        found: dict[str, list[Errors]] = {name: [] for name in (*FORMS, BOUND)}
        confidence = setting.config.estimator.confidence
        for seed, pools in self.taken(setting, phase):
            inner = pools.pop(INNER)
            outer = list(pools.values())
            for name, form in {**FORMS, BOUND: bound_of(confidence)}.items():
                found[name].append(errors_of(form, inner, outer, seed))
        return conclude(found)


def bound_of(confidence: float) -> Form:
    """Return the upper bound of the line as if it were a form."""

    def bound(known: Known, post_N: Floats, other: Known) -> Floats:
        return LinearEstimator(confidence).fit(known.pre_N, post_N).predict(other.pre_N).upper

    return bound


def known_of(pool: Pool) -> Known:
    """Return what is known of a pool's networks before fine-tuning."""
    layers_NL = np.array([[each.layers[name][0] for name in pool.layers] for each in pool.samples])
    return Known(pool.pre, layers_NL / pool.budget.baseline, pool.macs_N)


def errors_of(form: Form, inner: Pool, outer: list[Pool], seed: int) -> Errors:
    """Return the errors of a form: cross-validated inside, and fitted to all of the inside for the outside."""
    known = known_of(inner)
    residuals_N = cross_validated(form, known, inner.post, seed)
    outside = []
    for pool in outer:
        beyond = (pool.pre < inner.pre.min()) | (pool.pre > inner.pre.max())
        errors = np.abs(form(known, inner.post, known_of(pool)) - pool.post)[beyond]
        outside.append(float(errors.mean()) if beyond.any() else float("nan"))
    return Errors(float(np.abs(residuals_N).mean()), float((residuals_N > 0.0).mean()), tuple(outside))


def cross_validated(form: Form, known: Known, post_N: Floats, seed: int) -> Floats:
    """Return what each sample came to above its prediction from the other folds, as a share of the dense SynOps."""
    order = np.random.default_rng(seed_for(seed, "estimator-form")).permutation(len(post_N))
    residuals_N = np.zeros(len(post_N))
    for fold in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, fold)
        residuals_N[fold] = post_N[fold] - form(known[rest], post_N[rest], known[fold])
    return residuals_N


def conclude(found: dict[str, list[Errors]]) -> Finding:
    """Say which forms predict better.

    Args:
        found: Form, or the line's bound -> errors of each seed.
    """
    forms = [name for name in found if name != BOUND]
    inside = {name: mean_of([each.inside for each in errors]) for name, errors in found.items()}
    above = {name: mean_of([each.above for each in errors]) for name, errors in found.items()}
    outside = {name: _outside(errors) for name, errors in found.items()}
    line = [each.inside for each in found[REFERENCE]]
    differences = {
        name: paired_difference([each.inside for each in found[name]], line) for name in forms if name != REFERENCE
    }
    return Finding(
        conclusion=" ".join(
            [*_said_inside(inside, differences, len(line)), *_said_above(above), *_said_outside(outside)]
        ),
        head=[
            "form",
            "error inside, %",
            "difference from the line [95 %], points",
            "above the prediction, % of samples",
            *(f"error around {level:g} x target, %" for level in LEVELS),
        ],
        rows=[
            [
                name,
                percent(inside[name], 2),
                in_points(differences[name]) if name in differences else "",
                percent(above[name], 0),
                *(percent(each, 2) for each in outside[name]),
            ]
            for name in found
        ],
        legend=(
            "Mean absolute error as a share of the dense network's SynOps, mean ± standard error over seeds. Inside: "
            f"{FOLDS}-fold cross-validation of {POOL} samples. Above the prediction: how often a network that is "
            "predicted to just meet the budget would exceed it. Around other targets: fitted to those samples, tested "
            f"on those of {OUTSIDE} others that lie beyond all of them. Forms: search/forms.py."
        ),
        figure=_figure(forms, inside, outside),
        values={name: [vars(each) for each in errors] for name, errors in found.items()},
    )


def _said_inside(inside: dict[str, Mean], differences: dict[str, Difference], seeds: int) -> list[str]:
    better = [name for name, each in differences.items() if each.high < 0.0]
    worse = [name for name, each in differences.items() if each.low > 0.0]
    rest = [name for name in differences if name not in better and name not in worse]
    return [
        f"The line's error is {in_percent(inside[REFERENCE], 2)} of the dense network's SynOps.",
        f"By 95 % intervals of {seeds} seeds, each form by itself: better: {', '.join(better) or 'none'}; worse: "
        f"{', '.join(worse) or 'none'}; neither: {', '.join(rest) or 'none'}.",
    ]


def _said_above(above: dict[str, Mean]) -> list[str]:
    named = (f"{name} {in_percent(above[name], 0)}" for name in ("identity", "ratio", REFERENCE, BOUND))
    return [f"A network put just at the budget would exceed it, by form: {', '.join(named)}."]


def _said_outside(outside: dict[str, list[Mean]]) -> list[str]:
    said = []
    for index, level in enumerate(LEVELS):
        means = {name: each[index] for name, each in outside.items() if name != BOUND}
        line = means[REFERENCE].mean
        if np.isnan(line):
            said.append(f"Around {level:g} times the target no sample lies outside.")
            continue
        failing = [f"{name} {in_percent(each, 2)}" for name, each in means.items() if each.mean > FAILS * line]
        least = min(means, key=lambda name: means[name].mean)
        said.append(
            f"Around {level:g} times the target, outside of the range it was fitted to, the line errs by "
            f"{in_percent(means[REFERENCE], 2)}; more than {FAILS:g} times that: {', '.join(failing) or 'none'}; the "
            f"least is {least} {in_percent(means[least], 2)} (not tested)."
        )
    return said


def _outside(errors: list[Errors]) -> list[Mean]:
    return [mean_of([e.outside[n] for e in errors if not np.isnan(e.outside[n])]) for n in range(len(LEVELS))]


def _figure(forms: list[str], inside: dict[str, Mean], outside: dict[str, list[Mean]]) -> go.Figure:
    figure = canvas("", "mean error, % of the dense network's SynOps")
    figure.update_yaxes(**logarithmic())
    points(figure, forms, [inside[name] for name in forms], "cross-validated", COLOURS[0])
    for index, level in enumerate(LEVELS):
        values = [outside[name][index] for name in forms]
        points(figure, forms, values, f"around {level:g} times the target", COLOURS[1 + index])
    return figure


def _target(setting: Setting, level: float) -> str:
    return f"budget.target={min(HIGHEST, level * setting.config.budget.target)}"


FORM: Final = FormAblation()
