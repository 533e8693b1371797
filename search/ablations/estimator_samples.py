"""How many samples the line needs: error and interval against their number.

Of a pool of 64 samples a seed, the last 16 are left out; of the others, n are drawn without replacement 200 times, a
line is fitted, and the 16 are predicted. Conclusion by rule: it levels off at the least n from which on the mean error,
over seeds, is within 5 % of that with all 48.
"""

from typing import Final

import numpy as np
import plotly.graph_objects as go

from lightning_snn.progress import Phase
from lightning_snn.seeds import seed_for
from search.ablations.ablation import Setting
from search.ablations.charts import line_with_whiskers
from search.ablations.finding import Finding
from search.ablations.pool import Floats
from search.ablations.pool import PoolAblation
from search.ablations.pool import Request
from search.ablations.pool import pool_config
from search.comparison.canvas import canvas
from search.comparison.canvas import logarithmic
from search.comparison.summary import Mean
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent
from search.comparison.tables import percent
from search.estimator import LinearEstimator

POOL: Final = 64
HELD_OUT: Final = 16
COUNTS: Final = (3, 4, 6, 8, 12, 16, 24, 32, 48)
DRAWS: Final = 200
LEVEL: Final = 1.05


class SamplesAblation(PoolAblation):
    """Error against number of samples."""

    def pools(self, setting: Setting, seed: int) -> dict[str, Request]:
        """Return one pool, as searches draw it."""
        return {"usual": Request(pool_config(setting, seed), POOL)}

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, and fit lines to parts of them."""
        confidence = setting.config.estimator.confidence
        pools = {seed: found["usual"] for seed, found in self.taken(setting, phase)}
        errors = [errors_by_count(each.pre, each.post, confidence, seed) for seed, each in pools.items()]
        return conclude(np.array(errors), confidence)


def errors_by_count(pre: Floats, post: Floats, confidence: float, seed: int) -> Floats:
    """Return mean absolute error, upper margin and coverage of the upper bound, ``[counts, 3]``, of one pool.

    Args:
        pre: SynOps before fine-tuning, as shares of the dense network's.
        post: The same after it.
        confidence: Of the upper bound.
        seed: Of the draws.
    """
    test_pre, test_post = pre[-HELD_OUT:], post[-HELD_OUT:]
    rest = len(pre) - HELD_OUT
    rows = []
    for count in COUNTS:
        random = np.random.default_rng(seed_for(seed, "estimator-samples", count))
        drawn = []
        for _ in range(DRAWS):
            chosen = random.choice(rest, count, replace=False)
            predicted = LinearEstimator(confidence).fit(pre[chosen], post[chosen]).predict(test_pre)
            error, margin = np.abs(predicted.mean - test_post), predicted.upper - predicted.mean
            drawn.append([error.mean(), margin.mean(), (test_post <= predicted.upper).mean()])
        rows.append(np.mean(drawn, axis=0))
    return np.array(rows)


def conclude(found_SNK: Floats, confidence: float) -> Finding:
    """Say where the error levels off.

    Args:
        found_SNK: What :func:`errors_by_count` returns, of each seed.
        confidence: That the bound asks for.
    """
    means = [[mean_of(found_SNK[:, n, k].tolist()) for k in range(3)] for n in range(len(COUNTS))]
    above = [error.mean > LEVEL * means[-1][0].mean for error, _, _ in means]
    enough = COUNTS[max((index + 1 for index, is_above in enumerate(above) if is_above), default=0)]
    there, all_of_them = means[COUNTS.index(enough)], means[-1]
    text = (
        f"The error of the line levels off at {enough} samples: {in_percent(there[0], 2)} of the dense network's "
        f"SynOps, against {in_percent(all_of_them[0], 2)} with {COUNTS[-1]}. The margin of its bound is "
        f"{in_percent(there[1], 2)} there and {in_percent(all_of_them[1], 2)} with {COUNTS[-1]}; "
        f"{in_percent(there[2], 1)} and {in_percent(all_of_them[2], 1)} of the samples end within it."
    )
    return Finding(
        conclusion=text,
        head=["samples", "mean error, %", "upper margin, %", "coverage of the bound, %"],
        rows=[
            [str(count), percent(error, 2), percent(margin, 2), percent(cover, 1)]
            for count, (error, margin, cover) in zip(COUNTS, means, strict=True)
        ],
        legend=(
            f"Shares of the dense network's SynOps, mean ± standard error over seeds ({len(found_SNK)}); {DRAWS} draws "
            f"of so many samples, held against the same {HELD_OUT} others. Levels off: the least number from which on "
            f"the error is within {100 * (LEVEL - 1):.0f} % of that with {COUNTS[-1]}. Upper margin: how far the bound "
            "lies above the line. Coverage: how many of the others end below the bound (estimator.confidence asks for "
            f"{100 * confidence:g} %)."
        ),
        figure=_figure([row[0] for row in means], [row[1] for row in means]),
        values=found_SNK.tolist(),
    )


def _figure(errors: list[Mean], margins: list[Mean]) -> go.Figure:
    figure = canvas("samples", "% of the dense network's SynOps")
    line_with_whiskers(figure, COUNTS, errors, "mean error", "#0072B2")
    line_with_whiskers(figure, COUNTS, margins, "upper margin", "#D55E00")
    figure.update_xaxes(type="log", tickvals=list(COUNTS))
    figure.update_yaxes(**logarithmic())  # with three samples the margin is many times the error
    return figure


SAMPLES: Final = SamplesAblation()
