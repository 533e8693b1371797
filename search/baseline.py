"""The dense network: given or trained once, measured on validation data, shared by all runs that start from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback
from torch import nn

from conf.identity import digest
from lightning_snn.criteria import channel_scores
from lightning_snn.dense import dense_seconds
from lightning_snn.dense import obtain_dense
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.inference import Evaluation
from lightning_snn.surgery import ChannelPlan
from search.errors import SearchError
from search.evaluator import Evaluator
from search.evaluator import keep_order
from search.task import SearchTask


@dataclass(frozen=True)
class Baseline:
    """The dense network with what is known of it."""

    network: nn.Module
    validation: Evaluation
    plan: ChannelPlan
    scores: dict[str, NDArray[np.float64]]
    """Group name -> score of each channel."""
    criterion: str
    """What the scores are."""
    seconds: float
    """What training took, in the process that finished it."""

    def evaluator(self, task: SearchTask) -> Evaluator:
        """Return the evaluator of networks pruned from this one."""
        return Evaluator(task, self.network, self.plan, keep_order(self.scores))


def obtain_baseline(task: SearchTask, folder: Path, callbacks: Sequence[Callback]) -> Baseline:
    """Return the dense network, trained in ``folder`` if it is not there yet.

    A training that was interrupted goes on from its last epoch.

    Raises:
        ArtifactError, NetworkError, SurgeryError: If a network was given that cannot be loaded, does not take the
            data, or has channels that cannot be removed, or one that is to be trained has; nothing is saved then.
        SearchError: If it has none, or the groups of the network are not those it was saved with.
    """
    if task.config.baseline.artifact is None and not (folder / "network").exists():
        task.check_channels()
    plans: list[ChannelPlan] = []  # of a network that was given: it need not be traced again
    network = obtain_dense(task, folder, callbacks, accept=lambda given: plans.append(task.channel_plan(given)))
    return _describe(task, folder, network, *plans)


def open_baseline(task: SearchTask, folder: Path) -> Baseline:
    """Load the dense network that :func:`obtain_baseline` left in ``folder``, and measure it.

    Raises:
        SearchError: If its groups are not those it was saved with.
    """
    return _describe(task, folder, task.load(folder / "network"))


def _describe(task: SearchTask, folder: Path, network: nn.Module, plan: ChannelPlan | None = None) -> Baseline:
    plan = plan or task.channel_plan(network)
    policy = digest([task.config.space.prune_first, task.config.space.skip_unsupported])
    _same_groups(folder / f"groups-{policy}.json", {group.name: group.width for group in plan.groups})
    criterion = task.config.space.criterion
    scores = channel_scores(criterion, network.to(task.device), plan, task.config.seed, task.calibration_batches())
    return Baseline(network, task.measure_validation(network), plan, scores, criterion, dense_seconds(folder))


def _same_groups(file: Path, groups: dict[str, int]) -> None:
    """Store the groups, or check them: a record made with others would be read wrongly."""
    if not file.exists():
        write_json(file, groups)
    elif list(read_json(file).items()) != list(groups.items()):
        raise SearchError(
            f"The channel groups of the network differ from those recorded in {file}. "
            f"Delete {file.parent} if the network was changed on purpose."
        )
