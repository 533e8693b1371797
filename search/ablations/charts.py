"""What the pictures of ablations share."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from search.comparison.canvas import COLOURS
from search.comparison.canvas import GREY
from search.comparison.canvas import canvas
from search.comparison.canvas import whiskers
from search.comparison.statistics import Difference
from search.comparison.summary import Mean

SYMBOLS: Final = ("circle", "diamond-open", "square-open")
"""Of the first, second and third series: where they agree, all of them show."""
ROW: Final = 40
"""Pixels of a pair's name, in two lines."""
GAP: Final = 70
"""Pixels between panels."""


def line_with_whiskers(figure: go.Figure, x: Sequence[float], values: Sequence[Mean], name: str, colour: str) -> None:
    """Draw means in percent, with whiskers of one standard error."""
    figure.add_scatter(
        x=list(x),
        y=[100.0 * value.mean for value in values],
        error_y=whiskers([value.error for value in values]),
        mode="lines+markers",
        name=name,
        line={"color": colour},
    )


def points(figure: go.Figure, x: Sequence[str], values: Sequence[Mean], name: str, colour: str) -> None:
    """Draw means in percent by name, those of several series side by side, with whiskers of one standard error."""
    figure.update_layout(scattermode="group")
    figure.add_scatter(
        x=list(x),
        y=[100.0 * value.mean for value in values],
        error_y=whiskers([value.error for value in values]),
        mode="markers",
        name=name,
        marker={"color": colour, "size": 10, "symbol": SYMBOLS[len(figure.data) % len(SYMBOLS)]},
    )


def differences_chart(series: Mapping[str, Mapping[str, Difference]]) -> go.Figure:
    """Draw paired differences in points, with whiskers of their 95 % intervals, a panel for each thing compared.

    Args:
        series: What was compared -> name of the pair -> difference.
    """
    panels, rows = max(1, len(series)), max((len(found) for found in series.values()), default=0)
    height = panels * ROW * (rows + 1) + (panels - 1) * GAP
    figure = make_subplots(panels, 1, subplot_titles=list(series), vertical_spacing=GAP / height)
    figure.update_layout(canvas("", "").layout)
    figure.update_annotations(x=1.0, xanchor="right")  # on a phone, names take half of the width
    for index, (name, found) in enumerate(series.items()):
        figure.add_scatter(
            x=[100.0 * each.mean for each in found.values()],
            y=list(found),
            error_x={
                "array": [100.0 * (e.high - e.mean) if e.has_interval else 0.0 for e in found.values()],
                "thickness": 2,
            },
            mode="markers",
            name=name,
            showlegend=False,
            marker={
                "color": COLOURS[index],
                "size": 9,
                "symbol": ["circle" if each.has_interval else "circle-open" for each in found.values()],
            },
            hovertemplate="%{y}: %{x:+.2f} points<extra></extra>",
            row=index + 1,
            col=1,
        )
        figure.add_vline(x=0.0, line={"color": GREY, "dash": "dash", "width": 1}, row=index + 1, col=1)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title="difference, points", row=panels, col=1)
    figure.update_layout(height=height + 100, margin={"t": 40})
    return figure
