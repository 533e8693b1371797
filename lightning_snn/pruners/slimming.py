"""Network Slimming: L1 on the batch-norm scales while training, one global threshold on them, channels removed."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_snn.errors import PruningError
from lightning_snn.pruners._channels import LOW
from lightning_snn.pruners._channels import ChannelPruner
from lightning_snn.pruners._channels import Scores
from lightning_snn.pruners.bench import Bench
from lightning_snn.surgery import ChannelPlan


class Slimming(ChannelPruner):
    """Liu et al., "Learning efficient convolutional networks through network slimming" (ICCV 2017).

    The subgradient ``l1 * sign(gamma)`` is added to the gradient of every batch-norm scale, as in the authors' code.
    Channels that are tied are ranked by the mean of their scales (ours); groups without a batch norm stay whole.
    """

    name = "slimming"
    trains = True

    def __init__(
        self,
        *,
        bench: Bench,
        target: float | None = None,
        keep: float | None = None,
        low: float = LOW,
        l1: float = 1e-4,
    ) -> None:
        """Say how much is pruned.

        Args:
            bench: Training data to measure on.
            target: Share of the dense SynOps that is kept; a half by default.
            keep: In place of it, share of all channels that is kept, between 0 and 1.
            low: Least share of its channels that each group keeps.
            l1: Weight of the penalty; the authors use 1e-4, and 1e-5 for residual networks.

        Raises:
            PruningError: If an option is out of range, or both say how much.
        """
        super().__init__(bench=bench, target=target, keep=keep, low=low)
        if not 0.0 <= l1 < 1.0:
            raise PruningError(f"pruning.options.l1 must lie between 0 and 1, found {l1:g}. The authors use 1e-4.")
        self.l1 = l1

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the penalty's subgradient."""
        for module in pl_module.modules():
            if isinstance(module, _BatchNorm) and module.weight is not None:
                gamma: Any = module.weight
                if gamma.grad is not None:
                    gamma.grad.add_(gamma.detach().sign(), alpha=self.l1)

    def scores(self, network: nn.Module, plan: ChannelPlan) -> Scores:
        """Return the mean ``|gamma|`` of each channel over the group's batch norms."""
        scores = {}
        for group in plan.groups:
            uses = [use for use in plan.positions(group.name) if use.side == "norm"]
            scales = [
                scale.detach().abs().double().cpu().numpy()[use.positions_CP].mean(axis=1)
                for use in uses
                if isinstance(scale := getattr(network.get_submodule(use.layer), "weight", None), Tensor)
            ]
            scores[group.name] = np.mean(scales, axis=0) if scales else np.full(group.width, np.inf)
        return scores
