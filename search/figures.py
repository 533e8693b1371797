"""The pictures of a run.

Each function takes plain parts of a run and returns a Matplotlib figure. SynOps are shares of the dense
network's, measured on the same data: validation data for trials and samples, test data for the final network.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial

from lightning_snn.describe import share_of
from search.budget import Budget
from search.drawing import BEST
from search.drawing import BLACK
from search.drawing import BLUE
from search.drawing import CROSS
from search.drawing import DOT
from search.drawing import FINAL
from search.drawing import GREEN
from search.drawing import GREY
from search.drawing import STYLE
from search.drawing import WIDTH
from search.drawing import add_legend
from search.drawing import at_least
from search.drawing import canvas
from search.drawing import note
from search.estimator import Estimator
from search.objective import best_trial
from search.objective import is_feasible
from search.sampling import Sample

Layers = Mapping[str, Mapping[str, Any]]

LONGEST_NAME = 20


@matplotlib.rc_context(STYLE)
def progress_figure(trials: Sequence[FrozenTrial]) -> Figure:
    """Draw the best feasible accuracy so far against evaluations.

    Args:
        trials: In the order in which they were made; a repeated network is no evaluation of its own.
    """
    figure, axes = canvas("progress")
    seen: set[tuple[Any, ...]] = set()
    points: list[tuple[int, float, bool]] = []
    for trial in trials:
        network = tuple(trial.user_attrs.get("widths", trial.params).items())
        if network not in seen:
            seen.add(network)
            if trial.value is not None:
                points.append((len(seen), 100.0 * trial.user_attrs["accuracy"], is_feasible(trial)))
    _scatter_by_feasibility(axes, points)
    feasible = [(x, y) for x, y, good in points if good]
    if feasible:
        x = [each[0] for each in feasible] + [len(seen)]
        y = np.maximum.accumulate([each[1] for each in feasible])
        axes.plot(x, [*y, y[-1]], drawstyle="steps-post", color=BLACK, linewidth=1.4, label="best feasible so far")
    elif points:
        note(axes, "no feasible trial")
    _limit_accuracy(axes)
    axes.set_xlim(0.0, len(seen) + 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("evaluations (distinct networks)")
    axes.set_ylabel("accuracy before fine-tuning, %")
    if points:
        add_legend(figure)
    else:
        note(axes, "no finished trial")
    return figure


@matplotlib.rc_context(STYLE)
def trade_off_figure(trials: Sequence[FrozenTrial], budget: Budget, result: Mapping[str, Any]) -> Figure:
    """Draw accuracy against predicted SynOps, with the upper bounds that decide what is feasible.

    Args:
        trials: All of the search.
        budget: On validation data.
        result: What ``result.json`` holds.
    """
    figure, axes = canvas("trade-off")
    finished = [trial for trial in trials if trial.value is not None]
    points = [
        (_percent(trial.user_attrs["predicted_synops"], budget), 100.0 * trial.user_attrs["accuracy"])
        for trial in finished
    ]
    _scatter_by_feasibility(axes, [(*point, is_feasible(trial)) for point, trial in zip(points, finished, strict=True)])
    best, final = best_trial(list(trials)), _final_point(result)
    if best is not None:
        chosen = points[finished.index(best)]
        axes.scatter(*chosen, label="best trial", **BEST)
        arrow = {"arrowstyle": "->", "color": GREY, "shrinkA": 6.0, "shrinkB": 7.0}
        axes.annotate("", xy=final, xytext=chosen, arrowprops=arrow, zorder=4)
    axes.scatter(*final, label="final, fine-tuned", **FINAL)
    axes.axvline(100.0 * budget.fraction, color=BLACK, linewidth=1.2, linestyle="--", label="budget")
    uppers = [_percent(trial.user_attrs["upper"], budget) for trial in finished]
    whiskers = [(*point, upper) for point, upper in zip(points, uppers, strict=True) if upper > point[0]]
    if whiskers:
        x, y, ends = zip(*whiskers, strict=True)
        axes.hlines(y, x, ends, color=GREY, linewidth=0.5, alpha=0.5, label="up to the upper bound")
    axes.margins(0.08)
    axes.set_xlim(*at_least(4.0, *axes.get_xlim()))
    _limit_accuracy(axes)
    axes.set_xlabel("SynOps after fine-tuning, % of the dense network")
    axes.set_ylabel("validation accuracy, %")
    add_legend(figure)
    return figure


@matplotlib.rc_context(STYLE)
def estimator_figure(
    samples: Sequence[Sample],
    estimator: Estimator,
    budget: Budget,
    trials: Sequence[FrozenTrial],
    result: Mapping[str, Any],
) -> Figure:
    """Draw SynOps before against after fine-tuning: samples, what was fitted to them, and how the result fell.

    Args:
        samples: What the estimator was fitted to.
        estimator: Fitted.
        budget: On validation data.
        trials: All of the search; the best gives the final network's SynOps before fine-tuning.
        result: What ``result.json`` holds.
    """
    figure, axes = canvas("estimator")
    x = [_percent(sample.pre, budget) for sample in samples]
    y = [_percent(sample.post, budget) for sample in samples]
    axes.scatter(x, y, label="samples", **DOT)
    final, best = _final_point(result)[0], best_trial(list(trials))
    if result["budget"]["tightened"] == 0 and best is not None:
        x.append(_percent(best.user_attrs["synops"], budget))
        axes.scatter(x[-1], final, label="final network", **FINAL)
    else:  # its SynOps before fine-tuning are not on record
        label = f"final network (tightened: {result['budget']['tightened']})"
        axes.axhline(final, color=GREEN, linewidth=1.2, linestyle="-.", label=label)
    room = 0.05 * (max(x) - min(x))
    low, high = at_least(4.0, min(x) - room, max(x) + room)
    grid = np.linspace(max(0.0, low), high, 60)
    predicted = estimator.predict(grid * budget.baseline / 100.0)
    mean, upper = _percent(predicted.mean, budget), _percent(predicted.upper, budget)
    axes.plot(grid, mean, color=BLUE, linewidth=1.4, label="prediction")
    if np.any(upper > mean):
        axes.fill_between(grid, mean, upper, color=BLUE, alpha=0.15, linewidth=0, label="up to its upper bound")
    axes.axhline(100.0 * budget.fraction, color=BLACK, linewidth=1.2, linestyle="--", label="budget")
    limits_of_y = at_least(4.0, *axes.get_ylim())
    axes.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=0.7, linestyle=":", label="no change")
    axes.set(xlim=(low, high), ylim=limits_of_y)
    axes.set_xlabel("SynOps before fine-tuning, % of the dense network")
    axes.set_ylabel("after fine-tuning, %")
    add_legend(figure)
    return figure


@matplotlib.rc_context(STYLE)
def channels_figure(full: Mapping[str, int], widths: Mapping[str, int]) -> Figure:
    """Draw the channels that are kept of each group.

    Args:
        full: Group name -> channels of the dense network, in network order.
        widths: Group name -> channels of the result.
    """
    figure, axes = canvas("channels", height=0.7 + 0.24 * len(full))
    rows = range(len(full))
    kept = [widths[name] for name in full]
    axes.barh(rows, list(full.values()), height=0.72, color="#dcdcdc", label="removed")
    axes.barh(rows, kept, height=0.72, color=BLUE, label="kept")
    for row, width, channels in zip(rows, kept, full.values(), strict=True):
        label = f"{width} of {channels} ({100.0 * width / channels:.0f} %)"
        axes.annotate(label, (channels, row), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(rows, [_short(name) for name in full], parse_math=False)
    axes.set_ylim(len(full) - 0.4, -0.6)
    widest = max(full.values())
    axes.set_xlim(0.0, 1.4 * widest)  # room for the labels
    axes.set_xticks([0, widest // 2, widest])
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("channels")
    add_legend(figure)
    return figure


@matplotlib.rc_context(STYLE)
def layers_figure(before: Layers, after: Layers) -> Figure:
    """Draw SynOps and input rate of each layer, dense and result.

    Args:
        before: Layer name -> what ``result.json`` holds of it, of the dense network, in order of execution.
        after: The same of the result.
    """
    figure = Figure(figsize=(WIDTH, 0.9 + 0.34 * len(before)), layout="constrained")
    figure.set_label("layers")
    synops, rates = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rows = np.arange(len(before))
    for axes, key, scale in ((synops, "synops", 1e-3), (rates, "input_rate", 100.0)):
        for layers, colour, label, shift in ((before, "#bdbdbd", "dense", -0.2), (after, BLUE, "result", 0.2)):
            values = [scale * each[key] for each in layers.values()]
            axes.barh(rows + shift, values, height=0.38, color=colour, label=label if axes is synops else None)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    names = [_short(name) + ("" if each["in_budget"] else " *") for name, each in before.items()]
    synops.set_yticks(rows, names, parse_math=False)
    synops.set_ylim(len(before) - 0.5, -0.5)
    synops.set_xlabel("SynOps a sample, thousands")
    rates.set_xlabel("inputs that are not 0, %")
    add_legend(figure)
    return figure


@matplotlib.rc_context(STYLE)
def architecture_figure(before: Layers, after: Layers) -> Figure:
    """Draw each layer as a box as high as its channels and as wide as its map: what is left, in the dense outline.

    Args:
        before: Layer name -> what ``result.json`` holds of it, of the dense network, in order of execution.
        after: The same of the result.
    """
    figure, axes = canvas("architecture", height=2.6)
    tallest = max(_channels(each) for each in before.values())
    widest = max(_side(each) for each in before.values())
    gap = 0.35 * widest
    x, ticks = 0.0, []
    for name, dense in before.items():
        channels, kept, side = _channels(dense), _channels(after.get(name, dense)), _side(dense)
        axes.bar(x + side / 2, channels, side, color="#e8e8e8", edgecolor=GREY, linewidth=0.8)
        axes.bar(x + side / 2, kept, side, color=BLUE)
        axes.annotate(
            f"{kept}", (x + side / 2, channels), (0, 2), textcoords="offset points", ha="center", fontsize=8.0
        )
        ticks.append((x + side / 2, f"{side}"))
        x += side + gap
    axes.set_xlim(-gap, x)
    axes.set_ylim(0.0, 1.12 * tallest)
    axes.set_xticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.grid(visible=False)
    axes.set_xlabel("layers in order of execution; width: side of the map, pixels")
    axes.set_ylabel("channels")
    return figure


def _channels(layer: Mapping[str, Any]) -> int:
    """Return the channels of a layer's output; 1 where an older version recorded a shape without any."""
    shape = layer.get("output_shape") or [1]
    return int(shape[0])


def _side(layer: Mapping[str, Any]) -> int:
    """Return the side of a layer's map, 1 where it has none."""
    shape = layer.get("output_shape") or [1]
    return int(shape[-1]) if len(shape) > 1 else 1


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _scatter_by_feasibility(axes: Axes, points: Sequence[tuple[float, float, bool]]) -> None:
    for wanted, label, look in ((True, "feasible", DOT), (False, "infeasible", CROSS)):
        chosen = [(x, y) for x, y, feasible in points if feasible == wanted]
        if chosen:
            axes.scatter(*zip(*chosen, strict=True), label=label, **look)


def _final_point(result: Mapping[str, Any]) -> tuple[float, float]:
    """Return test SynOps and validation accuracy of the result, in percent."""
    synops = 100.0 * share_of(result["result"]["synops"], result["baseline"]["synops"])
    return synops, 100.0 * result["result"]["validation_accuracy"]


def _percent(synops: Any, budget: Budget) -> Any:
    return 100.0 * synops / budget.baseline


def _limit_accuracy(axes: Axes) -> None:
    """Show four points or more, and nothing that no accuracy can be."""
    low, high = at_least(4.0, *axes.get_ylim())
    axes.set_ylim(max(low, -1.0), min(high, 101.0))
