"""One LightningModule that trains and fine-tunes any spiking classifier.

Loss ``mean``: cross-entropy of the logits averaged over time. Loss ``tet`` (Deng et al., ICLR 2022):
``(1 - lambda) mean_t CE(logits[t]) + lambda MSE(logits, phi)``. Prediction: argmax of the time average.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.forward import to_time_first
from lightning_snn.seeds import seed_for

Batch = tuple[Tensor, Tensor]


class SpikingClassifier(pl.LightningModule):
    """Train a network of SpikingJelly layers on batches ``(x, y)``.

    Every step of every stage starts from reset neurons (see ``run_network``). Logged: ``train_loss``,
    ``train_accuracy``, ``val_loss``, ``val_accuracy``, ``test_loss``, ``test_accuracy``, accuracies in [0, 1].

    Of several processes (DDP), each runs its share of every epoch with batches of its own: gradients and logged
    figures are averaged over them, membrane potentials are not shared, and batch norms are not synchronised. Each
    normalises by its own batch, and the running statistics that are kept are those of the first process.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_classes: int,
        time_steps: int,
        seed: int,
        optimizer: str = "sgd",
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-5,
        warmup_epochs: int = 0,
        label_smoothing: float = 0.0,
        loss: str = "mean",
        tet_lambda: float = 0.05,
        tet_phi: float = 1.0,
        single_step_epochs: int = 0,
    ) -> None:
        """Hold the network and the recipe.

        Args:
            network: Takes ``[T, B, C, H, W]``, returns ``[T, B, K]``.
            num_classes: K.
            time_steps: T; images are shown that often.
            seed: Root of the streams that dropout and augmentation draw from.
            optimizer: ``sgd`` or ``adamw``.
            learning_rate: Peak learning rate; cosine decay to 0 after the warm-up, by step.
            momentum: Of SGD.
            weight_decay: On all parameters.
            warmup_epochs: Epochs of linear rise at the start.
            label_smoothing: In [0, 1).
            loss: ``mean`` or ``tet``.
            tet_lambda: Weight of the second term of TET.
            tet_phi: Value that this term pulls the logits to (the threshold, as in TET's CIFAR setting).
            single_step_epochs: Epochs at the start that show an image once, which costs a T-th of a step. Only for
                images. Ours.

        Raises:
            NetworkError: If the optimizer or the loss has another name.
        """
        super().__init__()
        if optimizer not in ("sgd", "adamw"):
            raise NetworkError(f"training.optimizer must be 'sgd' or 'adamw', found {optimizer!r}.")
        if loss not in ("mean", "tet"):
            raise NetworkError(f"training.loss must be 'mean' or 'tet', found {loss!r}.")
        self.save_hyperparameters(ignore=["network"])
        self.network = network
        self.accuracies = nn.ModuleDict(  # "train" alone would hide a method of the dictionary
            {stage: MulticlassAccuracy(num_classes, average="micro") for stage in ("train_", "val_", "test_")}
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every step, ``[T, B, K]``, for images ``[B, C, H, W]`` or frames ``[B, T, C, H, W]``."""
        return run_network(self.network, to_time_first(x, self._time_steps()))

    def _time_steps(self) -> int:
        """Return T, or 1 in the first epochs of a training that asks for it."""
        early = self.training and self.current_epoch < self.hparams["single_step_epochs"]
        return 1 if early else int(self.hparams["time_steps"])

    def loss(self, logits_TBK: Tensor, y_B: Tensor) -> Tensor:
        """Return the scalar training loss of the recipe."""
        smoothing = self.hparams["label_smoothing"]
        if self.hparams["loss"] == "mean":
            return F.cross_entropy(logits_TBK.mean(dim=0), y_B, label_smoothing=smoothing)
        y_N = y_B.repeat(logits_TBK.shape[0])
        every_step = F.cross_entropy(logits_TBK.flatten(0, 1), y_N, label_smoothing=smoothing)
        pull = F.mse_loss(logits_TBK, torch.full_like(logits_TBK, self.hparams["tet_phi"]))
        share = float(self.hparams["tet_lambda"])
        return (1.0 - share) * every_step + share * pull

    def on_train_epoch_start(self) -> None:
        """Seed augmentation and dropout from (seed, epoch, rank), so that a resumed run equals a straight one."""
        torch.manual_seed(seed_for(self.hparams["seed"], "epoch", self.current_epoch, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of one batch."""
        self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of one batch."""
        self._step(batch, "test")

    def predict_step(self, batch: Batch | Tensor, batch_idx: int) -> Tensor:
        """Return class scores ``[B, K]``, the logits averaged over time."""
        logits_TBK: Tensor = self(batch if isinstance(batch, Tensor) else batch[0])
        return logits_TBK.mean(dim=0)

    def _step(self, batch: Batch, stage: str) -> Tensor:
        x, y_B = batch
        logits_TBK = self(x)
        loss = self.loss(logits_TBK, y_B)
        accuracy = self.accuracies[f"{stage}_"]
        assert isinstance(accuracy, MulticlassAccuracy)
        accuracy(logits_TBK.mean(dim=0), y_B)
        self.log(f"{stage}_loss", loss, batch_size=len(y_B), on_step=False, on_epoch=True, sync_dist=True)
        self.log(f"{stage}_accuracy", accuracy, batch_size=len(y_B), on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule: linear warm-up, then cosine to 0, by step."""
        parameters, recipe = _parameter_groups(self.network), self.hparams
        optimizer: torch.optim.Optimizer
        if recipe["optimizer"] == "sgd":
            optimizer = torch.optim.SGD(
                parameters,
                recipe["learning_rate"],
                momentum=recipe["momentum"],
                weight_decay=recipe["weight_decay"],
            )
        else:
            optimizer = torch.optim.AdamW(parameters, recipe["learning_rate"], weight_decay=recipe["weight_decay"])
        self.trainer.fit_loop.setup_data()  # with max_steps Lightning does not know the number of batches yet
        steps = self.trainer.estimated_stepping_batches
        if not 0 <= steps < math.inf:
            raise NetworkError(
                "The learning rate falls until the training ends, found a trainer that does not know its end. "
                "Call Trainer(max_epochs=...), or Trainer(max_steps=...) for loaders without a length."
            )
        epoch = math.ceil(min(steps, self.trainer.num_training_batches / self.trainer.accumulate_grad_batches))
        warmup = recipe["warmup_epochs"] * epoch
        schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return all parameters in order; those with an attribute ``_optim`` in groups that have their own settings.

    A dictionary such as ``{"lr": 0.05, "weight_decay": 0.0}``: the convention of the S4 repositories.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        groups.setdefault(tuple(sorted(getattr(parameter, "_optim", {}).items())), []).append(parameter)
    return [{"params": parameters, **dict(settings)} for settings, parameters in groups.items()]


def warmup_cosine(step: int, warmup: int, steps: float) -> float:
    """Return the share of the peak learning rate at ``step`` of ``steps``: linear rise, then half a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
