"""What the pictures of a comparison leave out of sight, and that they say so."""

import plotly.graph_objects as go
import pytest

from search.comparison.figures import curves_figure
from search.comparison.figures import differences_figure
from search.comparison.figures import fronts_figure
from search.comparison.figures import ranks_figure
from search.comparison.page import _sections
from search.comparison.summary import Comparison
from tests.search.comparison.outcomes import outcome
from tests.search.comparison.test_summary import made

NEAR = {"random": 0.90, "a": 0.91, "b": 0.92, "c": 0.89, "d": 0.88}


def comparison(**levels: float) -> Comparison:
    return made([outcome(name, seed, best + 0.001 * seed) for name, best in levels.items() for seed in range(3)])


def notes(figure: go.Figure) -> list[str]:
    return [each.text for each in figure.layout.annotations]


def test_what_is_far_off_is_written_and_not_drawn() -> None:
    found = comparison(**NEAR, far=0.40)
    (note,) = notes(differences_figure(found, 0.5))
    assert note.startswith("◄ -50.00")
    assert notes(curves_figure(found, 0.5)) == ["below: far 40.1"]


def test_where_nothing_is_far_off_all_is_drawn() -> None:
    assert notes(differences_figure(comparison(**NEAR), 0.5)) == []
    assert notes(curves_figure(comparison(**NEAR), 0.5)) == []


def test_seeds_without_a_network_within_the_budget_are_left_out_and_counted() -> None:
    outcomes = [outcome("random", seed, 0.9) for seed in range(3)]
    outcomes += [outcome("never", seed, 0.0, curve=[0.0] * 4) for seed in range(3)]
    outcomes += [outcome("once", seed, 0.8 * (seed == 1), curve=[0.0, 0.8 * (seed == 1)]) for seed in range(3)]
    shown = {trace.name: list(trace.y) for trace in curves_figure(made(outcomes), 0.5).data if trace.name}
    assert {name.split()[0] for name in shown} == {"random", "once"}
    assert shown["once (1 of 3 seeds)"] == [80.0, 80.0, 80.0]


def test_every_budget_has_its_pictures_and_all_share_one_of_fronts() -> None:
    outcomes = [
        outcome(name, seed, best + 0.001 * seed, target=target)
        for target in (0.7, 0.525)
        for name, best in NEAR.items()
        for seed in range(3)
    ]
    page = "".join(_sections(made(outcomes)))
    for kind in ("curves", "differences", "pareto", "ranks"):
        assert f'id="{kind}-0.7"' in page
        assert f'id="{kind}-0.525"' in page
    assert page.count('id="fronts"') == 1
    assert "Budget 52.5 %" in page


def test_fronts_have_a_mean_for_each_budget() -> None:
    outcomes = [outcome("a", seed, 0.9, target=t, synops=t - 0.01) for t in (0.7, 0.5) for seed in range(2)]
    (mean,) = (each for each in fronts_figure(made(outcomes)).data if each.name == "a")
    assert list(mean.x) == pytest.approx([49.0, 69.0])
    assert list(mean.y) == pytest.approx([95.0, 95.0])


def test_variants_without_a_common_seed_have_no_rank() -> None:
    outcomes = [outcome("random", 0, 0.9), outcome("a", 0, 0.9), outcome("b", 1, 0.8)]
    (bars,) = ranks_figure(made(outcomes), 0.5).data
    assert list(bars.y) == []
