"""Promises that every data module keeps, written once: test classes inherit them.

Axes: N samples, B batch; an input ``x`` is a batch of images [B, C, H, W] or of frames [B, T, C, H, W].
"""

import warnings
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from pytorch_lightning import Trainer
from torch import Tensor
from torch import nn

from datamodules import DataError
from datamodules.base import BaseDataModule

Build = Callable[..., BaseDataModule]
Sample = tuple[bytes, int]


class Recorder(LightningModule):
    """A linear classifier that remembers every batch it is shown."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, classes)
        self.shown: dict[str, list[Tensor]] = {"train": [], "validate": [], "test": []}

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(1000 + self.current_epoch)

    def _loss(self, stage: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y_B = batch
        self.shown[stage].append(x.clone())
        return nn.functional.cross_entropy(self.layer(x.flatten(1)), y_B)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self._loss("train", batch)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self._loss("validate", batch)

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self._loss("test", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def quiet_trainer(**options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"num_sanity_val_steps": 0, **options},
    )


def recorder_for(module: BaseDataModule) -> Recorder:
    return Recorder(int(np.prod(module.sample_shape)), module.num_classes)


def inputs_of(loader: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    return torch.cat([x for x, _ in loader])


def labels_of(loader: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    return torch.cat([y_B for _, y_B in loader])


class DataModuleConformance:
    """Inherit, and give ``build``, ``everything`` and the two class attributes."""

    lowest: float
    """Smallest value that an input can have, worked by hand."""
    highest: float

    @pytest.fixture
    def build(self) -> Build:
        raise NotImplementedError("Return a function that makes the data module from keyword options.")

    @pytest.fixture
    def everything(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        raise NotImplementedError("Return all raw inputs [N, ...] and labels, read without the module.")

    def to_raw(self, x: Tensor) -> NDArray[np.uint8]:
        raise NotImplementedError("Undo the decoding, by arithmetic of your own.")

    def samples(self, loader: Iterable[tuple[Tensor, Tensor]]) -> list[Sample]:
        """Return raw bytes and label of every sample, in the order of loading."""
        return [
            (raw.tobytes(), int(label)) for x, y_B in loader for raw, label in zip(self.to_raw(x), y_B, strict=True)
        ]

    def test_takes_the_options_that_all_data_modules_share(self, build: Build, tmp_path: Path) -> None:
        options = {"root": str(tmp_path), "batch_size": 3, "eval_batch_size": 5, "validation_fraction": 0.3}
        module = build(**options, train_samples=7, validation_samples=8, test_samples=9, augment=True)
        assert module.batch_size == 3

    def test_says_in_one_sentence_where_its_splits_come_from(self, build: Build) -> None:
        policy = build().split_policy
        assert "test" in policy or "split" in policy or "set" in policy
        assert policy == " ".join(policy.split())

    def test_splits_are_disjoint_and_together_complete(
        self, build: Build, everything: tuple[NDArray[np.uint8], NDArray[np.int64]]
    ) -> None:
        module = build()
        found = Counter(self.samples(module.train_dataloader()))
        found += Counter(self.samples(module.val_dataloader()))
        found += Counter(self.samples(module.test_dataloader()))
        raw_N, labels_N = everything
        assert found == Counter((raw.tobytes(), int(y)) for raw, y in zip(raw_N, labels_N, strict=True))

    def test_same_seed_same_splits_whatever_else_is_asked(self, build: Build) -> None:
        one, other = build(), build(batch_size=7, eval_batch_size=9, augment=True)
        assert self.samples(one.val_dataloader()) == self.samples(other.val_dataloader())
        assert self.samples(one.test_dataloader()) == self.samples(other.test_dataloader())
        assert set(self.samples(one.train_dataloader())) == set(self.samples(other.train_dataloader()))

    def test_another_seed_another_split(self, build: Build) -> None:
        validation = [set(self.samples(build(seed=seed).val_dataloader())) for seed in (0, 1)]
        assert len(validation[0] & validation[1]) < 0.6 * len(validation[0])

    def test_every_class_has_its_share_of_every_split(
        self, build: Build, everything: tuple[NDArray[np.uint8], NDArray[np.int64]]
    ) -> None:
        module = build()
        size_K = np.bincount(everything[1], minlength=module.num_classes)
        for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
            found_K = np.bincount(labels_of(loader), minlength=module.num_classes)
            # rounded twice at most, to a whole sample each time
            assert np.abs(found_K - size_K * found_K.sum() / size_K.sum()).max() < 2

    def test_a_subset_is_stratified_and_lies_within_its_split(self, build: Build) -> None:
        whole = build()
        part = build(train_samples=20, validation_samples=10, test_samples=10)
        for loader, all_of_it, count in (
            (part.train_dataloader(), whole.train_dataloader(), 20),
            (part.val_dataloader(), whole.val_dataloader(), 10),
            (part.test_dataloader(), whole.test_dataloader(), 10),
        ):
            assert not Counter(self.samples(loader)) - Counter(self.samples(all_of_it))
            assert np.ptp(np.bincount(labels_of(loader), minlength=whole.num_classes)) <= 1
            assert len(labels_of(loader)) == count

    def test_a_subset_beyond_the_split_is_refused(self, build: Build) -> None:
        with pytest.raises(DataError, match=r"validation_samples asks for more .* 1000000 of"):
            build(validation_samples=1_000_000).setup("fit")

    def test_batches_have_the_promised_shapes_types_and_range(self, build: Build) -> None:
        module = build(batch_size=6, eval_batch_size=4)
        for loader, size in (
            (module.train_dataloader(), 6),
            (module.val_dataloader(), 4),
            (module.test_dataloader(), 4),
        ):
            x, y_B = next(iter(loader))
            assert x.shape == (size, *module.sample_shape)
            assert y_B.shape == (size,)
            assert (x.dtype, y_B.dtype) == (torch.float32, torch.int64)
            inputs = inputs_of(loader)
            assert inputs.min() >= self.lowest - 1e-5
            assert inputs.max() <= self.highest + 1e-5
            assert np.ptp(inputs.numpy()) > 0.9 * (self.highest - self.lowest)
            assert set(labels_of(loader).tolist()) == set(range(module.num_classes))

    def test_order_of_an_epoch_depends_on_seed_and_epoch_only(self, build: Build) -> None:
        forwards, backwards = build().train_dataloader(), build().train_dataloader()
        orders = {}
        for epoch in (0, 1, 2):
            forwards.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a DistributedSampler's
            orders[epoch] = self.samples(forwards)
        torch.manual_seed(99)
        for epoch in (2, 0, 1):
            backwards.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a DistributedSampler's
            assert self.samples(backwards) == orders[epoch]

    def test_epochs_and_seeds_differ_in_order(self, build: Build) -> None:
        orders = []
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1)):
            sampler = build(seed=seed).train_dataloader().sampler
            sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a DistributedSampler's
            orders.append(tuple(sampler))
        assert len(set(orders)) == 4  # (0, 1) and (1, 0) too: no seed + epoch

    def test_loading_draws_nothing_from_the_default_generators(self, build: Build) -> None:
        module = build(augment=True)
        # NumPy's state is a tuple unless another form is asked for
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # a tuple, as it is asked for
        for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
            inputs_of(loader)
        module.calibration_batches(2, 4)
        assert torch.equal(torch.get_rng_state(), before[0])
        # NumPy's state is a tuple unless another form is asked for
        assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]  # a tuple, as it is asked for

    def test_evaluation_shows_every_sample_once_in_a_fixed_order(self, build: Build) -> None:
        module = build()
        for loader in (module.val_dataloader(), module.test_dataloader()):
            assert torch.equal(inputs_of(loader), inputs_of(loader))
            assert len(labels_of(loader)) == len(loader.dataset)  # type: ignore[arg-type]  # a sized dataset

    def test_calibration_shows_training_inputs(self, build: Build) -> None:
        plain = build(train_samples=20)
        batches = plain.calibration_batches(2, 8)
        assert [len(x) for x, _ in batches] == [8, 8]
        training = self.samples(plain.train_dataloader())
        shown = self.samples(batches)
        assert not Counter(shown) - Counter(training)
        assert shown != training[:16]
        for one, other in zip(batches, plain.calibration_batches(2, 8), strict=True):
            assert all(map(torch.equal, one, other))

    def test_calibration_is_varied_as_training_is_and_always_alike(self, build: Build) -> None:
        plain, varied = build(train_samples=20), build(train_samples=20, augment=True)
        ((once, labels),), ((again, _),) = varied.calibration_batches(1, 16), varied.calibration_batches(1, 16)
        torch.manual_seed(1)
        ((later, _),) = varied.calibration_batches(1, 16)
        assert torch.equal(once, again)
        assert torch.equal(once, later)
        ((unvaried, same),) = plain.calibration_batches(1, 16)
        assert not torch.equal(once, unvaried)
        assert torch.equal(labels, same)

    def test_calibration_is_in_random_order(self, build: Build) -> None:
        module = build()
        unshuffled = torch.stack([module.train_dataloader().dataset[i][0] for i in range(16)])
        ((shown, _),), ((other, _),) = module.calibration_batches(1, 16), build(seed=1).calibration_batches(1, 16)
        assert not torch.equal(shown, unshuffled)
        assert not torch.equal(shown, other)

    def test_calibration_ends_where_whole_batches_run_out(self, build: Build) -> None:
        module = build(train_samples=20)
        assert [len(x) for x, _ in module.calibration_batches(9, 8)] == [8, 8]
        assert [len(x) for x, _ in module.calibration_batches(9, 64)] == [20]

    def test_only_test_dataloader_reads_the_test_split(self, build: Build) -> None:
        module = build(augment=True)

        def refuse() -> None:
            raise AssertionError("The test split was read.")

        module.read_test = refuse  # type: ignore[method-assign, assignment]  # replaced for the test
        module.prepare_data()
        for stage in ("fit", "validate", "test"):
            module.setup(stage)
        inputs_of(module.train_dataloader())
        inputs_of(module.val_dataloader())
        module.calibration_batches(1, 4)
        with pytest.raises(AssertionError, match="was read"):
            module.test_dataloader()

    def test_runs_under_a_trainer_without_a_warning(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        # Lightning asks for workers only where it sees cores to spare
        connector = "pytorch_lightning.trainer.connectors.data_connector"
        monkeypatch.setattr(f"{connector}.suggested_max_num_workers", lambda _: 16)
        module = build(augment=True)
        model = recorder_for(module)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=2, log_every_n_steps=1)
            trainer.fit(model, datamodule=module)
            trainer.validate(model, datamodule=module, verbose=False)
            trainer.test(model, datamodule=module, verbose=False)
        assert sum(map(len, model.shown["train"])) == len(labels_of(module.train_dataloader()))

    def test_augmentation_is_for_training_only(self, build: Build) -> None:
        module = build(augment=True)
        model = recorder_for(module)
        trainer = quiet_trainer(max_epochs=1)
        trainer.fit(model, datamodule=module)
        trainer.test(model, datamodule=module, verbose=False)
        assert torch.equal(torch.cat(model.shown["validate"]), inputs_of(module.val_dataloader()))
        assert torch.equal(torch.cat(model.shown["test"]), inputs_of(module.test_dataloader()))
        plain, shown = (
            inputs_of(module.train_dataloader()),
            torch.cat(model.shown["train"]),
        )  # both of epoch 0
        changed = (plain != shown).flatten(1).any(dim=1).float().mean()
        assert changed > 0.7  # images shifted by at most 1: 8 of 9; frames by at most 2: 24 of 25
        assert shown.min() >= self.lowest - 1e-5
        assert shown.max() <= self.highest + 1e-5

    def test_without_augmentation_training_inputs_are_plain(self, build: Build) -> None:
        module = build(augment=False)
        model = recorder_for(module)
        quiet_trainer(max_epochs=1).fit(model, datamodule=module)
        assert torch.equal(torch.cat(model.shown["train"]), inputs_of(module.train_dataloader()))

    def test_resumed_training_sees_the_same_batches(self, build: Build, tmp_path: Path) -> None:
        straight, first, rest = (recorder_for(build()) for _ in range(3))
        quiet_trainer(max_epochs=3).fit(straight, datamodule=build(augment=True))

        trainer = quiet_trainer(max_epochs=1)
        trainer.fit(first, datamodule=build(augment=True))
        trainer.save_checkpoint(tmp_path / "kept.ckpt")
        torch.manual_seed(4711)  # another process has another generator
        quiet_trainer(max_epochs=3).fit(
            rest, datamodule=build(augment=True), ckpt_path=tmp_path / "kept.ckpt", weights_only=True
        )
        halves = first.shown["train"] + rest.shown["train"]
        assert len(halves) == len(straight.shown["train"])
        assert all(torch.equal(x, y) for x, y in zip(straight.shown["train"], halves, strict=True))

    def test_contents_are_the_same_for_the_same_samples_and_split(self, build: Build) -> None:
        module = build()
        module.prepare_data()
        assert module.contents == build().contents
        module.setup("fit")
        assert module.contents == build(augment=True, batch_size=3, train_samples=7).contents, "settings say the rest"
