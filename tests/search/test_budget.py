"""Projection against an oracle that enumerates every rounding point, and the arithmetic of the budget by hand."""

import math
import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import assume
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from search.budget import Budget
from search.budget import check_reachable
from search.budget import project
from search.budget import widths_of
from search.errors import SearchError


@dataclass(frozen=True)
class Case:
    """A proposal and a cost: own cost of each channel, and of each pair of channels in neighbouring groups."""

    ratios: list[float]
    full: list[int]
    own: list[int]
    pairs: list[int]
    low: float
    level: float
    """Where the target lies between the smallest network (0) and the dense one (1)."""

    def cost(self, widths: Sequence[int]) -> float:
        chained = sum(c * a * b for c, a, b in zip(self.pairs, widths, widths[1:], strict=False))
        return chained + sum(c * a for c, a in zip(self.own, widths, strict=True))

    @property
    def target(self) -> float:
        least = self.cost([max(1, round(self.low * full)) for full in self.full])
        return least + self.level * (self.cost(self.full) - least)

    def project(self, ratios: list[float] | None = None) -> list[int]:
        proposed = self.ratios if ratios is None else ratios
        return project(proposed, self.full, low=self.low, cost=self.cost, target=self.target)

    def rounded(self) -> tuple[list[int], list[int]]:
        """Try all intervals between rounding points, from the least exponent on, until one is feasible.

        Returns:
            The widths in that interval, and how many groups would grow together with each group at its lower end.
        """
        logs = [math.log(min(ratio, 1.0 - 1e-6)) for ratio in self.ratios]
        growing = [
            (math.log((k - 0.5) / full) / log, group)
            for group, (log, full) in enumerate(zip(logs, self.full, strict=True))
            for k in range(1, full + 1)
        ]
        points = sorted({point for point, _ in growing} | {math.log(self.low) / log for log in logs})
        intervals = [(0.0, points[0]), *pairwise(points), (points[-1], 2.0 * points[-1])]
        for start, end in intervals:
            if end - start > 1e-9 * end:
                bent = [max(self.low, math.exp(0.5 * (start + end) * log)) for log in logs]
                widths = [min(full, max(1, round(each * full))) for each, full in zip(bent, self.full, strict=True)]
                if self.cost(widths) <= self.target:
                    together = {group for point, group in growing if abs(point - start) <= 1e-8 * start}
                    return widths, [len(together - {group}) for group in range(len(widths))]
        raise AssertionError("the last interval is the smallest network, which is within the target")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups = draw(st.integers(1, 5))
    low = draw(st.sampled_from([0.03, 0.1, 0.25]))
    full = st.lists(st.integers(1, 64), min_size=groups, max_size=groups)
    ratio = st.one_of(st.sampled_from([low, 1.0]), st.floats(low, 1.0))
    return Case(
        ratios=draw(st.lists(ratio, min_size=groups, max_size=groups)),
        full=draw(full),
        own=draw(st.lists(st.integers(1, 50), min_size=groups, max_size=groups)),
        pairs=draw(st.lists(st.integers(0, 9), min_size=groups - 1, max_size=groups - 1)),
        low=low,
        level=draw(st.floats(0.0, 1.0)),
    )


def total(widths: Sequence[int]) -> float:
    return float(sum(widths))


@settings(max_examples=150, deadline=None)
@given(cases())
@example(Case([1.0, 1.0, 0.5], [64, 32, 16], [1, 1, 1], [1, 1], 0.1, 0.0))
@example(Case([1.0, 0.999], [64, 64], [5, 1], [3], 0.1, 0.001))
def test_projection_is_the_least_exponent_that_fits_plus_single_channels(case: Case) -> None:
    widths, (rounded, tied) = case.project(), case.rounded()
    assert case.cost(widths) <= case.target
    for width, base, others in zip(widths, rounded, tied, strict=True):
        assert 0 <= width - base <= (2 if others else 1)  # where several would grow at once, rounding lets some of them
    for group, (width, base) in enumerate(zip(widths, rounded, strict=True)):
        larger = [*widths[:group], width + 1, *widths[group + 1 :]]
        assert width > base or width == case.full[group] or case.cost(larger) > case.target


@settings(max_examples=150, deadline=None)
@given(cases())
def test_projection_keeps_the_order_of_ratios_to_a_channel(case: Case) -> None:
    found = list(zip(case.ratios, case.project(), case.full, case.rounded()[1], strict=True))
    for ratio_a, width_a, full_a, _ in found:
        for ratio_b, width_b, full_b, others in found:
            if ratio_a > ratio_b:
                # a lost half a channel to rounding; b was given up to one by the floor, and one or two by growth
                given = 1.0 + (2.0 if others else 1.0)
                assert width_a / full_a >= width_b / full_b - 0.5 / full_a - given / full_b


@settings(max_examples=150, deadline=None)
@given(cases())
def test_projection_of_projected_widths_keeps_them(case: Case) -> None:
    """Only groups that took a single channel in the first round may take some more in the second."""
    first = case.project()
    second = case.project([max(case.low, width / full) for width, full in zip(first, case.full, strict=True)])
    assert all(again >= width for width, again in zip(first, second, strict=True))
    for width, again, base in zip(first, second, case.rounded()[0], strict=True):
        assert again == width or width > base


@settings(max_examples=60, deadline=None)
@given(cases())
def test_widths_stay_between_the_least_and_the_dense_network(case: Case) -> None:
    for width, full in zip(case.project(), case.full, strict=True):
        assert max(1, round(case.low * full)) <= width <= full


@pytest.mark.parametrize("target", [48, 96, 143])
def test_ratios_of_one_still_shrink(target: int) -> None:
    widths = project([1.0, 1.0, 1.0], [48, 48, 48], low=0.1, cost=total, target=target)
    assert sum(widths) == target
    assert max(widths) - min(widths) <= 1


def test_whole_groups_shrink_last() -> None:
    # 30 + 3 would be too many, so the second group goes to its least of 3 and the first is cut as well
    assert project([1.0, 0.5], [30, 30], low=0.1, cost=total, target=20) == [17, 3]
    assert project([1.0, 0.5], [30, 30], low=0.1, cost=total, target=36) == [30, 6]


def test_equal_ratios_stay_equal_where_the_budget_allows() -> None:
    assert project([0.7, 0.7], [10, 20], low=0.1, cost=total, target=15) == [5, 10]


@pytest.mark.parametrize(("spare", "widths"), [(0, [5, 5, 6]), (1, [5, 6, 6]), (2, [6, 6, 6]), (10, [5, 5, 7])])
def test_spare_channels_go_where_rounding_took_most(spare: int, widths: list[int]) -> None:
    """Just before the third group would round up, 5.2, 5.3 and 6.5 channels are wanted; its channels cost 10 each."""

    def cost(widths: Sequence[int]) -> float:
        return widths[0] + widths[1] + 10.0 * widths[2]

    assert project([0.51, 0.52, 0.64], [10, 10, 10], low=0.1, cost=cost, target=70.0 + spare) == widths


@pytest.mark.parametrize("target", [60.0, 61.0, 1e9])
def test_a_budget_that_the_dense_network_meets_changes_nothing(target: float) -> None:
    assert project([0.1, 0.3, 1.0], [20, 20, 20], low=0.1, cost=total, target=target) == [20, 20, 20]
    assert project([0.1], [2000], low=0.1, cost=total, target=2000.0) == [2000]


def test_the_least_network_is_reached_and_below_it_is_refused() -> None:
    assert project([0.9, 1.0], [20, 30], low=0.1, cost=total, target=5.0) == [2, 3]
    with pytest.raises(SearchError, match=r"cost of 4\.9 is below that of the smallest network, 5 at keep ratio 0\.1"):
        project([0.9, 1.0], [20, 30], low=0.1, cost=total, target=4.9)


def test_widths_are_rounded_and_at_least_one() -> None:
    assert widths_of([0.1, 0.26, 0.24, 1.0, 0.7], [4, 10, 10, 8, 3]) == [1, 3, 2, 8, 2]
    with pytest.raises(ValueError, match="zip"):
        widths_of([0.5], [4, 4])


def test_a_budget_is_a_share_or_a_number() -> None:
    share = Budget.of(2000.0, fraction=0.4, synops=None)
    number = Budget.of(2000.0, fraction=0.4, synops=500.0)
    assert (share.target, share.baseline, share.fraction) == (800.0, 2000.0, 0.4)
    assert (number.target, number.fraction) == (500.0, 0.25)
    assert Budget.of(2000.0, fraction=1.0, synops=None).target == 2000.0


@pytest.mark.parametrize(
    ("baseline", "synops", "message"),
    [
        (0.0, None, "no SynOps at all.*Train it longer"),
        (math.nan, None, "no SynOps at all"),
        (100.0, 100.5, r"budget\.synops is 100\.5, but the dense network needs only 100\.0\. Choose less"),
    ],
)
def test_an_impossible_budget_is_refused(baseline: float, synops: float | None, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        Budget.of(baseline, fraction=0.5, synops=synops)


@pytest.mark.parametrize(
    ("given", "low", "full", "advice"),
    [
        ({"synops": 4.9}, 0.1, [20, 30], r"Raise budget\.synops to 5 or more, or lower space\.low\.$"),
        ({"fraction": 0.09}, 0.1, [20, 30], r"Raise budget\.target to 0\.1 or more, or lower space\.low\.$"),
        ({"synops": 1.0}, 0.1, [20, 30], r"Raise budget\.synops to 5 or more\.$"),
        ({"fraction": 0.5}, 0.9, [3, 3], r"No layer may lose a channel: lower space\.low\.$"),
        ({"synops": 1}, 0.9, [3, 3], r"lower space\.low, and raise budget\.synops to 2 or more\.$"),
        ({"fraction": 0.5}, 0.1, [1, 1], r"Each of its layers has one channel: give a network with wider layers\.$"),
    ],
)
def test_a_budget_out_of_reach_names_the_setting_that_was_given(
    given: dict[str, float], low: float, full: list[int], advice: str
) -> None:
    budget = Budget.of(total(full), **{"fraction": 0.5, "synops": None, **given})
    with pytest.raises(SearchError, match=advice):
        check_reachable(budget, full, low=low, cost=total)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.floats(0.01, 0.99),
    st.floats(0.001, 1.0),
    st.booleans(),
    st.floats(0.1, 1e4),
)
def test_what_a_refused_budget_is_told_to_be_is_accepted(
    full: list[int], low: float, fraction: float, absolute: bool, unit: float
) -> None:
    def cost(widths: Sequence[int]) -> float:
        return unit * total(widths)

    def refusal(fraction: float, synops: float) -> str:
        budget = Budget.of(cost(full), fraction=fraction, synops=min(synops, cost(full)) if absolute else None)
        try:
            check_reachable(budget, full, low=low, cost=cost)
        except SearchError as error:
            return str(error)
        return ""

    advised = re.search(r"Raise (\S+) to ([\d.]+) or more", refusal(fraction, fraction * cost(full)))
    assume(advised is not None)
    assert advised is not None
    assert advised[1] == ("budget.synops" if absolute else "budget.target")
    assert refusal(float(advised[2]), float(advised[2])) == ""


def test_the_constraint_is_zero_on_the_budget() -> None:
    budget = Budget(target=400.0, baseline=1000.0)
    assert [budget.constraint(upper) for upper in (300.0, 400.0, 500.0)] == [-0.25, 0.0, 0.25]


@pytest.mark.parametrize(
    ("synops", "error", "met"),
    [(400.0, 0.0, True), (400.1, 0.0, False), (396.0, 2.0, True), (396.0, 2.1, False), (10.0, math.nan, False)],
)
def test_a_budget_is_met_with_two_standard_errors(synops: float, error: float, met: bool) -> None:
    assert Budget(target=400.0, baseline=1000.0).met_by(synops, error) is met


def test_the_cost_is_asked_for_few_widths() -> None:
    """It costs microseconds in a search, but a network of 20 groups should not need thousands of calls."""
    calls: list[int] = []

    def counted(cost: Callable[[Sequence[int]], float]) -> Callable[[Sequence[int]], float]:
        def call(widths: Sequence[int]) -> float:
            calls.append(1)
            return cost(widths)

        return call

    project([0.5] * 20, [512] * 20, low=0.1, cost=counted(total), target=4000.0)
    assert len(calls) < 120
