"""What evaluations and samples cost in larger networks: seconds against depth, width and image size.

Untrained networks on random images, so that nothing but time is measured: one evaluation is pruning to half the widths,
recalibration and measurement; an epoch is a training step for each batch. Each seed is another network and other
images, and the least of three repeats. Networks, images and T are its own, whatever the settings of searches are.
Conclusion by rule: the exponent of a power law between the two largest of each series, mean and standard error over
seeds.
"""

import math
import time
from dataclasses import dataclass
from typing import Any
from typing import Final

import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from conf.schema import ConfigError
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.forward import run_network
from lightning_snn.inference import evaluate
from lightning_snn.networks import build_network
from lightning_snn.progress import Phase
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from search.ablations.ablation import Setting
from search.ablations.finding import Finding
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.canvas import logarithmic
from search.comparison.summary import mean_of
from search.comparison.tables import plain

TIMED: Final = ("evaluation", "epoch")
TIME_STEPS, CLASSES, BATCH, BATCHES = 4, 10, 32, 4
REPEATS: Final = 3
USED: Final = ("runs", "threads")
"""Settings that matter here, besides seeds and name."""


@dataclass(frozen=True)
class Size:
    """One network: a plan of convolutions on square images."""

    series: str
    """What is varied: depth, width or image size."""
    value: int
    width: int
    depth: int
    side: int

    @property
    def plan(self) -> list[int | str]:
        """Return its convolutions, all at the full size, and one pool behind them."""
        return [*[self.width] * self.depth, "M"]


SIZES: Final = (
    *(Size("depth", depth, 32, depth, 16) for depth in (2, 4, 8, 16)),
    *(Size("width", width, width, 4, 16) for width in (16, 32, 64, 128)),
    *(Size("image size", side, 32, 4, side) for side in (8, 16, 32, 64)),
)


class ScaleAblation:
    """Seconds against size."""

    def cost(self, setting: Setting) -> str:
        """Say what is timed.

        Raises:
            ConfigError: If settings of searches were given, which change nothing here.
        """
        given = [each.partition("=")[0] for each in setting.arguments]
        if unused := [key for key in given if key not in USED]:
            raise ConfigError(f"scale times networks of its own: --{unused[0]} changes nothing. Leave it out.")
        count = len(SIZES) * len(setting.config.seeds)
        return f"{count} untrained networks are timed, {REPEATS} times each, on a machine that should be quiet."

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Time what was not timed yet."""
        rows = []
        phase.expect(len(SIZES) * len(setting.config.seeds))
        for seed in setting.config.seeds:
            for size in SIZES:
                named = f"{size.series.replace(' ', '-')}-{size.value}-s{seed}-{setting.config.threads}-threads"
                file = setting.folder / f"{named}.json"
                if not file.exists():
                    write_json(file, measure(size, seed))
                rows.append({"series": size.series, "value": size.value, "seed": seed, **read_json(file)})
                phase.advance(f"{size.series} {size.value}: {rows[-1]['evaluation']:.2f} s an evaluation")
        return conclude(rows)


def measure(size: Size, seed: int) -> dict[str, float]:
    """Return the seconds of one evaluation and of one epoch of fine-tuning, least of the repeats, and parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network("vgg_small", num_classes=CLASSES, in_channels=1, image_size=size.side, plan=size.plan)
        images = [torch.rand(BATCH, 1, size.side, size.side) for _ in range(BATCHES)]
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.constant_(norm.bias, 0.3)  # an untrained network would be silent
    labelled = [(x, torch.arange(BATCH) % CLASSES) for x in images]
    shown = [x.expand(TIME_STEPS, *x.shape) for x in images]
    plan = ChannelPlan.trace(network, shown[0][:, :1])
    keep = {group.name: list(range(max(1, group.width // 2))) for group in plan.groups}
    evaluations, epochs = [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        smaller = plan.shrink(network, keep)
        recalibrate_batch_norm_(smaller, shown)
        evaluate(smaller, labelled, time_steps=TIME_STEPS)
        evaluations.append(time.perf_counter() - started)
        started = time.perf_counter()
        _train(smaller, list(zip(shown, (y for _, y in labelled), strict=True)))
        epochs.append(time.perf_counter() - started)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"parameters": parameters, "evaluation": min(evaluations), "epoch": min(epochs)}


def _train(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    network.train()
    for x_TBCHW, y_B in batches:
        loss = F.cross_entropy(run_network(network, x_TBCHW).mean(dim=0), y_B)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def conclude(rows: list[dict[str, Any]]) -> Finding:
    """Say how cost grows.

    Args:
        rows: Series, value, seed, parameters and seconds of each network.
    """
    sizes: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        sizes.setdefault((str(row["series"]), int(row["value"])), []).append(row)
    figure = canvas("times the smallest", "seconds")
    said, times = list[str](), set[int]()
    for name, colour in zip(dict.fromkeys(series for series, _ in sizes), COLOURS, strict=False):
        values = [value for series, value in sizes if series == name]
        times |= {value // values[0] for value in values}
        smaller, larger = sizes[name, values[-2]], sizes[name, values[-1]]
        grown = {key: mean_of(_exponents(smaller, larger, key)) for key in TIMED}
        said.append(
            f"With {name}, an evaluation grows as its power {plain(grown['evaluation'], 1)}, "
            f"an epoch of fine-tuning as its power {plain(grown['epoch'], 1)}."
        )
        for key, dash in zip(TIMED, ("solid", "dash"), strict=True):
            means = [mean_of([row[key] for row in sizes[name, value]]) for value in values]
            figure.add_scatter(
                x=[value / values[0] for value in values],
                y=[each.mean for each in means],
                error_y={"array": [0.0 if math.isnan(each.error) else each.error for each in means], "thickness": 1},
                name=f"{name}: {key}",
                mode="lines+markers",
                line={"color": colour, "dash": dash},
            )
    figure.update_xaxes(type="log", tickvals=sorted(times))
    figure.update_yaxes(**logarithmic())
    ratios = [row["epoch"] / row["evaluation"] for row in rows]
    said.append(f"An epoch takes {min(ratios):.1f} to {max(ratios):.1f} evaluations on as many images.")
    return Finding(
        conclusion=" ".join(said),
        head=["varied", "value", "parameters", "evaluation, s", "epoch, s"],
        rows=[
            [
                series,
                str(value),
                f"{mine[0]['parameters']:,.0f}",
                *(plain(mean_of([row[key] for row in mine]), 3) for key in TIMED),
            ]
            for (series, value), mine in sizes.items()
        ],
        legend=(
            f"Plain stacks of spiking convolutions, T = {TIME_STEPS}, {BATCH * BATCHES} random images, pruned to half "
            f"the widths; least of {REPEATS} repeats, mean ± standard error over seeds "
            f"({len({row['seed'] for row in rows})}), on one machine: read the exponents, which are those between the "
            "two largest of a series, not the seconds."
        ),
        about="On random images.",
        figure=figure,
        values=rows,
    )


def _exponents(smaller: list[dict[str, Any]], larger: list[dict[str, Any]], key: str) -> list[float]:
    """Return, seed by seed, the power of the value by which seconds grow."""
    return [
        math.log(two[key] / one[key]) / math.log(two["value"] / one["value"])
        for one, two in zip(smaller, larger, strict=True)
    ]


SCALE: Final = ScaleAblation()
