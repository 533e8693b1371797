"""What all pictures of comparisons and ablations share: colours, axes, whiskers."""

import math
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

COLOURS: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
    "#7F3C8D", "#8A6D3B", "#B22222", "#5F9E00", "#2F4F8F", "#8C8C8C", "#C71585",
)  # fmt: skip
"""Okabe and Ito's, which most people can tell apart, then others; dashes and markers tell apart what colours do not."""
GREY: Final = "#767676"
PLOTLY: Final = {"responsive": True, "displayModeBar": False}
"""Of Plotly: its toolbar would cover legends; a picture is zoomed by dragging, and a double click shows all of it."""


def canvas(x: str, y: str) -> go.Figure:
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
        hovermode="closest",
    )
    return figure


def whiskers(errors: Sequence[float]) -> dict[str, object]:
    """Return standard errors in percent, as Plotly takes them; none where there is none."""
    return {"array": [0.0 if math.isnan(each) else 100.0 * each for each in errors], "thickness": 1}


def logarithmic() -> dict[str, object]:
    """Return settings of a logarithmic axis whose numbers are written out: Plotly's own writes 2 for 0.2 and for 2."""
    numbers = [digit * 10.0**power for power in range(-4, 5) for digit in (1, 2, 5)]
    return {"type": "log", "tickvals": numbers, "ticktext": [f"{number:g}" for number in numbers]}
