"""Ablations that are comparisons: the same search with one thing changed, held seed by seed against another variant.

Conclusion by rule: ``search/comparison/verdict.py``, for each figure that is compared.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from conf.loading import given_keys
from conf.schema import ConfigError
from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.charts import differences_chart
from search.ablations.finding import Finding
from search.comparison.contrasts import Contrast
from search.comparison.contrasts import contrasts
from search.comparison.execution import carry_out
from search.comparison.outcomes import SearchOutcome
from search.comparison.plan import Planned
from search.comparison.plan import plan_runs
from search.comparison.plan import what_searches_cost
from search.comparison.run import About
from search.comparison.run import summarise
from search.comparison.summary import Comparison
from search.comparison.summary import by_seed
from search.comparison.summary import mean_of
from search.comparison.summary import what_seeds_can_show
from search.comparison.tables import ALIKE
from search.comparison.tables import MEANINGS
from search.comparison.tables import in_points
from search.comparison.tables import p_of
from search.comparison.tables import percent
from search.comparison.tables import plain
from search.comparison.verdict import differences_said
from search.comparison.verdict import what_tests_can_show
from search.comparison.verdict import which_missed


@dataclass(frozen=True)
class Measure:
    """A figure of each search that variants are compared by."""

    name: str
    of: Callable[[SearchOutcome], float]
    """A share or an accuracy, in [0, 1]."""
    meaning: str
    words: tuple[str, str] = ("better", "worse")
    """For more and less of it."""


BEST: Final = Measure("best validation accuracy", lambda outcome: outcome.best, MEANINGS["best validation, %"])
TEST: Final = Measure("test accuracy after fine-tuning", lambda outcome: outcome.test_accuracy, MEANINGS["test, %"])
FEASIBLE: Final = Measure(
    "late proposals within the budget",
    lambda outcome: outcome.feasible,
    "Late proposals within the budget: of the second half of a search, by the bound that it has.",
    ("more", "fewer"),
)
VIOLATION: Final = Measure(
    "SynOps above the budget",
    lambda outcome: outcome.violation,
    "SynOps above the budget: of the result, on test data, as a share of the budget.",
    ("more", "less"),
)
OPERATIONS: Final = Measure(
    "operations of all layers",
    lambda outcome: outcome.operations,
    "Operations of all layers: of the result, whether they count in the budget or not, as a share of the dense ones.",
    ("more", "fewer"),
)


@dataclass(frozen=True, kw_only=True)
class SearchAblation:
    """Variants of a search."""

    variants: Mapping[str, Sequence[str]]
    """Name -> settings."""
    references: Mapping[str, str]
    """Variant -> the one that it is held against; each of them is one test."""
    shared: Sequence[str] = ()
    """Settings of all variants; those of the command line come after them, those of a variant last."""
    measures: Sequence[Measure] = (BEST,)
    """What they are compared by."""
    note: str = ""
    """What the names of the variants mean."""

    def plan(self, setting: Setting) -> list[Planned]:
        """Return its searches.

        Raises:
            ConfigError: If a setting was given that the question itself varies.
        """
        given = {each.partition("=")[0] for each in setting.arguments}
        varied = Counter(each.partition("=")[0] for own in self.variants.values() for each in own)
        for key, count in varied.items():
            if key in given and 2 * count > len(self.variants):
                raise ConfigError(f"This question sets {key} itself, found --{key}. Leave it out.")
        given |= set(given_keys(setting.arguments))  # an experiment too comes before what all variants share
        shared = [each for each in self.shared if each.partition("=")[0] not in given]
        return plan_runs(
            [*shared, *setting.arguments],
            self.variants,
            targets=[setting.config.budget.target],
            seeds=setting.config.seeds,
        )

    def cost(self, setting: Setting) -> str:
        """Say how many searches are left, what they consist of, and what so many seeds can show."""
        left = [each for each in self.plan(setting) if not each.is_finished]
        return f"{what_searches_cost(left)} {what_seeds_can_show(len(setting.config.seeds), len(self.references))}"

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Carry out what is left, and hold each variant against its reference."""
        planned = self.plan(setting)
        failed = carry_out(planned, setting.config.workers, setting.folder / "logs", phase)
        return self.conclude(summarise(planned, About(), failed))

    def conclude(self, comparison: Comparison) -> Finding:
        """Say what finished searches found."""
        held = {
            measure.name: contrasts(by_seed(comparison.outcomes, measure.of), self.references)
            for measure in self.measures
        }
        first = held[self.measures[0].name]
        said = [
            sentence
            for measure in self.measures
            for sentence in differences_said(measure.name, held[measure.name], measure.words)
        ]
        said += [*self.further(comparison), which_missed(comparison.lines)]
        if first:
            said.append(what_tests_can_show([first]))
        head, rows = self._table(comparison, held)
        return Finding(
            conclusion=" ".join(said),
            head=head,
            rows=rows,
            legend=self._legend(),
            about=comparison.scope,
            figure=self.picture(comparison, held),
            values={
                "lines": [dataclasses.asdict(line) for line in comparison.lines],
                "differences": {name: [dataclasses.asdict(each) for each in found] for name, found in held.items()},
            },
            failed=comparison.failed,
        )

    def further(self, comparison: Comparison) -> list[str]:
        """Return more sentences of the conclusion."""
        return []

    def picture(self, comparison: Comparison, held: Mapping[str, Sequence[Contrast]]) -> go.Figure:
        """Draw what was tested: the differences."""
        return differences_chart(
            {
                name: {f"{each.variant}<br>against {each.reference}": each.difference for each in found}
                for name, found in held.items()
            }
        )

    def _legend(self) -> str:
        """Return what names and columns mean."""
        meanings = dict.fromkeys(measure.meaning for measure in (BEST, TEST, *self.measures))
        differences = (
            "Differences: seed by seed from the variant that it is held against, with Student's 95 % interval "
            f"({ALIKE}, and drawn open); p: sign-flip test, by Holm's rule over all variants."
        )
        columns = (MEANINGS["met"], MEANINGS["evaluations"])
        said = [self.note, "Mean ± standard error over seeds.", *meanings, *columns, differences]
        return " ".join(filter(None, said))

    def _table(
        self, comparison: Comparison, held: Mapping[str, Sequence[Contrast]]
    ) -> tuple[list[str], list[list[str]]]:
        others = [measure for measure in self.measures if measure not in (BEST, TEST)]
        head = ["variant", "best validation, %", "test, %", "SynOps, %", *(f"{other.name}, %" for other in others)]
        head += ["met", "evaluations", "held against"]
        for measure in self.measures:
            head += [f"{measure.name}: difference [95 %], points", "p (Holm)"]
        rows = []
        for line in comparison.lines:
            mine = [each for each in comparison.outcomes if each.variant == line.variant]
            row = [line.variant, percent(line.best, 2), percent(line.test_accuracy, 2), percent(line.synops, 1)]
            row += [percent(mean_of([other.of(each) for each in mine]), 1) for other in others]
            row += [f"{line.met}/{line.seeds}", plain(line.evaluations, 0), self.references.get(line.variant, "")]
            for found in held.values():
                tested = next((each for each in found if each.variant == line.variant), None)
                row += (
                    [in_points(tested.difference), p_of(tested.difference, tested.p_corrected)] if tested else ["", ""]
                )
            rows.append(row)
        return head, rows
