"""Ablations that are comparisons: the same search with one thing changed, seed by seed against a reference.

Conclusion by rule: ``search/comparison/verdict.py``.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.charts import points
from search.ablations.finding import Finding
from search.comparison.execution import carry_out
from search.comparison.plan import Planned
from search.comparison.plan import plan_runs
from search.comparison.plan import what_searches_cost
from search.comparison.run import About
from search.comparison.run import summarise
from search.comparison.summary import Comparison
from search.comparison.tables import LEGEND
from search.comparison.tables import cells
from search.comparison.verdict import verdict


@dataclass(frozen=True)
class SearchAblation:
    """Variants of a search."""

    name: str
    question: str
    variants: Mapping[str, Sequence[str]]
    """Name -> settings."""
    reference: str
    shared: Sequence[str] = ()
    """Settings of all variants; those of the command line come after them, those of a variant last."""
    note: str = ""
    """What the names of the variants mean."""

    def plan(self, setting: Setting) -> list[Planned]:
        """Return its searches."""
        given = {each.partition("=")[0] for each in setting.arguments}
        shared = [each for each in self.shared if each.partition("=")[0] not in given]
        return plan_runs(
            [*shared, *setting.arguments],
            self.variants,
            targets=[setting.config.budget.target],
            seeds=setting.config.seeds,
        )

    def cost(self, setting: Setting) -> str:
        """Say how many searches are left, and what they consist of."""
        left = [each for each in self.plan(setting) if not each.is_finished]
        return what_searches_cost(left)

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Carry out the searches, and hold each variant against the reference."""
        planned = self.plan(setting)
        failed = carry_out(planned, setting.config.workers, setting.folder / "logs", phase)
        comparison = summarise(planned, About(self.question, "", self.reference), failed)
        return self.conclude(comparison)

    def conclude(self, comparison: Comparison) -> Finding:
        """Say what a finished comparison found."""
        head, rows = cells(comparison)
        return Finding(
            name=self.name,
            question=self.question,
            conclusion=verdict(comparison),
            head=["variant", *head[1:]],
            rows=rows,
            legend=f"{self.note} Difference from {self.reference!r}. {LEGEND}".strip(),
            figure=bars(comparison),
            values=[dataclasses.asdict(line) for line in comparison.lines],
        )


def bars(comparison: Comparison) -> go.Figure:
    """Draw the best validation accuracy before, and the test accuracy after fine-tuning, of each variant."""
    figure = chart("", "accuracy, %")
    names = [line.variant for line in comparison.lines]
    best, test = ([getattr(line, key) for line in comparison.lines] for key in ("best", "test_accuracy"))
    points(figure, names, best, "best validation accuracy, before fine-tuning", COLOURS[0])
    points(figure, names, test, "test accuracy, after fine-tuning", COLOURS[2])
    return figure
