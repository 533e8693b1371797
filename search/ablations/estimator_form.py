"""Whether another form predicts better than a line: cross-validated, and outside of the range it was fitted to.

A pool of 48 samples a seed around the target; two pools of 12, around 0.6 and 1.4 times the target, lie outside.
Conclusion by rule: a form is called better or worse than the line where the 95 % interval of the paired difference of
cross-validated errors, over seeds, leaves 0 out, each form by itself; it fails outside where it errs twice as much.
"""

from typing import Final

import numpy as np

from lightning_snn.progress import Phase
from lightning_snn.seeds import seed_for
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.charts import points
from search.ablations.finding import Finding
from search.ablations.pool import Floats
from search.ablations.pool import Pool
from search.ablations.pool import pool_config
from search.ablations.pool import take_pool
from search.ablations.pool import usual_widths
from search.ablations.pool import what_pools_cost
from search.comparison.statistics import Difference
from search.comparison.statistics import paired_difference
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent
from search.comparison.tables import percent
from search.forms import FORMS
from search.forms import Form
from search.forms import Known

POOL: Final = 48
OUTSIDE: Final = 12
FOLDS: Final = 8
LEVELS: Final = (0.6, 1.4)
"""Outer pools, in shares of the target."""
REFERENCE: Final = "linear"
FAILS: Final = 2.0
"""Times the line's error from which a form is said to fail outside of the range it was fitted to."""


class FormAblation:
    """Error of each form."""

    question = "Would another form predict better than a line?"

    def cost(self, setting: Setting) -> str:
        """Say how many samples are left to be taken."""
        inner = [(pool_config(setting, seed), POOL, usual_widths) for seed in setting.config.seeds]
        outer = [
            (pool_config(setting, seed, [_target(setting, level)]), OUTSIDE, usual_widths)
            for seed in setting.config.seeds
            for level in LEVELS
        ]
        return what_pools_cost([*inner, *outer])

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, fit and predict."""
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in FORMS}
        for seed in setting.config.seeds:
            inner = take_pool(pool_config(setting, seed), POOL, phase)
            outer = [take_pool(pool_config(setting, seed, [_target(setting, each)]), OUTSIDE, phase) for each in LEVELS]
            for name, form in FORMS.items():
                found[name].append((cross_validated(form, inner, seed), _outside(form, inner, outer)))
        return conclude({name: np.array(errors) for name, errors in found.items()})


def known_of(pool: Pool) -> Known:
    """Return what is known of a pool's networks before fine-tuning."""
    names = list(pool.dense_layers)
    layers_NL = np.array([[each.layers[name][0] for name in names] for each in pool.samples]) / pool.budget.baseline
    return Known(pool.pre, layers_NL, np.array([each.accuracy_pre for each in pool.samples]))


def cross_validated(form: Form, pool: Pool, seed: int) -> float:
    """Return the mean absolute error over folds, as a share of the dense network's SynOps."""
    known, post_N = known_of(pool), pool.post
    order = np.random.default_rng(seed_for(seed, "estimator-form")).permutation(len(post_N))
    errors = []
    for fold in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, fold)
        errors.append(np.abs(form(known[rest], post_N[rest], known[fold]) - post_N[fold]))
    return float(np.concatenate(errors).mean())


def conclude(errors_S2: dict[str, Floats]) -> Finding:
    """Say which forms predict better.

    Args:
        errors_S2: Form -> errors inside and outside of the range, of each seed.
    """
    means = {name: [mean_of(each[:, column].tolist()) for column in (0, 1)] for name, each in errors_S2.items()}
    line = errors_S2[REFERENCE][:, 0].tolist()
    differences = {
        name: paired_difference(each[:, 0].tolist(), line) for name, each in errors_S2.items() if name != REFERENCE
    }
    better = [name for name, each in differences.items() if each.high < 0.0]
    worse = [name for name, each in differences.items() if each.low > 0.0]
    rest = [name for name in differences if name not in better and name not in worse]
    afar = {name: mean[1].mean for name, mean in means.items()}
    failing = [name for name in afar if afar[name] > FAILS * afar[REFERENCE]]
    nearest = min(afar, key=lambda name: afar[name])
    said = [f"The line's error is {in_percent(means[REFERENCE][0], 2)} of the dense network's SynOps."]
    said.append(f"By 95 % intervals of {len(line)} seeds, each form by itself:")
    said.append(
        f"better: {', '.join(better) or 'none'}; worse: {', '.join(worse) or 'none'}; neither: {', '.join(rest)}."
    )
    said.append(f"Outside of the range it was fitted to, the line errs by {in_percent(means[REFERENCE][1], 2)}.")
    if failing:
        named = (f"{name} ({in_percent(means[name][1], 2)})" for name in failing)
        said.append(f"More than {FAILS:g} times that: {', '.join(named)}.")
    said.append(f"The least error there is that of {nearest} ({in_percent(means[nearest][1], 2)}; not tested).")
    figure = chart("", "mean error, % of the dense network's SynOps")
    figure.update_yaxes(type="log")
    names = list(means)
    points(figure, names, [means[name][0] for name in names], "cross-validated", COLOURS[0])
    points(figure, names, [means[name][1] for name in names], "outside of the fitted range", COLOURS[1])
    return Finding(
        name="estimator-form",
        question=FormAblation.question,
        conclusion=" ".join(said),
        head=["form", "error inside, %", "difference from the line [95 %], points", "error outside, %"],
        rows=[
            [name, percent(inside, 2), _difference(differences, name), percent(outside, 2)]
            for name, (inside, outside) in means.items()
        ],
        legend=(
            "Mean absolute error as a share of the dense network's SynOps, mean ± standard error over seeds. Inside: "
            f"{FOLDS}-fold cross-validation of {POOL} samples. Outside: fitted to them, tested on {OUTSIDE} samples "
            f"each around {LEVELS[0]:g} and {LEVELS[1]:g} times the target."
        ),
        figure=figure,
        values={name: each.tolist() for name, each in errors_S2.items()},
    )


def _outside(form: Form, inner: Pool, outer: list[Pool]) -> float:
    known = known_of(inner)
    return float(np.mean([np.abs(form(known, inner.post, known_of(each)) - each.post).mean() for each in outer]))


def _target(setting: Setting, level: float) -> str:
    return f"budget.target={min(0.95, level * setting.config.budget.target)}"


def _difference(differences: dict[str, Difference], name: str) -> str:
    found = differences.get(name)
    return "" if found is None else f"{100 * found.mean:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


FORM: Final = FormAblation()
