"""Losses, steps and metrics worked by hand; no state leaks; a Trainer keeps all its features.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes, N samples.
"""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn
from torch.utils.data import DataLoader

from lightning_snn.classifier import SpikingClassifier
from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from tests.lightning_snn.tiny import Echo
from tests.lightning_snn.tiny import classifier
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import loader
from tests.lightning_snn.tiny import quiet_trainer
from tests.lightning_snn.tiny import tiny_vgg

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's advice on workers and log intervals


class Scale(nn.Module):
    """Logits are one weight times the input: gradients can be worked by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = layer.Flatten(step_mode="m")
        self.weight = nn.Parameter(torch.tensor(math.log(3.0), dtype=torch.float64))

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.weight * self.flatten(x_TBCHW)
        return logits_TBK


# Two steps, one sample of class 1. Probabilities: (1/4, 3/4), then (1/2, 1/2). Mean logits: (0, ln(3) / 2).
LOGITS_TBK = torch.tensor([[[0.0, math.log(3.0)]], [[0.0, 0.0]]], dtype=torch.float64)
SURPRISE_OF_MEAN = (math.log(1 + 1 / math.sqrt(3)), math.log(1 + math.sqrt(3)))  # of the right class, of the other
SURPRISE_OF_STEPS = ((math.log(4 / 3) + math.log(2)) / 2, (math.log(4) + math.log(2)) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mean_loss_by_hand(smoothing: float) -> None:
    right, wrong = SURPRISE_OF_MEAN
    expected = (1 - smoothing) * right + smoothing * (right + wrong) / 2
    found = classifier(label_smoothing=smoothing).loss(LOGITS_TBK, torch.tensor([1]))
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_tet_loss_by_hand(smoothing: float) -> None:
    right, wrong = SURPRISE_OF_STEPS
    surprise = (1 - smoothing) * right + smoothing * (right + wrong) / 2
    pull = (3 * 0.5**2 + (math.log(3) - 0.5) ** 2) / 4  # all logits of all steps, to phi = 0.5
    model = classifier(loss="tet", tet_lambda=0.25, tet_phi=0.5, label_smoothing=smoothing)
    assert float(model.loss(LOGITS_TBK, torch.tensor([1]))) == pytest.approx(0.75 * surprise + 0.25 * pull, rel=1e-12)


def test_tet_pairs_every_step_with_the_right_label() -> None:
    one, other = LOGITS_TBK, LOGITS_TBK.flip(2) * 2
    both_TBK = torch.cat([one, other], dim=1)
    model = classifier(loss="tet")
    separate = [float(model.loss(x, torch.tensor([y]))) for x, y in ((one, 1), (other, 0))]
    assert float(model.loss(both_TBK, torch.tensor([1, 0]))) == pytest.approx(sum(separate) / 2, rel=1e-12)


def test_sgd_steps_by_hand() -> None:
    # Input (1, 0), label 0: the gradient of -log p is p - 1 with p = 1 / (1 + exp(-w)); p = 3/4 at w = ln 3.
    network = Scale()
    model = classifier(network, num_classes=2, time_steps=1, learning_rate=0.1, momentum=0.9, weight_decay=0.4)
    x_NCHW = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(2, 2).reshape(2, 2, 1, 1)
    quiet_trainer(max_epochs=1, precision="64-true").fit(model, loader(x_NCHW, torch.zeros(2, dtype=torch.int64), 1))
    first = -0.25 + 0.4 * math.log(3)
    after_one = math.log(3) - 0.1 * first
    second = 1 / (1 + math.exp(-after_one)) - 1 + 0.4 * after_one
    after_two = after_one - 0.05 * (0.9 * first + second)  # the cosine is at one half
    assert float(network.weight) == pytest.approx(after_two, rel=1e-12)


def test_adamw_steps_by_hand() -> None:
    network = Scale()
    model = classifier(network, num_classes=2, time_steps=1, optimizer="adamw", learning_rate=0.1, weight_decay=0.4)
    x_NCHW = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    quiet_trainer(max_epochs=1, precision="64-true").fit(model, loader(x_NCHW, torch.zeros(1, dtype=torch.int64), 1))
    # decay apart from the gradient, whose first normalised step is its sign
    assert float(network.weight) == pytest.approx(math.log(3) * (1 - 0.1 * 0.4) + 0.1, rel=1e-6)


def test_a_parameter_may_bring_settings_of_its_own() -> None:
    network = Scale()
    network.own = nn.Parameter(torch.tensor(math.log(3.0), dtype=torch.float64))
    network.own._optim = {"lr": 0.2, "weight_decay": 0.0}  # type: ignore[attr-defined]  # S4's convention
    network.register_forward_pre_hook(lambda module, args: (args[0] * 1.0 + 0.0 * module.own,))
    model = classifier(network, num_classes=2, time_steps=1, learning_rate=0.1, momentum=0.0, weight_decay=0.4)
    monitor = Course()
    x_NCHW = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(2, 2).reshape(2, 2, 1, 1)
    trainer = quiet_trainer(max_epochs=1, precision="64-true", callbacks=[monitor])
    trainer.fit(model, loader(x_NCHW, torch.zeros(2, dtype=torch.int64), 1))
    assert monitor.rates == [[0.1, 0.2], [0.05, 0.1]]  # one cosine, of each group's own peak
    assert float(network.own) == math.log(3.0)  # no gradient, and no decay
    assert float(network.weight) < math.log(3.0)


class Course(pl.Callback):
    """Notes the learning rate of each group before each step."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.rates.append([group["lr"] for group in optimizer.param_groups])


def test_without_them_all_parameters_are_one_group_in_order() -> None:
    model, network = classifier(), tiny_vgg()
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(*images(4), 4))
    (group,) = trainer.optimizers[0].param_groups
    assert [id(each) for each in group["params"]] == [id(each) for each in model.network.parameters()]
    assert len(group["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("optimizer", "adam", "training.optimizer must be 'sgd' or 'adamw', found 'adam'"),
        ("loss", "ce", "training.loss must be 'mean' or 'tet', found 'ce'"),
    ],
)
def test_an_unknown_recipe_is_refused(option: str, value: str, message: str) -> None:
    recipe: dict[str, Any] = {option: value}
    with pytest.raises(NetworkError, match=message):
        classifier(**recipe)


@pytest.mark.parametrize("stage", ["val", "test"])
def test_metrics_by_hand_with_a_short_last_batch(stage: str) -> None:
    # The average over time decides: one sample's last step and another's first step point elsewhere.
    frames_BTK = torch.tensor(
        [[[0, 4], [1, 0]], [[1, 0], [0, 4]], [[3, 0], [3, 0]], [[2, 0], [0, 0]], [[0, 2], [0, 2]]], dtype=torch.float64
    )
    y_B = torch.tensor([1, 0, 0, 0, 0])
    # logit of class 1 minus logit of class 0, averaged over the two steps
    margins, labels = np.array([1.5, 1.5, -3.0, -1.0, 2.0]), y_B.numpy()
    losses = np.log1p(np.exp(np.where(labels == 1, -margins, margins)))
    trainer = quiet_trainer(precision="64-true")
    model = classifier(Echo(), num_classes=2, time_steps=2)
    run = trainer.validate if stage == "val" else trainer.test
    found = run(model, loader(frames_BTK[..., None, None], y_B, 2), verbose=False)[0]
    assert found[f"{stage}_accuracy"] == pytest.approx(3 / 5)
    assert found[f"{stage}_loss"] == pytest.approx(losses.mean(), rel=1e-6)


def test_training_metrics_are_of_the_epoch() -> None:
    # weight ln 3 and rate 0: the right class has probability 3/4, 3/4 and 1/4
    frames_BTK = torch.tensor([[[0, 1]], [[1, 0]], [[1, 0]]], dtype=torch.float64)
    model, trainer = classifier(Scale(), num_classes=2, time_steps=1, learning_rate=0.0), quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(frames_BTK[..., None, None], torch.tensor([1, 0, 1]), 2))
    assert float(trainer.callback_metrics["train_accuracy"]) == pytest.approx(2 / 3)
    assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(math.log(4) - 2 / 3 * math.log(3))


def validated(batch_sizes: list[int]) -> list[tuple[float, float]]:
    """Loss and accuracy of one network, validated again and again."""
    model, trainer = classifier(), quiet_trainer(precision="64-true")
    x_NCHW, y_N = images(10)
    results = []
    for batch_size in batch_sizes:
        found = trainer.validate(model, loader(x_NCHW.double(), y_N, batch_size), verbose=False)[0]
        results.append((found["val_loss"], found["val_accuracy"]))
    return results


def test_validation_depends_neither_on_batch_size_nor_on_being_run_twice() -> None:
    first, *others = validated([10, 10, 5, 4, 4, 1])
    for other in others:
        assert other == pytest.approx(first, rel=1e-6)


def test_without_the_reset_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would hold for neurons that remember nothing."""
    monkeypatch.setattr(functional, "reset_net", lambda network: None)
    once, twice, halves, *_ = validated([10, 10, 5, 5])
    assert twice != pytest.approx(once, rel=1e-3)
    assert halves != pytest.approx(once, rel=1e-3)


def test_a_second_training_step_starts_from_clean_neurons() -> None:
    model, (x_NCHW, y_N) = classifier(), images(4)
    for _ in range(2):
        model.zero_grad()
        torch.autograd.backward(
            model.loss(model(x_NCHW), y_N)
        )  # raises where state is carried over: its graph is freed


def test_prediction_is_the_average_over_time_with_or_without_labels() -> None:
    model, (x_NCHW, y_N) = classifier(), images(5)
    for data in (loader(x_NCHW, y_N, 2), DataLoader(x_NCHW, 2)):  # type: ignore[arg-type]  # a tensor is a dataset
        scores_NK = torch.cat(quiet_trainer().predict(model, data))  # type: ignore[arg-type]  # one loader, one list
        with torch.no_grad():
            expected_NK = run_network(model.network.eval(), x_NCHW.expand(3, 5, 1, 4, 4)).mean(dim=0)
        assert torch.allclose(scores_NK, expected_NK, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"loss": "tet"}, {"optimizer": "adamw", "learning_rate": 0.01}])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_learns_in_every_recipe_and_precision(precision: str, options: dict[str, Any]) -> None:
    model, trainer = classifier(**options), quiet_trainer(max_epochs=12, precision=precision)
    data = loader(*images(24), 8)
    torch.manual_seed(0)
    trainer.fit(model, data)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert trainer.validate(model, data, verbose=False)[0]["val_accuracy"] > 0.8  # chance is a third
    assert math.isfinite(float(trainer.callback_metrics["val_loss"]))


def test_the_first_epochs_may_show_images_once_while_training() -> None:
    class Watched(Echo):
        """Notes T of each pass, and whether it was one of training."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))  # something for the optimizer
            self.seen: list[tuple[bool, int]] = []

        def forward(self, x_TBCHW: Tensor) -> Tensor:
            self.seen.append((self.training, len(x_TBCHW)))
            return self.scale * super().forward(x_TBCHW)

    network, data = Watched(), loader(torch.rand(4, 2, 1, 1), torch.tensor([0, 1, 0, 1]), 4)
    model = classifier(network, num_classes=2, time_steps=3, single_step_epochs=2)
    quiet_trainer(max_epochs=3).fit(model, data, data)
    assert network.seen == [(True, 1), (False, 3), (True, 1), (False, 3), (True, 3), (False, 3)]


def test_every_epoch_and_every_seed_has_a_random_stream_of_its_own() -> None:
    class Draws(pl.Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_train_batch_start(self, *_: Any) -> None:
            self.seen.append(float(torch.rand(1)))

    seen = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        draws = Draws()
        torch.manual_seed(noise)
        quiet_trainer(max_epochs=2, callbacks=[draws]).fit(classifier(seed=seed), loader(*images(4), 4))
        seen.append(draws.seen)
    assert seen[0] == seen[1]  # whatever the global generator was at
    assert len({*seen[0], *seen[2]}) == 4


def test_a_trainer_keeps_its_callbacks_logger_and_checkpoints(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path / "best", monitor="val_accuracy", mode="max", save_top_k=1)
    stop = EarlyStopping("val_loss", patience=0, min_delta=1e9)
    trainer = quiet_trainer(
        max_epochs=5,
        callbacks=[best, stop, LearningRateMonitor(logging_interval="step")],
        logger=CSVLogger(tmp_path, name="log", version=0),
        enable_checkpointing=True,
        enable_model_summary=True,
        gradient_clip_val=1.0,
        accumulate_grad_batches=2,
        num_sanity_val_steps=1,
        log_every_n_steps=1,
    )
    x_NCHW, y_N = images(12)
    model, data = classifier(learning_rate=0.05, label_smoothing=0.1), loader(x_NCHW, y_N, 4)
    trainer.fit(model, data, data)
    assert stop.stopped_epoch == 1
    with (tmp_path / "log" / "version_0" / "metrics.csv").open() as file:
        columns = set(next(csv.reader(file)))
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr-SGD"} <= columns

    restored = SpikingClassifier.load_from_checkpoint(best.best_model_path, network=tiny_vgg(seed=9), weights_only=True)
    assert restored.hparams["label_smoothing"] == 0.1
    assert "network" not in restored.hparams
    again = trainer.validate(restored, data, verbose=False)[0]
    # there is one after a fit
    assert again["val_accuracy"] == pytest.approx(float(best.best_model_score))  # type: ignore[arg-type]  # Lightning says it may be None
