"""Tables and picture of the rows of ``rivals.py`` that are there.

Means are over seeds, with their standard error. A method is compared with its random control seed by seed: the mean of
the differences, and that over its standard error, from three seeds on; it then says little more than "clearly" or "not
clearly". SynOps = connections x rates; weights: the share of them that is left.
"""

import json
import statistics
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from _rivals_rows import CONTROLS
from _rivals_rows import IDEAS
from _rivals_rows import rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Record = dict[str, Any]
HEADER = (
    *("method", "strength", "seeds", "test accuracy", "SynOps", "= connections", "x rates", "weights left"),
    *("over its control", "over its SE"),
)
KINDS = {
    "weights": ("random weights", "magnitude", "lamp", "slamp"),
    "channels": ("random channels", "slimming", "sca"),
    "N:M once": ("random n:m", "magnitude n:m"),
    "N:M from scratch": ("random n:m from scratch", "sr-ste", "spike-nm"),
}
"""What the picture shows: kinds of pruning, and their methods, the random control first."""
STYLES = (("grey", "x"), ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"))


def write_report(out: Path) -> None:
    """Write ``tables.md`` and ``rivals.svg`` from ``out/rows``."""
    names = [row.name for row in rows()]
    files = sorted(out.glob("rows/*.json"), key=lambda file: names.index(file.stem) if file.stem in names else -1)
    records: list[Record] = [json.loads(file.read_text()) for file in files]
    if not records:
        return
    parts = [f"{len(records)} of {len(names)} rows are there."]
    for data in dict.fromkeys(record["data"] for record in records):
        parts.append(f"## {data}\n\n{table([record for record in records if record['data'] == data])}")
    parts.append(f"## Ablations (cifar10)\n\n{ideas([each for each in records if each['data'] == 'cifar10'])}")
    (out / "tables.md").write_text("\n\n".join(parts) + "\n")
    draw(records, out / "rivals.svg")


def table(records: Sequence[Record]) -> str:
    """Return the table of one data set: the dense network, then methods by strength."""
    dense = {record["seed"]: record["baseline"] for record in records}
    lines = [
        f"| {' | '.join(HEADER)} |",
        f"|{'|'.join(['---'] * 2 + ['---:'] * (len(HEADER) - 2))}|",
        _line("dense", "", len(dense), _accuracy(dense.values()), "100.0 %", *[""] * 5),
    ]
    for strength in dict.fromkeys(record["strength"] for record in records):
        of_strength = [record for record in records if record["strength"] == strength]
        for method in dict.fromkeys(record["method"] for record in of_strength):
            mine = by_seed(of_strength, method)
            difference, errors = against(mine, by_seed(of_strength, CONTROLS.get(method, "")))
            lines.append(
                _line(
                    method,
                    strength,
                    len(mine),
                    _accuracy(mine.values()),
                    _mean(mine, "synops_share"),
                    _mean(mine, "connectivity_factor"),
                    _mean(mine, "rate_factor"),
                    _mean(mine, "connectivity"),
                    difference,
                    errors,
                )
            )
    return "\n".join(lines)


def ideas(records: Sequence[Record]) -> str:
    """Return the table that holds methods against themselves without the idea that they are made of."""
    head = ("method", "without its idea", "strength", "seeds", "difference", "over its SE", "SynOps", "without")
    lines = [_line(*head), f"|{'|'.join(['---'] * 3 + ['---:'] * (len(head) - 3))}|"]
    for method, plain in IDEAS:
        for strength in dict.fromkeys(record["strength"] for record in records):
            of_strength = [record for record in records if record["strength"] == strength]
            mine, other = by_seed(of_strength, method), by_seed(of_strength, plain)
            both = mine.keys() & other.keys()
            if both:
                shares = (_mean({seed: each[seed] for seed in both}, "synops_share") for each in (mine, other))
                lines.append(_line(method, plain, strength, len(both), *against(mine, other), *shares))
    return "\n".join(lines)


def by_seed(records: Iterable[Record], method: str) -> dict[int, Record]:
    """Return the figures of a method's networks, by seed."""
    return {record["seed"]: record["result"] for record in records if record["method"] == method}


def against(mine: dict[int, Record], control: dict[int, Record]) -> tuple[str, str]:
    """Return the mean difference of test accuracies over the seeds that both have, and that in standard errors."""
    both = sorted(mine.keys() & control.keys())
    if len(both) < 2:
        return "", ""
    points = [100.0 * (mine[seed]["test_accuracy"] - control[seed]["test_accuracy"]) for seed in both]
    mean, error = statistics.mean(points), statistics.stdev(points) / len(points) ** 0.5
    return f"{mean:+.2f} points", f"{mean / error:+.1f}" if error > 0.0 and len(both) > 2 else "-"


def draw(records: Sequence[Record], file: Path) -> None:
    """Draw accuracy over SynOps, a row a data set and a column a kind of pruning, with standard errors of both."""
    panels = list(dict.fromkeys(record["data"] for record in records))
    plt.rcParams["svg.hashsalt"] = "rivals"
    figure, axes = plt.subplots(
        len(panels),
        len(KINDS),
        figsize=(3.2 * len(KINDS), 2.6 * len(panels)),
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for row, data in zip(axes, panels, strict=True):
        of_data = [record for record in records if record["data"] == data]
        dense = statistics.mean([100.0 * record["baseline"]["test_accuracy"] for record in of_data])
        for axis, (kind, methods) in zip(row, KINDS.items(), strict=True):
            axis.axhline(dense, color="black", linewidth=0.8, linestyle=":", label="dense")
            for method, (colour, marker) in zip(methods, STYLES, strict=False):
                points = _points(of_data, method)
                if points:
                    x, x_error, y, y_error = zip(*points, strict=True)
                    axis.errorbar(x, y, y_error, x_error, marker=marker, markersize=5, label=method, color=colour)
            axis.set(title=f"{data}, {kind}")
        row[0].set(ylabel="test accuracy, %")
    for axis in axes[-1]:
        axis.set(xlabel="SynOps, % of the dense network's")
        axis.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _points(records: Sequence[Record], method: str) -> list[tuple[float, float, float, float]]:
    """Return SynOps and accuracy of a method at each strength, in percent, each with its standard error."""
    points = []
    for strength in dict.fromkeys(record["strength"] for record in records if "sparse" not in record["strength"]):
        mine = by_seed([record for record in records if record["strength"] == strength], method)
        if mine:
            shares = [100.0 * each["synops_share"] for each in mine.values()]
            hits = [100.0 * each["test_accuracy"] for each in mine.values()]
            points.append((*_mean_error(shares), *_mean_error(hits)))
    return sorted(points)


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _accuracy(figures: Iterable[Record]) -> str:
    values = [100.0 * each["test_accuracy"] for each in figures]
    mean, error = _mean_error(values)
    return f"{mean:.2f} ± {error:.2f} %" if len(values) > 1 else f"{mean:.2f} %"


def _mean(figures: dict[int, Record], key: str) -> str:
    return f"{100.0 * statistics.mean(each[key] for each in figures.values()):.1f} %"


def _mean_error(values: Sequence[float]) -> tuple[float, float]:
    spread = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return statistics.mean(values), spread
