import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from search.drawing import figure_png
from search.drawing import figure_svg
from search.estimator import IdentityEstimator
from search.estimator import LinearEstimator
from search.figures import architecture_figure
from search.figures import channels_figure
from search.figures import estimator_figure
from search.figures import progress_figure
from search.figures import trade_off_figure
from search.record import RunRecord
from search.run_page import draw_figures
from tests.search.records import BUDGET
from tests.search.records import FULL
from tests.search.records import TRIALS
from tests.search.records import record
from tests.search.records import result
from tests.search.records import sample
from tests.search.records import trial

STRAIGHT = [sample(0, 300.0, 380.0), sample(1, 400.0, 500.0), sample(2, 500.0, 620.0)]  # post = 1.2 pre + 20


def of_label(figure: Figure, label: str) -> Any:
    """What is drawn under this name in the legend, which must have it once."""
    axes = axes_of(figure)
    found = [each for each in [*axes.lines, *axes.collections] if each.get_label() == label]
    assert len(found) == 1, [each.get_label() for each in [*axes.lines, *axes.collections]]
    return found[0]


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def labels_of(figure: Figure) -> set[str]:
    return {str(each.get_label()) for each in [*axes_of(figure).lines, *axes_of(figure).collections]}


def points_of(figure: Figure, label: str) -> list[tuple[float, float]]:
    drawn = of_label(figure, label)
    xy = drawn.get_xydata() if hasattr(drawn, "get_xydata") else drawn.get_offsets()
    return [(round(float(x), 6), round(float(y), 6)) for x, y in xy]


def fitted(samples: Sequence[Any]) -> LinearEstimator:
    return LinearEstimator().fit([each.pre for each in samples], [each.post for each in samples])


def test_progress_is_the_best_feasible_accuracy_against_distinct_networks() -> None:
    # evaluations: 1 infeasible 90 %, 2 feasible 50 %, (again), 3 feasible 40 %, 4 feasible 70 %, 5 failed
    figure = progress_figure(TRIALS)
    assert points_of(figure, "best feasible so far") == [(2, 50), (3, 50), (4, 70), (5, 70)]
    assert points_of(figure, "feasible") == [(2, 50), (3, 40), (4, 70)]
    assert points_of(figure, "infeasible") == [(1, 90)]


def test_progress_without_a_feasible_trial_says_so() -> None:
    figure = progress_figure([trial(0, upper=600.0)])
    assert labels_of(figure) == {"infeasible"}
    assert "no feasible trial" in figure_svg(figure)


def test_trials_lie_at_their_predicted_share_and_reach_to_their_upper_bound() -> None:
    figure = trade_off_figure([trial(0, 0.5, upper=490.0), trial(1, 0.9, upper=600.0)], BUDGET, result())
    assert points_of(figure, "feasible") == [(47, 50)]
    assert points_of(figure, "infeasible") == [(58, 90)]
    segments = [np.round(each, 6).tolist() for each in of_label(figure, "up to the upper bound").get_segments()]
    assert segments == [[[47, 50], [49, 50]], [[58, 90], [60, 90]]]
    assert set(of_label(figure, "budget").get_xdata()) == {50.0}


def test_feasibility_shows_in_shape_as_well_as_colour() -> None:
    figure = trade_off_figure(TRIALS, BUDGET, result())
    one, other = of_label(figure, "feasible"), of_label(figure, "infeasible")
    assert len(one.get_paths()[0].vertices) != len(other.get_paths()[0].vertices)
    assert not np.array_equal(one.get_edgecolor(), other.get_edgecolor())


def test_best_trial_and_what_fine_tuning_made_of_it_are_marked() -> None:
    figure = trade_off_figure(TRIALS, BUDGET, result())
    assert points_of(figure, "best trial") == [(46, 70)]  # not the infeasible one of 90 %
    assert points_of(figure, "final, fine-tuned") == [(48, 93)]  # 960 of 2,000 test SynOps


def test_estimator_picture_holds_samples_line_and_upper_bound_in_percent() -> None:
    bent = [*STRAIGHT, sample(3, 400.0, 540.0)]
    estimator = fitted(bent)
    figure = estimator_figure(bent, estimator, BUDGET, TRIALS, result())
    assert points_of(figure, "samples") == [(30, 38), (40, 50), (50, 62), (40, 54)]
    x, y = np.array(points_of(figure, "prediction")).T
    np.testing.assert_allclose(y, 1.2 * x + 3.0, atol=1e-4)  # the mean of four residuals 0, 0, 0, 40 is 10 SynOps
    corners = of_label(figure, "up to its upper bound").get_paths()[0].vertices
    bound = 100.0 * float(estimator.predict(10.0 * x[0]).upper) / 1000.0
    assert np.abs(corners - [x[0], bound]).sum(axis=1).min() < 1e-4
    assert corners[:, 1].min() == pytest.approx(y[0], abs=1e-4)  # one-sided: nothing below the line


def test_final_network_lies_at_its_own_synops_before_and_after() -> None:
    figure = estimator_figure(STRAIGHT, fitted(STRAIGHT), BUDGET, TRIALS, result())
    assert points_of(figure, "final network") == [(41, 48)]  # the best trial measured 410 of 1,000 before


def test_tightened_network_gets_no_place_before_fine_tuning() -> None:
    figure = estimator_figure(STRAIGHT, fitted(STRAIGHT), BUDGET, TRIALS, result(budget={"tightened": 2}))
    assert "final network" not in labels_of(figure)
    assert set(of_label(figure, "final network (tightened: 2)").get_ydata()) == {48.0}


def test_identity_estimator_has_no_band() -> None:
    figure = estimator_figure(STRAIGHT, IdentityEstimator(), BUDGET, TRIALS, result())
    assert "up to its upper bound" not in labels_of(figure)
    x, y = np.array(points_of(figure, "prediction")).T
    np.testing.assert_allclose(y, x)


def test_channels_are_drawn_in_network_order_with_their_keep_ratio() -> None:
    figure = channels_figure({"conv2": 16, "conv1": 8}, {"conv1": 2, "conv2": 12})
    removed, kept = axes_of(figure).containers
    assert [bar.get_width() for bar in removed] == [16, 8]
    assert [bar.get_width() for bar in kept] == [12, 2]
    svg = figure_svg(figure)
    assert svg.index("12 of 16 (75 %)") < svg.index("2 of 8 (25 %)")
    top, bottom = axes_of(figure).get_ylim()[::-1]
    assert top < 0 < 1 < bottom  # the first row is the upper one


def test_group_names_are_shown_as_they_are() -> None:
    svg = figure_svg(
        channels_figure(
            {"a$b$_1": 8, "backbone.stage3.block11.conv2": 8}, {"a$b$_1": 8, "backbone.stage3.block11.conv2": 4}
        )
    )
    assert ">a$b$_1<" in svg
    assert ">…tage3.block11.conv2<" in svg  # twenty characters


def layers(*shapes: list[int] | None) -> dict[str, dict[str, Any]]:
    return {f"layer{index}": {"output_shape": shape} for index, shape in enumerate(shapes)}


def test_layers_are_drawn_as_high_as_their_channels_and_as_wide_as_their_maps() -> None:
    axes = axes_of(architecture_figure(layers([4, 8, 8], [6]), layers([3, 8, 8], [6])))
    boxes = [(box.get_height(), box.get_width()) for box in axes.patches if isinstance(box, Rectangle)]
    assert boxes == [(4, 8), (3, 8), (6, 1), (6, 1)]


@pytest.mark.parametrize("shape", [[], None, [8], [6, 16], [4, 4, 4, 4]])
def test_whatever_an_older_version_recorded_can_be_drawn(shape: list[int] | None) -> None:
    """Behind layers that fold steps and batch, shapes lacked axes or all of them."""
    figure = architecture_figure(layers([4, 8, 8], shape), layers([4, 8, 8], shape))
    ElementTree.fromstring(figure_svg(figure))


MANY = [trial(n, 0.3 + 0.005 * n, upper=450.0 + n, widths=(1 + n % 8, 1 + n // 8)) for n in range(100)]
ODD = {
    "no feasible trial": lambda: record(trials=[trial(0, upper=600.0)]),
    "one trial": lambda: record(trials=[trial(0)]),
    "failed trials only": lambda: record(trials=[trial(0, failed=True), trial(1, failed=True)]),
    "no trial": lambda: record(trials=[]),
    "one sample, identity": lambda: record(samples=STRAIGHT[:1], estimator=IdentityEstimator()),
    "hundred trials": lambda: record(trials=MANY),
    "sixty groups": lambda: record(
        result=result(
            baseline={"widths": {f"g{n}": 512 for n in range(60)}},
            result={"widths": {f"g{n}": 1 + n for n in range(60)}},
        ),
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_every_run_can_be_drawn_and_stays_small(case: str) -> None:
    for figure in draw_figures(ODD[case]()).values():
        svg = figure_svg(figure)
        ElementTree.fromstring(svg)
        assert len(svg) < 80_000


def test_same_run_gives_the_same_pictures() -> None:
    assert svgs(record()) == svgs(record())


def test_ids_are_unique_on_a_page_of_all_pictures() -> None:
    ids = re.findall(r'\bid="([^"]+)"', "".join(svgs(record(trials=MANY))))
    assert ids
    assert len(ids) == len(set(ids))


def test_references_stay_within_their_picture() -> None:
    for svg in svgs(record()):
        references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
        assert {a or b for a, b in references} <= set(re.findall(r'\bid="([^"]+)"', svg))


def test_text_stays_text_and_has_no_date() -> None:
    svg = figure_svg(progress_figure(TRIALS))
    assert ">evaluations (distinct networks)<" in svg
    assert "metadata" not in svg


def test_png_is_wide_enough_for_a_screen() -> None:
    png = figure_png(channels_figure(FULL, FULL))
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == 1000


@pytest.mark.parametrize("draw", [lambda: progress_figure(TRIALS), lambda: trade_off_figure(TRIALS, BUDGET, result())])
def test_drawing_leaves_the_users_settings_alone(draw: Callable[[], Figure]) -> None:
    before = dict(matplotlib.rcParams)
    figure_svg(draw())
    assert dict(matplotlib.rcParams) == before


def svgs(run: RunRecord) -> list[str]:
    return [figure_svg(figure) for figure in draw_figures(run).values()]
