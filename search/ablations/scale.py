"""What evaluations and samples cost in larger networks: seconds against depth, width and image size.

Untrained networks on random images, so that nothing but time is measured: one evaluation is pruning to half the widths,
recalibration and measurement; one sample is that and a training step for each batch of one epoch. Conclusion by rule:
the exponent of a power law, fitted to each series by least squares on logarithms.
"""

import time
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.forward import run_network
from lightning_snn.inference import evaluate
from lightning_snn.networks import build_network
from lightning_snn.progress import Phase
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.finding import Finding

TIME_STEPS, CLASSES, BATCH, BATCHES = 4, 10, 32, 4
REPEATS: Final = 3


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
        """Return its convolutions, a pool after every second one."""
        plan: list[int | str] = []
        for index in range(self.depth):
            plan.append(self.width)
            if index % 2 == 1 and self.side >> (index // 2 + 1) >= 2:
                plan.append("M")
        return plan


SIZES: Final = (
    *(Size("depth", depth, 32, depth, 16) for depth in (2, 4, 8, 16)),
    *(Size("width", width, width, 4, 16) for width in (16, 32, 64, 128)),
    *(Size("image size", side, 32, 4, side) for side in (8, 16, 32, 64)),
)


class ScaleAblation:
    """Seconds against size."""

    question = "What do evaluations and samples cost in larger networks?"

    def cost(self, setting: Setting) -> str:
        """Say what is timed."""
        return f"{len(SIZES)} untrained networks are timed, {REPEATS} times each, on a machine that should be quiet."

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Time what was not timed yet."""
        torch.set_num_threads(setting.config.threads)
        rows = []
        for size in SIZES:
            file = setting.folder / f"{size.series.replace(' ', '-')}-{size.value}.json"
            if not file.exists():
                write_json(file, measure(size))
            rows.append({"series": size.series, "value": size.value, **read_json(file)})
            phase.advance(f"{size.series} {size.value}: {rows[-1]['evaluation']:.2f} s an evaluation")
        return conclude(rows)


def measure(size: Size) -> dict[str, float]:
    """Return the seconds of one evaluation and of one epoch of fine-tuning, least of the repeats, and parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
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
        rows: Series, value, parameters and seconds of each network.
    """
    series = list(dict.fromkeys(str(row["series"]) for row in rows))
    figure = chart("times the smallest", "seconds")
    said, exponents = [], {}
    for name, colour in zip(series, COLOURS, strict=False):
        mine = [row for row in rows if row["series"] == name]
        x = np.array([row["value"] for row in mine]) / mine[0]["value"]
        exponents[name] = [
            float(np.polyfit(np.log(x), np.log([row[key] for row in mine]), 1)[0]) for key in ("evaluation", "epoch")
        ]
        said.append(
            f"With {name}, an evaluation grows as its power {exponents[name][0]:.1f}, "
            f"an epoch of fine-tuning as its power {exponents[name][1]:.1f}."
        )
        for key, dash in (("evaluation", "solid"), ("epoch", "dash")):
            figure.add_scatter(
                x=x.tolist(),
                y=[row[key] for row in mine],
                name=f"{name}: {key}",
                mode="lines+markers",
                line={"color": colour, "dash": dash},
            )
    figure.update_xaxes(type="log")
    figure.update_yaxes(type="log")
    ratios = [row["epoch"] / row["evaluation"] for row in rows]
    said.append(
        f"An epoch takes {min(ratios):.1f} to {max(ratios):.1f} evaluations on as many images: what a search costs is "
        "mostly its samples where their fine-tuning has many epochs."
    )
    return Finding(
        name="scale",
        question=ScaleAblation.question,
        conclusion=" ".join(said),
        head=["varied", "value", "parameters", "evaluation, s", "epoch, s"],
        rows=[
            [
                str(row["series"]),
                f"{row['value']:g}",
                f"{row['parameters']:,.0f}",
                f"{row['evaluation']:.3f}",
                f"{row['epoch']:.3f}",
            ]
            for row in rows
        ],
        legend=(
            f"Plain stacks of spiking convolutions, T = {TIME_STEPS}, {BATCH * BATCHES} random images, pruned to half "
            f"the widths, least of {REPEATS} repeats on this machine: read the exponents, not the seconds."
        ),
        figure=figure,
        values=rows,
    )


SCALE: Final = ScaleAblation()
