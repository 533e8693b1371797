"""How many seeds a claim needs: random, CMA-ES and DDPG with ten seeds, and what fewer of them would have said.

For each number of seeds, all (or 500 random) subsets of the ten: how wide the 95 % interval of the difference from
random is, and in which share of the subsets the difference has the sign that all ten give. Conclusion by rule: enough
are as many as give that sign in 95 % of the subsets.
"""

import itertools
import math
from typing import Final

import numpy as np

from lightning_snn.progress import Phase
from lightning_snn.seeds import seed_for
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.charts import line_with_band
from search.ablations.finding import Finding
from search.comparison.execution import carry_out
from search.comparison.outcomes import read_outcome
from search.comparison.plan import Planned
from search.comparison.plan import plan_runs
from search.comparison.plan import what_searches_cost
from search.comparison.statistics import paired_difference
from search.comparison.summary import Mean
from search.comparison.summary import mean_of

ALL: Final = 10
STRATEGIES: Final = ("random", "cmaes", "ddpg")
SUBSETS: Final = 500
SURE: Final = 0.95


class SeedsAblation:
    """Subsets of ten seeds. ``--seeds`` says which; their number must be 4 or more, ten unless it is given."""

    question = "How many seeds does a claim need?"

    def plan(self, setting: Setting) -> list[Planned]:
        """Return its searches."""
        seeds = setting.config.seeds if len(setting.config.seeds) > 3 else list(range(ALL))
        variants = {name: (f"strategy={name}",) for name in STRATEGIES}
        return plan_runs(setting.arguments, variants, targets=[setting.config.budget.target], seeds=seeds)

    def cost(self, setting: Setting) -> str:
        """Say how many searches are left."""
        return what_searches_cost([each for each in self.plan(setting) if not each.is_finished])

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Carry out the searches, and look at subsets of their seeds."""
        planned = self.plan(setting)
        carry_out(planned, setting.config.workers, setting.folder / "logs", phase)
        outcomes = [read_outcome(each) for each in planned if each.is_finished]
        best: dict[str, dict[int, float]] = {name: {} for name in STRATEGIES}
        for each in outcomes:
            best[each.variant][each.seed] = each.best
        shared = sorted(set.intersection(*(set(each) for each in best.values())))
        return conclude({name: [best[name][seed] for seed in shared] for name in STRATEGIES})


def conclude(best: dict[str, list[float]]) -> Finding:
    """Say how many seeds are enough.

    Args:
        best: Strategy -> best validation accuracy of each seed, the same seeds in the same order.
    """
    count = len(best["random"])
    sizes = list(range(2, count + 1))
    rivals = [name for name in best if name != "random"]
    found = {name: [_subsets(best[name], best["random"], size) for size in sizes] for name in rivals}
    said = []
    for name in rivals:
        whole = paired_difference(best[name], best["random"])
        enough = next((size for size, (_, sign) in zip(sizes, found[name], strict=True) if sign >= SURE), None)
        said.append(
            f"{name} against random: {100 * whole.mean:+.2f} points over all {count} seeds "
            f"[{100 * whole.low:+.2f}, {100 * whole.high:+.2f}]; "
            + (f"{enough} seeds give that sign in 95 % of the cases." if enough else "fewer are not sure of the sign.")
        )
    figure = chart("seeds", "half the width of the 95 % interval, points")
    for name, colour in zip(rivals, COLOURS, strict=False):
        widths = [width for width, _ in found[name]]
        line_with_band(figure, sizes, widths, f"{name} - random", colour)
    return Finding(
        name="seeds",
        question=SeedsAblation.question,
        conclusion=" ".join(said),
        head=["seeds", *(f"{name}: {what}" for name in rivals for what in ("half width, points", "same sign, %"))],
        rows=[
            [
                str(size),
                *(
                    text
                    for name in rivals
                    for text in (
                        f"{100 * found[name][index][0].mean:.2f}",
                        f"{100 * found[name][index][1]:.0f}",
                    )
                ),
            ]
            for index, size in enumerate(sizes)
        ],
        legend=(
            f"Subsets of {count} seeds, all of them or {SUBSETS} at random. Half width: of the 95 % interval of the "
            "paired difference from random, mean over subsets. Same sign: subsets whose mean difference has the sign "
            "of all."
        ),
        figure=figure,
        values=best,
    )


def _subsets(mine: list[float], other: list[float], size: int) -> tuple[Mean, float]:
    """Return the mean half width of intervals over subsets of a size, and the share that has the sign of all."""
    differences = np.array(mine) - np.array(other)
    sign = np.sign(differences.mean())
    chosen = list(itertools.combinations(range(len(mine)), size)) if math.comb(len(mine), size) <= SUBSETS else []
    random = np.random.default_rng(seed_for(0, "seeds", size))
    chosen = chosen or [tuple(random.choice(len(mine), size, replace=False)) for _ in range(SUBSETS)]
    widths, signs = [], []
    for subset in chosen:
        found = paired_difference([mine[i] for i in subset], [other[i] for i in subset])
        widths.append(found.high - found.mean)
        signs.append(np.sign(found.mean) == sign)
    return mean_of(widths), float(np.mean(signs))


SEEDS: Final = SeedsAblation()
