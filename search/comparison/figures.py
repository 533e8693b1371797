"""The pictures of a comparison, as Plotly figures: each answers one question."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from search.comparison.canvas import COLOURS
from search.comparison.canvas import GREY
from search.comparison.canvas import canvas
from search.comparison.canvas import whiskers
from search.comparison.outcomes import SearchOutcome
from search.comparison.statistics import mean_front
from search.comparison.summary import Comparison
from search.comparison.summary import Line
from search.comparison.tables import difference

DASHES: Final = ("solid", "dash", "dot", "dashdot")
MARKERS: Final = ("circle", "diamond", "square", "triangle-up", "x", "star", "cross")
Floats = NDArray[np.float64]


def curves_figure(comparison: Comparison, target: float) -> go.Figure:
    """Draw the best feasible accuracy so far, mean over seeds with a band of one standard error.

    A curve begins where all its seeds have a feasible network, and stays level once its search has ended. Seeds that
    never have one are left out, and counted in the name. Variants that end far below the others are named at the lower
    edge, so that the others can be told apart.
    """
    figure = canvas("evaluations (distinct networks)", "best feasible validation accuracy, %")
    ends, early = {}, []
    for index, variant in enumerate(comparison.variants):
        searches = _of(comparison, variant, target)
        curves = [each.curve for each in searches if each.best > 0.0]
        if not curves:
            continue
        length = comparison.evaluations
        values_SN = 100.0 * np.array([[*each[:length], *[each[-1]] * (length - len(each))] for each in curves])
        start = int(np.argmax((values_SN > 0.0).all(axis=0)))
        x = np.arange(start + 1, length + 1)
        steps = np.repeat(x, 2)[1:]
        mean_N = values_SN.mean(axis=0)[start:]
        colour = COLOURS[index % len(COLOURS)]
        if len(curves) > 1:
            error_N = (values_SN.std(axis=0, ddof=1) / math.sqrt(len(curves)))[start:]
            figure.add_scatter(
                x=np.concatenate([steps, steps[::-1]]),
                y=np.concatenate([_held(mean_N + error_N), _held(mean_N - error_N)[::-1]]),
                fill="toself",
                fillcolor=colour,
                opacity=0.12,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=variant,
            )
        figure.add_scatter(
            x=x,
            y=mean_N,
            name=f"{variant} ({len(curves)} of {len(searches)} seeds)" if len(curves) < len(searches) else variant,
            legendgroup=variant,
            mode="lines",
            line={"color": colour, "dash": DASHES[index // len(COLOURS) % len(DASHES)], "width": 2, "shape": "hv"},
            hovertemplate="%{y:.2f} % after %{x}",
        )
        ends[variant] = float(mean_N[-1])
        early.append(float(mean_N[max(0, length // 10 - start - 1)]))
    _name_what_is_far_below(figure, comparison, target, ends, early)
    return figure


def differences_figure(comparison: Comparison, target: float) -> go.Figure:
    """Draw each variant's paired difference from the reference with its 95 % interval; as text where it is far off."""
    figure = canvas(f"difference from {comparison.reference}, points", "")
    lines = [(line, line.difference) for line in _lines(comparison, target) if line.difference is not None]
    far = _far(comparison, target)
    for line, found in sorted(lines, key=lambda each: each[1].mean):
        if abs(100.0 * found.mean) > far:
            figure.add_scatter(x=[None], y=[line.variant], showlegend=False)  # keeps its place on the axis
            side = 0 if found.mean < 0.0 else 1
            _note(figure, (f"◄ {difference(line)}", f"{difference(line)} ►")[side], x=float(side), y=line.variant)
            continue
        half = 100.0 * (found.high - found.mean) if found.has_interval else 0.0
        marker = _marker(comparison, line.variant)
        figure.add_scatter(
            x=[100.0 * found.mean],
            y=[line.variant],
            error_x={"array": [half], "thickness": 2},
            marker=marker if found.has_interval else {**marker, "symbol": f"{marker['symbol']}-open"},
            showlegend=False,
            hovertemplate=f"{line.variant}: %{{x:+.2f}} points over {found.seeds} seeds, p = {line.p_corrected:.3f}"
            "<extra></extra>",
        )
    figure.add_vline(x=0.0, line={"color": GREY, "dash": "dash", "width": 1})
    figure.update_layout(height=120 + 34 * len(lines))
    return figure


def fronts_figure(comparison: Comparison) -> go.Figure:
    """Draw test accuracy against measured SynOps: each search, and the mean of each variant and budget."""
    figure = canvas("SynOps, % of the dense network's", "test accuracy, %")
    for variant in comparison.variants:
        mine = [each for each in comparison.outcomes if each.variant == variant]
        lines = sorted((line for line in comparison.lines if line.variant == variant), key=lambda line: line.target)
        marker = _marker(comparison, variant)
        figure.add_scatter(
            x=[100.0 * each.synops for each in mine],
            y=[100.0 * each.test_accuracy for each in mine],
            mode="markers",
            marker={**marker, "size": 5, "opacity": 0.35},
            legendgroup=variant,
            showlegend=False,
            text=[f"{variant}, seed {each.seed}" for each in mine],
            hovertemplate="%{text}: %{y:.2f} % at %{x:.1f} % of the SynOps<extra></extra>",
        )
        figure.add_scatter(
            x=[100.0 * line.synops.mean for line in lines],
            y=[100.0 * line.test_accuracy.mean for line in lines],
            error_x=whiskers([line.synops.error for line in lines]),
            error_y=whiskers([line.test_accuracy.error for line in lines]),
            mode="lines+markers",
            name=variant,
            legendgroup=variant,
            marker={**marker, "size": 10},
            line={"color": marker["color"], "width": 1.5},
            hovertemplate=f"{variant}, mean: %{{y:.2f}} % at %{{x:.1f}} %<extra></extra>",
        )
    dense = {(each.seed, each.target): each.dense_test_accuracy for each in comparison.outcomes}
    figure.add_hline(y=100.0 * float(np.mean(list(dense.values()))), line={"color": GREY, "dash": "dot", "width": 1})
    for target in comparison.targets:
        figure.add_vline(x=100.0 * target, line={"color": GREY, "dash": "dash", "width": 1})
    return figure


def pareto_figure(comparison: Comparison, target: float) -> go.Figure:
    """Draw the best accuracy that each variant saw at no more than so many SynOps, mean over seeds."""
    figure = canvas("predicted SynOps, % of the dense network's", "best validation accuracy, %")
    ends, starts = {}, [100.0 * target]
    for variant in comparison.variants:
        front = mean_front([each.front for each in _of(comparison, variant, target)])
        if not front:
            continue
        marker = _marker(comparison, variant)
        figure.add_scatter(
            x=[100.0 * synops for synops, _ in front],
            y=[100.0 * accuracy for _, accuracy in front],
            name=variant,
            mode="lines+markers" if len(front) == 1 else "lines",
            line={"color": marker["color"], "width": 2, "shape": "hv"},
            marker=marker,
            hovertemplate=f"{variant}: %{{y:.2f}} % at %{{x:.1f}} % or less<extra></extra>",
        )
        ends[variant] = 100.0 * front[-1][1]
        starts.append(100.0 * front[0][0])
    space = 0.2 * (100.0 * target - min(starts)) + 0.5
    figure.update_xaxes(range=[min(starts) - space, 100.0 * target + space])  # some come from far above the budget
    _name_what_is_far_below(figure, comparison, target, ends)
    figure.add_vline(x=100.0 * target, line={"color": GREY, "dash": "dash", "width": 1})
    return figure


def ranks_figure(comparison: Comparison, target: float) -> go.Figure:
    """Draw the mean rank of each variant; 1 is best."""
    figure = canvas("mean rank (1 is first)", "")
    ranked = [line for line in _lines(comparison, target) if not math.isnan(line.rank)]
    lines = sorted(ranked, key=lambda line: -line.rank)
    figure.add_bar(
        x=[line.rank for line in lines],
        y=[line.variant for line in lines],
        orientation="h",
        marker={"color": [_marker(comparison, line.variant)["color"] for line in lines]},
        text=[f"{line.rank:.1f}" for line in lines],
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(height=120 + 28 * len(lines))
    return figure


def _far(comparison: Comparison, target: float) -> float:
    """Return the difference from the reference, in points, from which a variant would squeeze all others together.

    Five times the median magnitude (ours); infinite for fewer than four variants, or where half of them are like the
    reference.
    """
    found = [abs(100.0 * line.difference.mean) for line in _lines(comparison, target) if line.difference is not None]
    median = float(np.median(found)) if len(found) > 3 else 0.0
    return 5.0 * median or math.inf


def _name_what_is_far_below(
    figure: go.Figure, comparison: Comparison, target: float, ends: dict[str, float], early: Sequence[float] = ()
) -> None:
    """Leave out of sight what lies far below the reference, and name the curves that end there at the lower edge.

    Args:
        figure: Of curves.
        comparison: Whose reference is meant.
        target: Budget.
        ends: Variant -> where its curve ends, in per cent.
        early: Where curves are after their first steps: what lies below all of them is left out of sight too.
    """
    reference = [line.best.mean for line in _lines(comparison, target) if line.variant == comparison.reference]
    lowest = 100.0 * reference[0] - _far(comparison, target) if reference else -math.inf
    below = [f"{variant} {end:.1f}" for variant, end in ends.items() if end < lowest]
    if below:
        _note(figure, f"below: {', '.join(below)}", x=1.0, y=0.0)
    floor = max([lowest, *([min(early)] if early else [])])
    if ends and math.isfinite(floor):
        space = max(1.0, max(ends.values()) - floor)
        figure.update_yaxes(range=[floor - 0.05 * space, max(ends.values()) + 0.15 * space])


def _note(figure: go.Figure, text: str, *, x: float, y: float | str) -> None:
    """Write at the left (0) or right (1) edge: at the lower one, or beside a name of the vertical axis."""
    figure.add_annotation(
        text=text,
        x=x,
        xref="paper",
        xanchor="left" if x == 0.0 else "right",
        y=y,
        yref="y" if isinstance(y, str) else "paper",
        yanchor="middle" if isinstance(y, str) else "bottom",
        showarrow=False,
        font={"color": GREY},
    )


def _held(values_N: Floats) -> Floats:
    """Return the corners of steps that hold each value until the next: one for each of ``np.repeat(x, 2)[1:]``."""
    return np.repeat(values_N, 2)[:-1]


def _marker(comparison: Comparison, variant: str) -> dict[str, object]:
    index = comparison.variants.index(variant)
    return {"color": COLOURS[index % len(COLOURS)], "symbol": MARKERS[index % len(MARKERS)], "size": 9}


def _of(comparison: Comparison, variant: str, target: float) -> list[SearchOutcome]:
    return [each for each in comparison.outcomes if (each.variant, each.target) == (variant, target)]


def _lines(comparison: Comparison, target: float) -> list[Line]:
    return [line for line in comparison.lines if line.target == target]
