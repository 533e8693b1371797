"""The learning rate of every step, worked by hand, however the trainer counts its steps."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import pytorch_lightning as pl
from torch.utils.data import DataLoader
from torch.utils.data import IterableDataset

from lightning_snn.classifier import warmup_cosine
from lightning_snn.errors import NetworkError
from tests.lightning_snn.tiny import classifier
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import loader
from tests.lightning_snn.tiny import quiet_trainer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's advice on workers and log intervals


class Rates(pl.Callback):
    """Remembers the learning rate of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        self.seen.append(optimizer.param_groups[0]["lr"])


def test_warmup_is_linear_and_then_half_a_cosine() -> None:
    # sqrt(1/2) from cos(45 degrees)
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0.0]
    assert [warmup_cosine(step, 4, 8) for step in range(9)] == pytest.approx(expected, abs=1e-12)
    assert [warmup_cosine(step, 0, 2) for step in range(3)] == pytest.approx([1.0, 0.5, 0.0], abs=1e-12)


@pytest.mark.parametrize(
    ("length", "batch_size", "shares"),
    [
        ({"max_epochs": 2}, 1, [0.25, 0.5, 0.75, 1.0, 1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ({"max_steps": 6}, 1, [0.25, 0.5, 0.75, 1.0, 1.0, 0.5]),
        ({"max_epochs": 2, "accumulate_grad_batches": 3}, 1, [0.5, 1.0, 1.0, 0.5]),  # 3 + 1 batches an epoch
    ],
)
def test_one_epoch_of_warmup_is_one_epoch_however_the_trainer_counts(
    length: dict[str, int], batch_size: int, shares: list[float]
) -> None:
    rates = Rates()
    model = classifier(learning_rate=0.2, warmup_epochs=1)
    quiet_trainer(callbacks=[rates], **length).fit(model, loader(*images(4), batch_size))
    assert rates.seen == pytest.approx([0.2 * share for share in shares], abs=1e-12)


class Stream(IterableDataset[Any]):
    """Four samples, but it does not say so."""

    def __iter__(self) -> Iterator[Any]:
        yield from zip(*images(4), strict=True)


def test_a_training_without_an_end_is_refused() -> None:
    for epochs, data in ((-1, loader(*images(4), 2)), (2, DataLoader(Stream()))):
        with pytest.raises(NetworkError, match=r"does not know its end. Call Trainer\(max_epochs=...\), or"):
            quiet_trainer(max_epochs=epochs).fit(classifier(), data)


def test_a_stream_of_data_is_trained_on_for_some_steps() -> None:
    rates = Rates()
    quiet_trainer(max_steps=4, callbacks=[rates]).fit(classifier(learning_rate=0.2), DataLoader(Stream()))
    # 0, 45, 90 and 135 degrees of the cosine
    assert rates.seen == pytest.approx([0.2, 0.1 + 0.1 * math.sqrt(0.5), 0.1, 0.1 - 0.1 * math.sqrt(0.5)])
