"""How pictures of a run look: style, canvas, legend, and the text or bytes that they become.

Figures are their own, without the global state of pyplot. Shape tells as much as colour; the colours are those of
Okabe and Ito, which colour-blind people can tell apart.
"""

import io
import re
from typing import Any
from typing import Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#767676", "#222222"
DOT: Final[dict[str, Any]] = {"marker": "o", "s": 20, "color": BLUE, "linewidths": 0, "zorder": 3}
CROSS: Final[dict[str, Any]] = {"marker": "x", "s": 20, "color": VERMILION, "linewidths": 1.2, "zorder": 3}
BEST: Final[dict[str, Any]] = {
    "marker": "D",
    "s": 70,
    "facecolors": "none",
    "edgecolors": BLACK,
    "linewidths": 1.4,
    "zorder": 5,
}
FINAL: Final[dict[str, Any]] = {
    "marker": "*",
    "s": 150,
    "color": GREEN,
    "edgecolors": BLACK,
    "linewidths": 0.8,
    "zorder": 6,
}

STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.color": BLACK,
    "axes.labelcolor": BLACK,
    "xtick.color": BLACK,
    "ytick.color": BLACK,
    "svg.fonttype": "none",  # text stays text: it can be searched, and is small
}
WIDTH = 5.0
"""Inches; narrow, so that letters are readable when the picture is scaled to a phone."""


def canvas(name: str, height: float = 3.3) -> tuple[Figure, Axes]:
    """Return a named figure with one pair of axes; the height is in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.set_label(name)
    return figure, figure.add_subplot()


def add_legend(figure: Figure) -> None:
    """Put the legend above the axes, where it covers no data."""
    figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2, handletextpad=0.5)


def note(axes: Axes, text: str) -> None:
    """Say what is missing, above the axes."""
    axes.set_title(text, loc="right", fontsize=9.0, color=VERMILION)


def at_least(span: float, low: float, high: float) -> tuple[float, float]:
    """Return a range about the same middle, so that almost equal values are not blown up."""
    missing = max(0.0, span - (high - low))
    return low - missing / 2.0, high + missing / 2.0


def figure_svg(figure: Figure) -> str:
    """Return a figure as an ``<svg>`` element for a page: the same text for the same figure, ids of its own."""
    text = io.StringIO()
    plain = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": figure.get_label()}):
        figure.savefig(text, format="svg", metadata=plain)
    svg = text.getvalue()
    return re.sub(r'<g id="[^"]*">', "<g>", svg[svg.index("<svg") :])  # names like axes_1, which every figure has


def figure_png(figure: Figure) -> bytes:
    """Return a figure as PNG, 1000 pixels wide."""
    image = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(image, format="png", dpi=1000 / WIDTH)
    return image.getvalue()
