"""SCA: channels are pruned by their activity and regrown by their gradient, in every epoch of the training.

Source: Li et al., "Towards efficient deep spiking neural networks construction with spiking activity based pruning"
(ICML 2024). Ours: the schedule, which shrinks from all channels to the wanted share while it regrows less and less;
and the signal ``gates``, because the published one, the gradient of the scale of a channel whose filter, scale and
shift were set to zero, is zero but for what momentum left.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn._gates import ChannelGates
from lightning_snn._modes import evaluating
from lightning_snn._next_neuron import next_neurons
from lightning_snn.activity import ActivityMeter
from lightning_snn.activity import channel_activity
from lightning_snn.errors import PruningError
from lightning_snn.forward import run_network
from lightning_snn.pruners._channels import LOW
from lightning_snn.pruners._channels import ChannelPruner
from lightning_snn.pruners._channels import Scores
from lightning_snn.pruners._channels import best
from lightning_snn.pruners._channels import floors
from lightning_snn.pruners._layer_shares import top
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.bench import largest_count
from lightning_snn.pruners.masks import network_of
from lightning_snn.surgery import ChannelGroup
from lightning_snn.surgery import ChannelPlan

Floats = NDArray[np.float64]

SIGNALS = ("gates", "gamma")
SETTLED = 0.75
"""Share of the training after which no channel comes or goes any more. Ours."""
SIGNAL_BATCHES = 8
"""Batches at the end of an epoch whose gate gradients decide what is regrown."""


class SCA(ChannelPruner):
    """Prune and regrow channels in every epoch of a training from scratch."""

    name = "sca"
    unranked = "it has no batch norm, or no neurons with its channels behind it"
    trains = True

    def __init__(
        self,
        *,
        bench: Bench,
        target: float | None = None,
        keep: float | None = None,
        low: float = LOW,
        regrow: float = 0.2,
        signal: str = "gates",
    ) -> None:
        """Say how much is pruned, and how.

        Args:
            bench: Training data to measure on.
            target: Share of the dense SynOps that is kept; a half by default.
            keep: In place of it, share of all channels that is kept, between 0 and 1.
            low: Least share of its channels that each group keeps.
            regrow: Share of the kept channels that are chosen anew among the pruned ones, at first; 0: prune only.
                (The authors keep 0.1 + 0.2 or 0.8 + 0.1 of all channels.)
            signal: ``gates`` (closed channels keep their weights, and are ranked by the gradient of their gate over
                the last batches of the epoch) or ``gamma`` (published: weights are set to zero once, and channels are
                ranked by the gradient of their batch-norm scale in the last batch).

        Raises:
            PruningError: If an option is out of range, or both say how much.
        """
        super().__init__(bench=bench, target=target, keep=keep, low=low)
        if not 0.0 <= regrow < 1.0:
            raise PruningError(f"pruning.options.regrow must lie between 0 and 1, found {regrow:g}.")
        if signal not in SIGNALS:
            raise PruningError(f"pruning.options.signal must be one of {', '.join(SIGNALS)}, found {signal!r}.")
        self.regrow, self.signal = regrow, signal
        self._quick = replace(bench, batches=bench.batches[:1])
        self._open: list[bool] = []  # of all channels, once an epoch is over
        self._activity: list[float] = []  # of all channels, in the last epoch
        self._regrown = 0  # channels that come back in this epoch

    def accept(self, network: nn.Module) -> None:
        """Refuse a network whose channels cannot be removed, or of whose neurons the potential is not known."""
        super().accept(network)
        with evaluating(network), torch.no_grad(), ActivityMeter(network):
            run_network(network, self.bench.example)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the channels and their neurons, while the network is still on the CPU."""
        network = network_of(pl_module)
        self._plan = self.bench.plan(network)
        self._plan_starts = np.cumsum([0, *(group.width for group in self._plan.groups)])
        self._neurons = next_neurons(network, self.bench.example)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gate the channels, and watch the neurons.

        Raises:
            PruningError: If an epoch has a single batch: channels are ranked by the first ones, regrown by the last.
        """
        if int(trainer.num_training_batches) < 2:
            raise PruningError("Pruner 'sca' needs at least 2 batches an epoch, found 1. Lower data.batch_size.")
        network = network_of(pl_module)
        self._gates = ChannelGates(network, self._plan)
        if self._open:
            self._gates.set(torch.tensor(self._open, device=pl_module.device))
        if self.signal == "gates":
            self._gates.attach()
        self._meter = ActivityMeter(network, training_only=True)
        self._meter.__enter__()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Close all candidates before the last batches of the epoch, whose gradients then speak for all alike."""
        batches = int(trainer.num_training_batches)
        if self.signal == "gates" and batch_idx == max(batches - SIGNAL_BATCHES, (batches + 1) // 2):
            self._gates.set(self._most_active(trainer, pl_module))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Leave closed channels as they are."""
        if self.signal == "gates":
            self._gates.hold(trainer.optimizers)

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring back the channels whose gradients promise most."""
        kept_G = self._gates.open_G if self.signal == "gates" else self._most_active(trainer, pl_module)
        gradients_G = self._gates.gradients() if self.signal == "gates" else self._gates.scale_gradients()
        gradients_G = trainer.strategy.reduce(gradients_G, reduce_op="mean").masked_fill(kept_G, -1.0)
        open_G = kept_G.clone()
        open_G[top(gradients_G, self._regrown)] = True
        if self.signal == "gates":
            self._gates.set(open_G)
        else:
            self._gates.silence(~open_G)
        self._open = open_G.tolist()
        self._meter.clear()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the network alone."""
        self._gates.detach()
        self._meter.__exit__(None, None, None)

    def state_dict(self) -> dict[str, Any]:
        """Return which channels are open, and how active all were."""
        return {"open": self._open, "activity": self._activity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the channels of the checkpoint."""
        self._open, self._activity = state_dict["open"], state_dict["activity"]

    def scores(self, network: nn.Module, plan: ChannelPlan) -> Scores:
        """Return the activity of the channels that are open; the others go.

        Raises:
            PruningError: If the network was not trained with this pruner.
        """
        if not self._open:
            raise PruningError("Pruner 'sca' prunes what was trained with it, found an untrained one. Train first.")
        return self._by_group(np.where(self._open, self._activity, -np.inf))

    def _most_active(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Tensor:
        """Return which open channels this epoch's pruning leaves, and note how many others may come back."""
        means = {
            name: trainer.strategy.reduce(mean_C, reduce_op="mean") for name, mean_C in self._meter.means().items()
        }
        network = network_of(pl_module)
        self._activity = [
            float(each) for group in self._plan.groups for each in self._activity_of(network, group, means)
        ]
        open_now = np.array(self._open or [True] * len(self._activity))
        by_activity = self._by_group(np.where(open_now, self._activity, -1.0))
        progress = min(1.0, (trainer.current_epoch + 1) / (SETTLED * (trainer.max_epochs or 1)))
        count = self._count(network, by_activity, progress)
        kept = min(count - round(count * self.regrow * (1.0 - progress)), int(open_now.sum()))
        self._regrown = count - kept
        kept_G = torch.zeros(len(open_now), dtype=torch.bool)
        for start, channels in zip(self._gates.starts, best(by_activity, kept, self.low).values(), strict=False):
            kept_G[torch.tensor(channels) + int(start)] = True
        return kept_G.to(pl_module.device)

    def _count(self, network: nn.Module, scores: Scores, progress: float) -> int:
        """Return how many channels stay in this epoch: the share, or the budget, shrinks to the wanted one."""
        least, most = sum(floors(scores, self.low).values()), sum(map(len, scores.values()))
        if self.keep is not None:
            return max(least, round(most * (1.0 - (1.0 - self.keep) * progress)))
        assert self.target is not None
        self._gates.detach()  # hooks would be copied with the network
        try:
            whole = self._quick.synops(network)  # an early network fires otherwise than the trained dense one
            budget = (1.0 - progress) * whole + progress * self.target * self._quick.dense_synops

            def fits(count: int) -> bool:
                return self._quick.synops(self._plan.shrink(network, best(scores, count, self.low))) <= budget

            return largest_count(least, most, fits)
        finally:
            if self.signal == "gates":
                self._gates.attach()

    def _activity_of(self, network: nn.Module, group: ChannelGroup, means: Mapping[str, Tensor]) -> Floats:
        """Return the mean activity of a group's channels over its neurons; infinity where there is nothing to gate."""
        if not any(use.side == "norm" for use in self._plan.positions(group.name)):
            return np.full(group.width, np.inf)
        found = []
        for use in self._plan.positions(group.name):
            if use.side == "out":
                activity_C = channel_activity(network, use.layer, self._neurons.get(use.layer), means)
                if activity_C is not None:
                    found.append(activity_C.cpu().numpy()[use.positions_CP].mean(axis=1))
        return np.asarray(np.mean(found, axis=0)) if found else np.full(group.width, np.inf)

    def _by_group(self, values_G: Floats) -> Scores:
        names = [group.name for group in self._plan.groups]
        return dict(zip(names, np.split(values_G, self._plan_starts[1:-1]), strict=True))
