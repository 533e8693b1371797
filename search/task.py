"""What a search solves: a task whose networks are pruned, and so need their batch norms measured anew."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch import nn

from conf.schema import SearchConfig
from lightning_snn.artifact import read_architecture
from lightning_snn.criteria import CRITERIA
from lightning_snn.criteria import channel_scores
from lightning_snn.errors import SurgeryError
from lightning_snn.errors import nearest
from lightning_snn.forward import to_time_first
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from lightning_snn.task import Task
from search.errors import SearchError
from search.estimator import ESTIMATORS
from search.reward import FORMS
from search.strategies import RUN_NETWORK
from search.strategies import check_strategy
from search.strategies import check_warmup


class SearchTask(Task):
    """Build networks, train, recalibrate and measure them as one configuration says."""

    config: SearchConfig

    def check_channels(self) -> None:
        """Rank the channels of the fresh network: one that cannot be pruned is refused before its training, not after.

        Raises:
            SurgeryError: If the channels of the network cannot be removed, or the criterion cannot score them.
            SearchError: If it has none.
        """
        network, space = self.new_network(), self.config.space
        plan = self.channel_plan(network)
        batches = [(self.example, torch.zeros(1, dtype=torch.int64))] if space.recalibration_batches > 0 else []
        channel_scores(space.criterion, network, plan, self.config.seed, batches)

    def channel_plan(self, network: nn.Module) -> ChannelPlan:
        """Return the channels of ``network`` that may be removed, as ``space`` says.

        Raises:
            SurgeryError: If they cannot be followed.
            SearchError: If there are none.
        """
        skip = self.config.space.skip_unsupported
        try:
            plan = self._traced(network, skip)
        except SurgeryError as error:
            if skip or not self._can_skip(network):
                raise
            raise SurgeryError(f"{error} Or keep what cannot be followed: --space.skip_unsupported true.") from error
        if not plan.groups:
            reason = plan.why_empty(network)
            if not self.config.space.prune_first:
                reason += " The first layer stays whole, as --space.prune_first false says."
            raise SearchError(reason)
        return plan

    def _traced(self, network: nn.Module, skip_unsupported: bool) -> ChannelPlan:
        return ChannelPlan.trace(
            network,
            self.example,
            skip_unsupported=skip_unsupported,
            prune_first=self.config.space.prune_first,
        )

    def _can_skip(self, network: nn.Module) -> bool:
        """Tell whether anything is left to prune where what cannot be followed is kept: else it is no advice."""
        try:
            return bool(self._traced(network, True).groups)
        except SurgeryError:
            return False

    def recalibrate_(self, network: nn.Module) -> None:
        """Measure the batch-norm statistics of ``network`` anew."""
        recalibrate_batch_norm_(network.to(self.device), (x_TBCHW for x_TBCHW, _ in self.calibration_batches()))

    def calibration_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training samples that batch norms and channels are judged by, on the device.

        Yields:
            Inputs ``[T, B, C, H, W]`` and labels ``[B]``.
        """
        for x, y_B in self._calibration:
            yield to_time_first(x.to(self.device), self.time_steps), y_B.to(self.device)

    @cached_property
    def _calibration(self) -> list[tuple[Tensor, Tensor]]:
        space = self.config.space
        if space.recalibration_batches == 0:
            return []
        return self.data.calibration_batches(space.recalibration_batches, space.recalibration_batch_size)


def check_names(config: SearchConfig) -> None:
    """Refuse unknown names of artifact, strategy, estimator, reward and criterion, before anything costly is done."""
    strategy = config.strategy.name
    if config.baseline.artifact is not None:
        read_architecture(Path(config.baseline.artifact))
    check_strategy(strategy, config.strategy.options, config.space.criterion)
    check_warmup(strategy, config.strategy.options, config.strategy.evaluations)
    if strategy in RUN_NETWORK and config.space.recalibration_batches == 0:
        raise SearchError(
            f"Strategy {strategy!r} runs the network on training samples, found space.recalibration_batches=0. "
            "Set it to 1 or more."
        )
    for setting, name, known in (
        ("estimator.name", config.estimator.name, ESTIMATORS),
        ("reward.form", config.reward.form, FORMS),
        ("space.criterion", config.space.criterion, CRITERIA),
    ):
        if name not in known:
            raise SearchError(f"No {setting} is called {name!r}. {nearest(name, known)}")
