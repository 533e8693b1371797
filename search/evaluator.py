"""Widths -> a pruned network -> what it measures. Every strategy shares this."""

import time
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lightning_snn.surgery import ChannelPlan
from search.processes import trim_heap
from search.task import SearchTask


@dataclass(frozen=True)
class Candidate:
    """One pruned network, before fine-tuning, measured on validation data."""

    widths: tuple[int, ...]
    """Channels of each group, in network order."""
    accuracy: float
    """In [0, 1]."""
    synops: float
    """SynOps per sample."""
    parameters: int
    seconds: float
    """What pruning, recalibration and measurement took."""


class Evaluator:
    """Prune the dense network to given widths, recalibrate its batch norms, measure it.

    A pure function of the widths; each distinct one is measured once and remembered.
    """

    def __init__(
        self, task: SearchTask, network: nn.Module, plan: ChannelPlan, order: Mapping[str, Sequence[int]]
    ) -> None:
        """Take the dense network, its groups, and the order in which each group's channels are kept."""
        self.task, self.network, self.plan, self.order = task, network, plan, order
        self._known: dict[tuple[int, ...], Candidate] = {}

    def prune(self, widths: Sequence[int]) -> nn.Module:
        """Return the dense network cut to ``widths`` and recalibrated, ready to be measured or fine-tuned."""
        keep = {
            group.name: sorted(self.order[group.name][:width])
            for group, width in zip(self.plan.groups, widths, strict=True)
            if width < group.width
        }
        network = self.plan.shrink(self.network, keep)
        self.task.recalibrate_(network)
        return network

    def evaluate(self, widths: Sequence[int]) -> Candidate:
        """Measure the network of these widths, or recall it."""
        key = tuple(widths)
        if key not in self._known:
            started = time.perf_counter()
            network = self.prune(key)
            measured = self.task.measure_validation(network)
            self.remember(
                Candidate(
                    key,
                    measured.accuracy,
                    measured.synops.total,
                    sum(parameter.numel() for parameter in network.parameters()),
                    time.perf_counter() - started,
                )
            )
            del network, measured
            trim_heap()
        return self._known[key]

    def remember(self, candidate: Candidate) -> None:
        """Take a candidate from the record, so that it is not measured again."""
        self._known[candidate.widths] = candidate


def keep_order(scores: Mapping[str, NDArray[np.float64]]) -> dict[str, list[int]]:
    """Return the channels of each group, those kept longest first; ties go to the lower index."""
    return {name: np.argsort(-values, kind="stable").tolist() for name, values in scores.items()}
