"""What the pictures of ablations share."""

import math
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from search.comparison.summary import Mean

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A6D3B", "#5F9E00")
SYMBOLS: Final = ("circle", "diamond-open", "square-open")
"""Of the first, second and third series: where they agree, all of them show."""


def chart(x: str, y: str) -> go.Figure:
    """Return an empty chart with titles at its axes."""
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=430,
        margin={"l": 60, "r": 15, "t": 15, "b": 50},
        font={"size": 13},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0},
        xaxis={"title": x, "automargin": True},
        yaxis={"title": y, "automargin": True},
    )
    return figure


def line_with_band(figure: go.Figure, x: Sequence[float], values: Sequence[Mean], name: str, colour: str) -> None:
    """Draw means in percent, with whiskers of one standard error."""
    figure.add_scatter(
        x=list(x),
        y=[100.0 * value.mean for value in values],
        error_y=whiskers(values),
        mode="lines+markers",
        name=name,
        line={"color": colour},
    )


def points(figure: go.Figure, x: Sequence[str], values: Sequence[Mean], name: str, colour: str) -> None:
    """Draw means in percent by name, with whiskers of one standard error."""
    figure.add_scatter(
        x=list(x),
        y=[100.0 * value.mean for value in values],
        error_y=whiskers(values),
        mode="markers",
        name=name,
        marker={"color": colour, "size": 10, "symbol": SYMBOLS[len(figure.data) % len(SYMBOLS)]},
    )


def whiskers(values: Sequence[Mean]) -> dict[str, object]:
    """Return standard errors in percent, as Plotly takes them; none where there is none."""
    return {"array": [0.0 if math.isnan(value.error) else 100.0 * value.error for value in values], "thickness": 1}
