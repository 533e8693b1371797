"""Channels last against the usual order of a network's weights: the same work in turn, in one run; ratios of medians.

python benchmarks/memory_format.py
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from lightning_snn.forward import run_network
from lightning_snn.memory_format import channels_last
from lightning_snn.networks import build_network

REPEATS = 9
CASES = (("vgg_compact", 3, 32, 2, 128), ("vgg_small", 1, 8, 4, 128))
"""Network, channels and pixels of its images, time steps T, batch."""


def main() -> None:
    """Print a line for each network."""
    torch.set_num_threads(1)
    for name, channels, side, steps, batch in CASES:
        torch.manual_seed(0)
        network = build_network(name, num_classes=10, in_channels=channels, image_size=side)
        x_TBCHW = torch.rand(batch, channels, side, side).expand(steps, -1, -1, -1, -1)
        found = []
        for title, work, training in (
            ("measuring", forward, False),
            ("recalibration", forward, True),
            ("training step", step, True),
        ):
            network.train(training)
            ratio = ratio_of(network, partial(work, network, x_TBCHW))
            found.append(f"{title} {ratio:.2f}")
        print(f"{name}, T = {steps}, batch {batch}: {', '.join(found)} of the time")


def ratio_of(network: nn.Module, work: Callable[[], None]) -> float:
    """Return the median time with channels last over that without, after one warm-up of each."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + REPEATS):
        for enabled, times in taken.items():
            with channels_last(network, enabled):
                started = time.perf_counter()
                work()
                times.append(time.perf_counter() - started)
    return statistics.median(taken[True][1:]) / statistics.median(taken[False][1:])


@torch.no_grad()
def forward(network: nn.Module, x_TBCHW: torch.Tensor) -> None:
    """Run a network; in training mode its batch norms take statistics, as recalibration does."""
    run_network(network, x_TBCHW)


def step(network: nn.Module, x_TBCHW: torch.Tensor) -> None:
    """Do a forward and a backward pass."""
    logits_BK = run_network(network, x_TBCHW).mean(dim=0)
    torch.autograd.backward(F.cross_entropy(logits_BK, torch.arange(len(logits_BK)) % 10))
    network.zero_grad()


if __name__ == "__main__":
    main()
