"""Pools of networks that were pruned, measured, fine-tuned and measured again: what ablations of the estimator rest on.

The first samples of a pool are those that a search with the same settings takes, and are shared with it.
"""

import dataclasses
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conf.identity import digest
from conf.identity import network_name
from conf.loading import later_wins
from conf.schema import SearchConfig
from lightning_snn.files import locked
from lightning_snn.progress import EpochProgress
from lightning_snn.progress import Phase
from lightning_snn.progress import WithinStep
from lightning_snn.seeds import seed_for
from lightning_snn.synops import SynOpsReport
from lightning_snn.task import identified
from search.ablations.ablation import Setting
from search.baseline import Baseline
from search.baseline import obtain_baseline
from search.budget import Budget
from search.configuration import load_config
from search.configuration import shared_folders
from search.cost import measure_cost_model
from search.evaluator import keep_order
from search.sampling import Sample
from search.sampling import Sampling
from search.sampling import draw_widths
from search.space import SearchContext
from search.space import build_context
from search.task import SearchTask
from search.task import check_names

Floats = NDArray[np.float64]
Draw = Callable[[int, SearchContext, Budget, int], list[list[int]]]
"""(count, context, budget, seed) -> widths of the samples."""


@dataclass(frozen=True)
class Pool:
    """Samples of one dense network."""

    budget: Budget
    layers: Sequence[str]
    """Those that count in the budget."""
    samples: list[Sample]
    macs_N: Floats
    """Multiply-accumulates of each sample if every input were a spike, as shares of the dense network's."""

    @property
    def pre(self) -> Floats:
        """Return SynOps before fine-tuning as shares of the dense network's, ``[n]``."""
        return np.array([sample.pre for sample in self.samples]) / self.budget.baseline

    @property
    def post(self) -> Floats:
        """Return SynOps after fine-tuning as shares of the dense network's, ``[n]``."""
        return np.array([sample.post for sample in self.samples]) / self.budget.baseline


def usual_widths(count: int, context: SearchContext, budget: Budget, seed: int) -> list[list[int]]:
    """Draw widths as searches do: around the target."""
    return draw_widths(
        count, seed=seed, full=context.full, low=context.low, cost=context.cost, fraction=budget.fraction
    )


def other_widths(count: int, context: SearchContext, budget: Budget, seed: int) -> list[list[int]]:
    """Draw widths in the same manner, but none that are siblings of those that searches draw with this seed."""
    return usual_widths(count, context, budget, seed_for(seed, "other widths"))


@dataclass(frozen=True)
class Request:
    """A pool that is wanted."""

    config: SearchConfig
    """Of :func:`pool_config`."""
    count: int
    draw: Draw = usual_widths

    @property
    def folder(self) -> Path:
        """Return the folder of its samples."""
        _, folder = shared_folders(self.config)
        return folder if self.draw is usual_widths else folder.with_name(f"{folder.name}-{digest(self.draw.__name__)}")

    @property
    def missing(self) -> int:
        """Return how many samples are still to be taken."""
        return sum(not (self.folder / f"{index:03d}.json").exists() for index in range(self.count))


class PoolAblation(ABC):
    """An ablation that rests on pools: a subclass says which, and what they show."""

    @abstractmethod
    def pools(self, setting: Setting, seed: int) -> Mapping[str, Request]:
        """Return the pools of one seed, by name."""

    def cost(self, setting: Setting) -> str:
        """Say how many samples are left to be taken, and what they are."""
        requests = [each for seed in setting.config.seeds for each in self.pools(setting, seed).values()]
        left = sum(each.missing for each in requests)
        if left == 0:
            return "All samples are there: only the page is made."
        config = requests[0].config
        dense = {shared_folders(each.config)[0] for each in requests}
        untrained = sum(not (folder / "network").exists() for folder in dense)
        return (
            f"{left} samples are left, fine-tunings of {config.finetuning.epochs} epochs, and {untrained} dense "
            f"networks of {config.training.epochs} epochs."
        )

    def taken(self, setting: Setting, phase: Phase) -> Iterator[tuple[int, dict[str, Pool]]]:
        """Yield each seed with its pools; what is on disk is not taken again. ``phase`` counts samples."""
        wanted = {seed: self.pools(setting, seed) for seed in setting.config.seeds}
        phase.expect(sum(each.count for requests in wanted.values() for each in requests.values()))
        for seed, requests in wanted.items():
            yield seed, {name: take_pool(each, phase) for name, each in requests.items()}


def pool_config(setting: Setting, seed: int, changes: Sequence[str] = ()) -> SearchConfig:
    """Return the settings of a pool, with what they stand for: those of the command line, and ``changes``.

    Raises:
        ConfigError, SearchError: If one is wrong.
    """
    target = f"budget.target={setting.config.budget.target}"
    workers = f"estimator.workers={setting.config.workers}"
    config = load_config(later_wins([*setting.arguments, target, workers, f"seed={seed}", *changes]))
    check_names(config)
    return identified(config)


def take_pool(request: Request, phase: Phase) -> Pool:
    """Return a pool; samples that are on disk are not taken again. ``phase`` counts them."""
    config, count = request.config, request.count
    task, baseline, budget, context = prepare(config, phase)
    dense, folder, report = shared_folders(config)[0], request.folder, baseline.validation.synops
    widths, title = request.draw(count, context, budget, config.seed), title_of(config)
    with locked(folder, wait=True), Sampling(baseline.evaluator(task), widths, budget, dense, folder) as sampling:
        samples = sampling.take(
            range(count), lambda sample: phase.advance(f"{title}: sample {sample.index + 1} of {count}")
        )
    macs = measure_cost_model(baseline.network, baseline.plan, all_spiking(report), keep_order(baseline.scores))
    return Pool(
        budget, report.budgeted, samples, np.array([macs(each.widths) for each in samples]) / macs(context.full)
    )


def prepare(config: SearchConfig, phase: Phase) -> tuple[SearchTask, Baseline, Budget, SearchContext]:
    """Return what samples are made of: the data, the dense network (trained if it is not there), budget and space."""
    task = SearchTask(config)
    dense, _ = shared_folders(task.config)
    training = WithinStep(phase, f"{title_of(config)}: dense network", config.training.epochs)
    with locked(dense, wait=True):
        baseline = obtain_baseline(task, dense, [EpochProgress(training)])
    budget = Budget.of(baseline.validation.synops.total, fraction=config.budget.target, synops=None)
    return task, baseline, budget, build_context(baseline, budget, low=config.space.low, evaluations=1)


def title_of(config: SearchConfig) -> str:
    """Return in short what a pool is of."""
    steps, target = f"T = {config.network.time_steps}", f"{100 * config.budget.target:g} %"
    return f"{config.data.name}, {network_name(config)}, {steps}, {target}, seed {config.seed}"


def all_spiking(report: SynOpsReport) -> SynOpsReport:
    """Return what would have been measured if every input were a spike."""
    layers = {
        name: dataclasses.replace(layer, channel_operations=np.full(channels, layer.dense / channels))
        for name, layer in report.layers.items()
        for channels in [len(layer.channel_operations)]
    }
    return dataclasses.replace(report, layers=layers)
