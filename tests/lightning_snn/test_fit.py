"""A kill does not change the outcome; Lightning is quiet; a checkpoint from elsewhere is refused, never executed."""

import contextlib
import logging
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import nn

from datamodules.digits import DigitsDataModule
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import NetworkError
from lightning_snn.fit import fit

CPU = {"accelerator": "cpu", "devices": 1}


class Killed(Exception):
    pass


class Kill(Callback):
    """Raises in one hook of one epoch, as a kill would."""

    def __init__(self, hook: str, epoch: int, error: BaseException) -> None:
        def strike(trainer: pl.Trainer, *_: Any) -> None:
            if trainer.current_epoch == epoch:
                raise error

        setattr(self, hook, strike)


class Epochs(Callback):
    """Counts the epochs that were trained here."""

    def __init__(self) -> None:
        self.trained: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.trained.append(trainer.current_epoch)


def network(width: int = 4) -> nn.Module:
    """Fresh weights, always the same, with dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            layer.Conv2d(1, width, 3, padding=1),
            layer.BatchNorm2d(width),
            neuron.LIFNode(detach_reset=True),
            layer.MaxPool2d(2),
            layer.Flatten(),
            layer.Dropout(0.5),
            layer.Linear(16 * width, 10),
        )
    functional.set_step_mode(net, "m")
    return net


def train(
    net: nn.Module,
    *,
    checkpoints: Path | None = None,
    callbacks: Sequence[Callback] = (),
    epochs: int = 4,
    noise: int = 0,
    recipe: dict[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """Train on augmented digits; ``noise`` is where the global generators happen to be."""
    random.seed(noise)
    np.random.seed(noise)
    torch.manual_seed(noise)
    data = DigitsDataModule(seed=0, train_samples=32, validation_samples=16, batch_size=16, augment=True)
    recipe = {"optimizer": "sgd", "learning_rate": 0.1, "warmup_epochs": 1, **(recipe or {})}
    fit(
        net,
        data,
        epochs=epochs,
        seed=3,
        num_classes=10,
        time_steps=2,
        recipe=recipe,
        trainer=CPU,
        checkpoints=checkpoints,
        callbacks=callbacks,
        **options,
    )
    return net


def weights(net: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in net.state_dict().items()}


@pytest.fixture(scope="module")
def straight() -> dict[str, bytes]:
    return weights(train(network(), noise=1))


@pytest.mark.parametrize(
    ("hook", "trained"),
    [
        ("on_train_epoch_start", [2, 3]),  # epochs 0 and 1 are kept
        ("on_train_batch_end", [2, 3]),
        ("on_train_epoch_end", [2, 3]),  # struck before the checkpoint of epoch 2 is written
    ],
)
@pytest.mark.parametrize("validate", [False, True])
def test_resumed_equals_straight_bit_for_bit(
    hook: str, trained: list[int], validate: bool, straight: dict[str, bytes], tmp_path: Path
) -> None:
    kill, epochs = Kill(hook, 2, Killed()), Epochs()
    with pytest.raises(Killed):
        train(network(), checkpoints=tmp_path, callbacks=[kill], noise=2, validate=validate)
    resumed = train(network(), checkpoints=tmp_path, callbacks=[epochs], noise=3, validate=validate)
    assert epochs.trained == trained
    assert weights(resumed) == straight


def test_killed_and_moved_again_and_again_equals_straight(straight: dict[str, bytes], tmp_path: Path) -> None:
    for epoch in range(4):
        kill = Kill("on_train_batch_end", epoch, Killed())
        with pytest.raises(Killed):
            train(network(), checkpoints=tmp_path / str(epoch), callbacks=[kill], noise=epoch)
        (tmp_path / str(epoch)).mkdir(exist_ok=True)
        (tmp_path / str(epoch)).rename(tmp_path / str(epoch + 1))
    assert weights(train(network(), checkpoints=tmp_path / "4")) == straight
    assert [file.name for file in (tmp_path / "4").iterdir()] == ["last.ckpt"]


def test_adamw_resumes_bit_for_bit(tmp_path: Path) -> None:
    recipe = {"optimizer": "adamw", "learning_rate": 0.01, "loss": "tet", "label_smoothing": 0.1}
    straight = weights(train(network(), recipe=recipe))
    with pytest.raises(Killed):
        train(
            network(),
            checkpoints=tmp_path,
            callbacks=[Kill("on_train_epoch_start", 1, Killed())],
            recipe=recipe,
        )
    assert weights(train(network(), checkpoints=tmp_path, recipe=recipe)) == straight


def test_what_a_resumed_training_must_restore_does_matter(straight: dict[str, bytes]) -> None:
    """Else equality would prove nothing: another seed and a shorter training end elsewhere."""
    assert weights(train(network(), epochs=3)) != straight
    assert weights(network()) != straight


def test_a_network_that_is_frozen_is_refused() -> None:
    frozen, recipe = network().requires_grad_(False), {"optimizer": "sgd", "learning_rate": 0.1}
    with pytest.raises(NetworkError, match="All parameters of Sequential are frozen"):
        fit(frozen, DigitsDataModule(seed=0), epochs=1, seed=0, num_classes=10, time_steps=2, recipe=recipe)


def test_a_finished_training_is_not_trained_further(straight: dict[str, bytes], tmp_path: Path) -> None:
    epochs = Epochs()
    train(network(), checkpoints=tmp_path)
    again = train(network(), checkpoints=tmp_path, callbacks=[epochs])
    assert epochs.trained == []
    assert weights(again) == straight


def test_a_training_says_whether_anything_was_left(tmp_path: Path) -> None:
    data = DigitsDataModule(seed=0, train_samples=32, validation_samples=16, batch_size=16)
    options: dict[str, Any] = {"epochs": 1, "seed": 0, "num_classes": 10, "time_steps": 2, "recipe": {}}
    trainings = [fit(network(), data, trainer=CPU, checkpoints=tmp_path, **options) for _ in range(2)]
    assert trainings == [True, False]
    # one that is finished is only loaded, by this process alone: two would have to be started by a command
    assert fit(network(), data, trainer={**CPU, "devices": 2}, checkpoints=tmp_path, **options) is False


def test_the_network_is_left_in_evaluation_mode_with_clean_neurons(straight: dict[str, bytes]) -> None:
    net = train(network(), epochs=1)
    assert not any(module.training for module in net.modules())
    assert all(module.v == 0.0 for module in net.modules() if isinstance(module, neuron.LIFNode))


def test_a_network_that_was_in_evaluation_mode_is_trained_alike(straight: dict[str, bytes]) -> None:
    measured = network().eval()
    before = measured.state_dict()
    statistics = {name: value.clone() for name, value in before.items() if "running" in name}
    trained = weights(train(measured))
    assert trained == straight
    assert statistics
    assert all(not torch.equal(value, measured.state_dict()[name]) for name, value in statistics.items())


def test_without_checkpoints_nothing_is_written_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.chdir(tmp_path)
    train(network(), epochs=1, validate=True)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert list(recwarn) == []


def test_resuming_is_quiet_and_keeps_one_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "pytorch_lightning")
    with pytest.raises(Killed):
        train(network(), checkpoints=tmp_path / "kept", callbacks=[Kill("on_train_epoch_start", 2, Killed())])
    train(network(), checkpoints=tmp_path / "kept", epochs=4)
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")] == ["kept", "kept/last.ckpt"]
    assert capfd.readouterr() == ("", "")
    assert list(recwarn) == []
    assert caplog.records == []
    assert logging.getLogger("pytorch_lightning").level == logging.INFO


def test_a_logger_and_callbacks_get_validation_metrics(tmp_path: Path) -> None:
    train(network(), epochs=2, validate=True, logger=CSVLogger(tmp_path, name="log", version=0))
    lines = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} <= set(lines[0].split(","))


def test_an_interrupt_by_the_user_stays_one(tmp_path: Path) -> None:
    """Lightning would end the process with exit code 1."""
    with pytest.raises(KeyboardInterrupt):
        train(network(), checkpoints=tmp_path, callbacks=[Kill("on_train_batch_end", 1, KeyboardInterrupt())])
    assert (tmp_path / "last.ckpt").exists()


def test_a_callback_may_end_the_process() -> None:
    with pytest.raises(SystemExit, match="7"):
        train(network(), epochs=1, callbacks=[Kill("on_train_batch_end", 0, SystemExit(7))])


class Hostile:
    """Makes a file where it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("form", ["torch", "pickle", "inside a checkpoint"])
def test_a_hostile_checkpoint_is_refused_not_executed(form: str, tmp_path: Path) -> None:
    proof, file = tmp_path / "executed", tmp_path / "last.ckpt"
    if form == "torch":
        torch.save(Hostile(proof), file)
    elif form == "pickle":
        file.write_bytes(pickle.dumps(Hostile(proof)))
    else:
        train(network(), checkpoints=tmp_path, epochs=1)
        torch.save({**torch.load(file, weights_only=True), "callbacks": Hostile(proof)}, file)
    with pytest.raises(ArtifactError, match=r"found UnpicklingError in .*last\.ckpt\. Delete this file") as error:
        train(network(), checkpoints=tmp_path)
    assert "\n" not in str(error.value)
    assert not proof.exists()
    with contextlib.suppress(RuntimeError):  # a bare pickle is executed first, then found to be no checkpoint
        torch.load(file, weights_only=False)
    assert proof.exists()  # so the test can fail


@pytest.mark.parametrize("content", ["empty", "truncated", "noise", "another dictionary", "a list"])
def test_a_broken_checkpoint_is_one_sentence(content: str, tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    train(network(), checkpoints=tmp_path, epochs=1)
    if content in ("another dictionary", "a list"):
        torch.save({"weights": 1} if content == "another dictionary" else [1, 2], file)
    else:
        whole = file.read_bytes()
        file.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "noise": b"\x07" * 100}[content])
    with pytest.raises(ArtifactError, match=r"found \w+ in .*last\.ckpt\. Delete this file to train anew\.$"):
        train(network(), checkpoints=tmp_path, epochs=1)


@pytest.mark.parametrize("change", ["network", "recipe", "length"])
def test_a_checkpoint_of_another_training_is_refused(change: str, tmp_path: Path) -> None:
    train(network(), checkpoints=tmp_path, epochs=2)
    before = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(
        ArtifactError, match=r"same network, recipe and number of epochs, found another in .*last\.ckpt"
    ):
        train(
            network(width=5 if change == "network" else 4),
            checkpoints=tmp_path,
            epochs=1 if change == "length" else 2,
            recipe={"momentum": 0.5} if change == "recipe" else {},
        )
    assert (tmp_path / "last.ckpt").read_bytes() == before
