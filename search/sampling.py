"""Samples for the estimator: pruned networks that are measured, fine-tuned, and measured again.

Keep ratios come from a scrambled Sobol sequence and are projected to static costs between 0.8 and 1.2 times the
target (at most 0.95 of dense), so that the fit is tight where predictions are needed. Samples are drawn in
batches until the upper margin at the target is small enough twice in a row (ours).
"""

import dataclasses
import shutil
import time
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from typing import Self

import torch
from scipy.stats import qmc

from conf.schema import EstimatorConfig
from conf.schema import SearchConfig
from lightning_snn.artifact import digest_of_artifact
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.seeds import seed_for
from search.budget import Budget
from search.budget import project
from search.budget import widths_of
from search.cost import CostModel
from search.errors import SearchError
from search.estimator import Estimator
from search.estimator import fit_estimator
from search.estimator import pre_for_upper
from search.evaluator import Evaluator
from search.processes import give_memory_back
from search.silence import refuse_silent
from search.workers import Workers

Job = tuple[Sequence[int], int, Path]
"""Widths, index, and the folder of its training's checkpoints."""
LEVELS = (0.8, 1.2)
HIGHEST_LEVEL = 0.95
"""Of the dense network's SynOps."""
FEWEST = 3
"""Samples by which silence is told: a single one may have lost its spikes by accident."""


@dataclass(frozen=True)
class Sample:
    """One network before and after fine-tuning, on the same validation samples."""

    index: int
    widths: list[int]
    pre: float
    post: float
    accuracy_pre: float
    accuracy_post: float
    seconds: float
    """What it took in the process that finished it."""
    layers: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Operations of each layer before and after."""
    dense: str = ""
    """Digest of the dense network that it was pruned from; empty: it was not recorded."""

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return the sample that plain values from a file say.

        Raises:
            TypeError: If they say none.
        """
        sample = cls(**values)
        for name in ("index", "pre", "post", "accuracy_pre", "accuracy_post", "seconds"):
            if not isinstance(getattr(sample, name), int | float):
                raise TypeError(f"{name} is {getattr(sample, name)!r}")
        return sample


def draw_widths(
    count: int, *, seed: int, full: Sequence[int], low: float, cost: CostModel, fraction: float
) -> list[list[int]]:
    """Return the widths of the first ``count`` samples; the same for every larger count.

    Args:
        count: Number of samples.
        seed: Root seed.
        full: Channels by group of the dense network.
        low: Least keep ratio.
        cost: Static cost of widths.
        fraction: Target as a share of the dense SynOps.
    """
    groups, dense = len(full), cost(full)
    sobol = qmc.Sobol(groups + 1, scramble=True, rng=seed_for(seed, "sobol"))
    points = sobol.random_base2((max(count, 2) - 1).bit_length())[:count]
    least = cost(widths_of([low] * groups, full))
    drawn = []
    for point in points:
        level = (LEVELS[0] + (LEVELS[1] - LEVELS[0]) * point[-1]) * fraction
        target = max(least, min(level, HIGHEST_LEVEL) * dense)
        ratios = [low + (1.0 - low) * u for u in point[:-1]]
        drawn.append(project(ratios, full, low=low, cost=cost, target=target))
    return drawn


def take_sample(evaluator: Evaluator, widths: Sequence[int], index: int, checkpoints: Path | None = None) -> Sample:
    """Prune, measure, fine-tune with the final run's recipe, and measure again.

    An interrupted fine-tuning goes on from its last epoch in ``checkpoints``.
    """
    started = time.perf_counter()
    task = evaluator.task
    network = evaluator.prune(widths)
    before = task.measure_validation(network)
    seed = seed_for(task.config.seed, "sample", index)
    task.train_(network, task.config.finetuning, seed=seed, checkpoints=checkpoints)
    after = task.measure_validation(network)
    give_memory_back()  # a pool takes a hundred samples in one process
    return Sample(
        index,
        list(widths),
        before.synops.total,
        after.synops.total,
        before.accuracy,
        after.accuracy,
        time.perf_counter() - started,
        {
            name: (layer.operations, after.synops.layers[name].operations)
            for name, layer in before.synops.layers.items()
        },
    )


def margin(estimator: Estimator, budget: Budget) -> float:
    """Return how far the upper bound lies above the mean where it just meets the target, as a share of the baseline."""
    at = pre_for_upper(estimator, budget.target, highest=2.0 * budget.baseline)
    predicted = estimator.predict(at)
    return float(predicted.upper - predicted.mean) / budget.baseline


class Sampling:
    """Takes samples one by one, each from its file or anew, until the estimator is tight.

    A context: worker processes live as long as its block, and end at once where an error ends it.
    """

    def __init__(
        self, evaluator: Evaluator, widths: Sequence[Sequence[int]], budget: Budget, dense: Path, folder: Path
    ) -> None:
        """Get ready; nothing is measured yet.

        Args:
            evaluator: Prunes and measures.
            widths: Of all samples that could be needed (:func:`draw_widths`).
            budget: The target, and the baseline that the margin is a share of.
            dense: Folder of the dense network, which worker processes load.
            folder: One JSON file a sample, and checkpoints of those that are being fine-tuned.
        """
        self._config = evaluator.task.config.estimator
        self._evaluator, self._widths, self._budget = evaluator, widths, budget
        self._folder, self._dense = folder, digest_of_artifact(dense / "network")
        work = partial(_take_in_worker, evaluator.task.config, dense)
        self._workers = Workers(self._config.workers, work, _give_up)

    def __enter__(self) -> Self:
        """Start; workers come with the first samples that are not on disk."""
        self._workers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers, without waiting for what they are at."""
        self._workers.__exit__(kind, error, trace)

    def until_tight(self, on_sample: Callable[[Sample], None]) -> tuple[list[Sample], Estimator]:
        """Take samples in batches until the margin is tight twice in a row, or there are ``max_samples``.

        Returns:
            The samples by index, and the estimator fitted to them.
        """
        config, samples, tight = self._config, list[Sample](), 0
        while True:
            wanted = min(len(samples) + config.batch, config.max_samples) if samples else config.min_samples
            samples += self.take(range(len(samples), wanted), on_sample)
            estimator = _fit(config.name, samples, config)
            tight = tight + 1 if margin(estimator, self._budget) <= config.margin else 0
            if tight == 2 or len(samples) >= config.max_samples:
                return samples, fitted(samples, config)

    def take(self, indices: range, on_sample: Callable[[Sample], None]) -> list[Sample]:
        """Return the samples of these indices; ``on_sample`` sees each as soon as it is there.

        Raises:
            SearchError: If the first of them hardly spike, before or after fine-tuning.
        """
        done: dict[int, Sample] = {}
        missing = []
        for index in indices:
            sample = self._on_disk(index)
            if sample is not None:
                done[index] = sample
                on_sample(sample)
            else:
                missing.append((self._widths[index], index, self._checkpoints(index)))
        for taken in self._take_each(missing):
            sample = dataclasses.replace(taken, dense=self._dense)
            write_json(self._folder / f"{sample.index:03d}.json", dataclasses.asdict(sample))
            shutil.rmtree(self._checkpoints(sample.index), ignore_errors=True)
            done[sample.index] = sample
            on_sample(sample)
            if len(done) == FEWEST:  # at once, and not after all have been fine-tuned
                expected = [self._budget.target] * FEWEST
                refuse_silent([each.pre for each in done.values()], expected)
                refuse_silent([each.post for each in done.values()], expected, is_tuned=True)
        return [done[index] for index in indices]

    def _on_disk(self, index: int) -> Sample | None:
        """Return a sample that was taken earlier; None where there is none, or it is of other networks than this one.

        They differ where the dense network was deleted and came out otherwise, or another version draws other widths.
        """
        file = self._folder / f"{index:03d}.json"
        sample = _read(file) if file.exists() else None
        if sample is None or (sample.dense, sample.widths) == (self._dense, list(self._widths[index])):
            return sample
        shutil.rmtree(self._checkpoints(index), ignore_errors=True)
        return None

    def _checkpoints(self, index: int) -> Path:
        return self._folder / f"{index:03d}-training"

    def _take_each(self, jobs: Sequence[Job]) -> Iterator[Sample]:
        """Yield the samples of some jobs, each when it is there, from this process or from the workers."""
        if self._config.workers == 1 or (len(jobs) < 2 and not self._workers.are_there):
            yield from (take_sample(self._evaluator, *job) for job in jobs)
        else:
            yield from (sample for _, sample in self._workers.each(jobs))


def _read(file: Path) -> Sample:
    try:
        return Sample.of(read_json(file))
    except TypeError as error:
        raise SearchError(
            f"{file} is no sample ({error}). Delete it; the command that made it makes it again."
        ) from error


def fitted(samples: Sequence[Sample], config: EstimatorConfig) -> Estimator:
    """Return the estimator, or the ratio in its place where there is no line, or it falls: more before, fewer after."""
    estimator = _fit(config.name, samples, config)
    if estimator.name != config.name:
        warnings.warn(
            f"All {len(samples)} samples have the same SynOps, so few networks lie near the budget: no line can be "
            "fitted, and the ratio of SynOps after to before is used.",
            stacklevel=2,
        )
    if estimator.slope > 0.0:
        return estimator
    warnings.warn(
        f"The fitted line falls (slope {estimator.slope:.2g}), so the ratio of SynOps after to before is used. "
        "More samples (estimator.max_samples) or a longer fine-tuning may help.",
        stacklevel=2,
    )
    return _fit("ratio", samples, config)


def _fit(name: str, samples: Sequence[Sample], config: EstimatorConfig) -> Estimator:
    pre, post = [sample.pre for sample in samples], [sample.post for sample in samples]
    return fit_estimator(name, config.confidence, pre, post)


def _give_up(job: Job, how: str) -> Sample:
    _, index, _ = job
    raise SearchError(
        f"The process that fine-tunes sample {index} of the estimator was ended again and again, at last working alone "
        f"({how}). Finished samples are kept: free memory, or take smaller batches (data.batch_size), and give the "
        "same command again, with estimator.workers=1."
    )


_evaluator: Evaluator | None = None  # of a worker process, from its first job on


def _take_in_worker(config: SearchConfig, dense: Path, job: Job) -> Sample:
    from search.baseline import open_baseline
    from search.task import SearchTask

    global _evaluator
    if _evaluator is None:
        torch.set_num_threads(1)
        task = SearchTask(config)
        _evaluator = open_baseline(task, dense).evaluator(task)
    return take_sample(_evaluator, *job)
