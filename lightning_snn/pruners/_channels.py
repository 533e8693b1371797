"""Pruners of channels: one ranking of all channels, cut where the network is within its budget."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.pruner import Pruned
from lightning_snn.pruners.pruner import Pruner
from lightning_snn.pruners.pruner import one_strength
from lightning_snn.surgery import ChannelPlan

Scores = Mapping[str, NDArray[np.float64]]
"""Group name -> score of each channel, ``[width]``: the higher, the longer it stays.

Infinity: it must stay; minus infinity: it goes.
"""


LOW = 0.1
"""Least share of its channels that each group keeps by default, as in searches (``space.low``). Ours."""


class ChannelPruner(Pruner):
    """Remove the channels that score least over all groups; each group keeps a few in any case."""

    name: ClassVar[str]
    unranked: ClassVar[str] = "it has no batch norm"
    """Why a group is left whole: its channels have infinite scores."""

    def __init__(
        self, *, bench: Bench, target: float | None = None, keep: float | None = None, low: float = LOW
    ) -> None:
        """Say how much is pruned.

        Args:
            bench: Training data to measure on.
            target: Share of the dense SynOps that is kept; a half by default.
            keep: In place of it, share of all channels that is kept, between 0 and 1.
            low: Least share of its channels that each group keeps; one channel at least. One ranking of all layers
                may else leave a single channel of a layer, and with it little of the network's accuracy.

        Raises:
            PruningError: If an option is out of range, or both say how much.
        """
        super().__init__(bench, one_strength(self.name, target, "keep", keep))
        if not 0.0 <= low < 1.0:
            raise PruningError(f"pruning.options.low must be at least 0 and below 1, found {low:g}.")
        if keep is not None and keep < low:
            raise PruningError(
                f"pruning.options.low is the least share of each layer's channels, and keep the share of all: found "
                f"{low:g}, which is more than {keep:g}. Lower low, or raise keep."
            )
        self.keep, self.low = keep, low

    def accept(self, network: nn.Module) -> None:
        """Refuse a network whose channels cannot be removed, or must all stay."""
        widths = [group.width for group in self.bench.plan(network).groups]
        if all(max(1, math.ceil(self.low * width - 1e-9)) == width for width in widths):
            raise PruningError(
                f"Nothing can be pruned: each layer keeps the share pruning.options.low, {self.low:g}, of its "
                "channels, and one at least: all of them. Lower it, or give a network with wider layers."
            )

    @abstractmethod
    def scores(self, network: nn.Module, plan: ChannelPlan) -> Scores:
        """Score all channels of all groups."""

    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Remove channels."""
        plan = self.bench.plan(network)
        scores = self.scores(network, plan)
        values = np.concatenate(list(scores.values()))
        least, most = sum(floors(scores, self.low).values()), int((values > -np.inf).sum())
        if self.keep is not None:
            count = min(most, max(least, round(len(values) * self.keep)))
        else:
            count = self.most_within(least, most, lambda n: plan.shrink(network, best(scores, n, self.low)), round_)
        kept = best(scores, count, self.low)
        smaller = self.bench.recalibrated(plan.shrink(network, kept))
        whole = {name: self.unranked for name, each in scores.items() if (each == np.inf).all()}
        return Pruned(smaller, {}, plan.live_synapses(network, kept), {"skipped": whole})


def floors(scores: Scores, low: float) -> dict[str, int]:
    """Return how many channels each group keeps in any case: its floor, and those that must stay."""
    return {
        name: max(1, math.ceil(low * len(values) - 1e-9), int((values == np.inf).sum()))
        for name, values in scores.items()
    }


def best(scores: Scores, count: int, low: float = 0.0) -> dict[str, list[int]]:
    """Return the ``count`` best channels of all groups, ascending; the best of each group up to its floor come first.

    Ties go to the earlier group and the lower index.
    """
    entries = [
        (-value, index, channel)
        for index, values in enumerate(scores.values())
        for channel, value in enumerate(values.tolist())
    ]
    least = list(floors(scores, low).values())
    groups = [sorted(entry for entry in entries if entry[1] == index) for index in range(len(scores))]
    first = [entry for entries_of, floor in zip(groups, least, strict=True) for entry in entries_of[:floor]]
    others = sorted(entry for entries_of, floor in zip(groups, least, strict=True) for entry in entries_of[floor:])
    chosen = [*first, *others[: max(0, count - len(first))]]
    names = list(scores)
    kept: dict[str, list[int]] = {name: [] for name in names}
    for _, index, channel in sorted(chosen, key=lambda entry: entry[1:]):
        kept[names[index]].append(channel)
    return kept
