"""Pruners of channels: one ranking of all channels, cut where the network is within its budget."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lightning_snn.pruners._bench import Bench
from lightning_snn.pruners._bench import largest_count
from lightning_snn.pruners._pruner import Pruned
from lightning_snn.pruners._pruner import Pruner
from lightning_snn.pruners._pruner import one_strength
from lightning_snn.surgery import ChannelPlan

Scores = Mapping[str, NDArray[np.float64]]
"""Group name -> score of each channel, ``[width]``: the higher, the longer it stays.

Infinity: it must stay; minus infinity: it goes.
"""


class ChannelPruner(Pruner):
    """Remove the channels that score least over all groups; each group keeps one at least."""

    name: ClassVar[str]

    def __init__(self, *, bench: Bench, target: float | None = None, keep: float | None = None) -> None:
        """Say how much is pruned.

        Args:
            bench: Training data to measure on.
            target: Share of the dense SynOps that is kept; a half by default.
            keep: In place of it, share of all channels that is kept, between 0 and 1.

        Raises:
            PruningError: If an option is out of range, or both say how much.
        """
        super().__init__(bench, one_strength(self.name, target, "keep", keep))
        self.keep = keep

    @abstractmethod
    def scores(self, network: nn.Module, plan: ChannelPlan) -> Scores:
        """Score all channels of all groups."""

    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Remove channels."""
        plan = self.bench.plan(network)
        scores = self.scores(network, plan)
        values = np.concatenate(list(scores.values()))
        least, most = least_channels(scores), int((values > -np.inf).sum())
        if self.keep is not None:
            count = min(most, max(least, round(len(values) * self.keep)))
        else:
            count = largest_count(least, most, lambda n: self.fits(plan.shrink(network, best(scores, n)), round_))
        kept = best(scores, count)
        smaller = self.bench.recalibrated(plan.shrink(network, kept))
        whole = {name: "it has no batch norm" for name, each in scores.items() if (each == np.inf).all()}
        return Pruned(smaller, {}, plan.live_synapses(network, kept), {"skipped": whole})


def least_channels(scores: Scores) -> int:
    """Return how many channels stay in any case: those that must, and one of each group."""
    return sum(max(1, int((values == np.inf).sum())) for values in scores.values())


def best(scores: Scores, count: int) -> dict[str, list[int]]:
    """Return the ``count`` best channels of all groups, and the best one of each group in any case, ascending.

    Ties go to the earlier group and the lower index. What the groups' best ones take comes off the count.
    """
    entries = [
        (-value, index, channel)
        for index, values in enumerate(scores.values())
        for channel, value in enumerate(values.tolist())
    ]
    first = {index: min(each for each in entries if each[1] == index) for index in range(len(scores))}
    others = sorted(set(entries) - set(first.values()))
    chosen = [*first.values(), *others[: max(0, count - len(first))]]
    names = list(scores)
    kept: dict[str, list[int]] = {name: [] for name in names}
    for _, index, channel in sorted(chosen, key=lambda entry: entry[1:]):
        kept[names[index]].append(channel)
    return kept
