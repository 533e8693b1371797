"""Promises that every data module of event recordings keeps besides those of all data modules.

Axes: N samples, B batch, E events, T time steps, C channels, H rows, W columns.
"""

import copy
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules import DataError
from datamodules._source import Source
from datamodules.events import EventDataModule
from datamodules.recordings import Recording
from datamodules.recordings import RecordingError
from tests.datamodules.conformance import DataModuleConformance
from tests.datamodules.conformance import inputs_of
from tests.datamodules.conformance import labels_of
from tests.datamodules.conformance import quiet_trainer
from tests.datamodules.conformance import recorder_for

Build = Callable[..., EventDataModule]
VARIED: tuple[dict[str, float], ...] = ({"drop": 0.3}, {"jitter": 1.0}, {"drop": 0.3, "jitter": 1.0})


def watched(module: EventDataModule) -> list[str]:
    """Have ``module`` note the names of the recordings that it reads, in the list that is returned."""
    read: list[str] = []

    def noting(source: Source) -> Recording:
        read.append(source.name)
        return source.read()

    replace_reading(module, noting)
    return read


def replace_reading(module: EventDataModule, reading: Callable[[Source], Recording]) -> None:
    """Have ``module`` read its recordings with ``reading``."""
    listed = module.sources

    def sources(*, test: bool) -> list[Source]:
        return [source._replace(read=partial(reading, source)) for source in listed(test=test)]

    module.sources = sources  # type: ignore[method-assign]  # replaced for the test


def break_recordings(module: EventDataModule, names: Sequence[str]) -> None:
    """Make the recordings of these names unreadable."""

    def reading(source: Source) -> Recording:
        if source.name in names:
            raise RecordingError(f"The recording {source.name} cannot be read: found rust.")
        return source.read()

    replace_reading(module, reading)


def shown_in(module: EventDataModule, epoch: int) -> Tensor:
    """Return the training inputs of an epoch, in the order of the split's positions."""
    split = module.train_dataloader().dataset
    size = len(split)  # type: ignore[arg-type]  # a sized dataset
    return torch.stack([split[epoch * size + position][0] for position in range(size)])


class EventDataModuleConformance(DataModuleConformance):
    """Inherit; give ``build`` and ``everything`` as there.

    ``build`` must keep frames in one folder throughout a test, unless it is told of another ``cache``.
    """

    lowest = 0.0

    def to_raw(self, x: Tensor) -> NDArray[np.uint8]:
        raw: NDArray[np.uint8] = x.numpy().astype(np.uint8)
        return raw

    def test_batches_are_frames_of_the_shape_that_was_asked_for(self, build: Build, tmp_path: Path) -> None:
        H, W = build().sensor_HW
        for options, shape in (
            ({"time_steps": 3}, (3, 2, H, W)),
            ({"time_steps": 1, "merge_polarities": True}, (1, 1, H, W)),
            ({"time_steps": 2, "size": H // 2}, (2, 2, H // 2, H // 2)),
            ({"time_steps": 2, "size": [H // 2, W]}, (2, 2, H // 2, W)),
        ):
            module = build(**options)
            x_BTCHW, _ = next(iter(module.val_dataloader()))
            assert module.sample_shape == tuple(x_BTCHW.shape[1:]) == shape

    def test_the_same_events_are_in_however_many_frames(self, build: Build) -> None:
        few, many = (inputs_of(build(time_steps=steps).val_dataloader()) for steps in (2, 5))
        assert (few.shape[1], many.shape[1]) == (2, 5)
        assert max(few.max(), many.max()) < 255
        assert torch.equal(few.sum((1, 3, 4)), many.sum((1, 3, 4)))

    def test_all_events_of_a_recording_are_in_its_frames(self, build: Build) -> None:
        module = build()
        events_N = [len(source.read().events) for source in module.sources(test=True)]
        assert inputs_of(module.test_dataloader()).sum((1, 2, 3, 4)).tolist() == events_N

    def test_frames_follow_time(self, build: Build, tmp_path: Path) -> None:
        whole, cut = (build(time_steps=2, validation_samples=10, cache=str(tmp_path / name)) for name in ("a", "b"))

        def first_half_and_end(source: Source) -> Recording:
            recording = source.read()
            t_E = recording.events["t"]
            wanted_E = 2 * (t_E - t_E[0]) < t_E[-1] - t_E[0] + 1
            wanted_E[-1] = True
            return recording._replace(events=recording.events[wanted_E])

        replace_reading(cut, first_half_and_end)
        whole_BTCHW, cut_BTCHW = inputs_of(whole.val_dataloader()), inputs_of(cut.val_dataloader())
        assert torch.equal(whole_BTCHW[:, 0], cut_BTCHW[:, 0])
        assert cut_BTCHW[:, 1].sum((1, 2, 3)).tolist() == [1.0] * 10

    def test_a_second_construction_reads_frames_and_no_recordings(self, build: Build) -> None:
        first, second = build(), build(batch_size=5, augment=True)
        read_first, read_second = watched(first), watched(second)
        one = [inputs_of(loader) for loader in (first.val_dataloader(), first.test_dataloader())]
        assert sorted(read_first) == sorted(
            source.name for test in (False, True) for source in first.sources(test=test)
        )
        two = [inputs_of(loader) for loader in (second.val_dataloader(), second.test_dataloader())]
        second.calibration_batches(2, 5)
        inputs_of(second.train_dataloader())
        assert read_second == []
        assert all(torch.equal(x, y) for x, y in zip(one, two, strict=True))

    @pytest.mark.parametrize(
        "other",
        [
            {"time_steps": 3},
            {"frames_by": "count"},
            {"merge_polarities": True},
            {"max_count": 1},
            {"denoise_us": 1000},
            {"size": 4},
        ],
        ids=str,
    )
    def test_other_settings_give_other_frames(self, build: Build, other: dict[str, Any]) -> None:
        before = inputs_of(build(time_steps=4).val_dataloader())
        module = build(**{"time_steps": 4, **other})
        read = watched(module)
        after = inputs_of(module.val_dataloader())
        assert len(read) > 0
        assert before.shape != after.shape or not torch.equal(before, after)

    def test_only_the_test_loader_lists_or_reads_test_recordings(self, build: Build) -> None:
        module = build(drop=0.1)
        listed = module.sources

        def refuse(*, test: bool) -> list[Source]:
            assert not test, "The test split was listed."
            return listed(test=test)

        module.sources = refuse  # type: ignore[method-assign]  # replaced for the test
        for stage in ("fit", "validate", "test"):
            module.setup(stage)
        inputs_of(module.train_dataloader())
        inputs_of(module.val_dataloader())
        module.calibration_batches(1, 4)
        with pytest.raises(AssertionError, match="was listed"):
            module.test_dataloader()

    def test_a_bad_recording_is_an_error_that_names_it(self, build: Build, tmp_path: Path) -> None:
        module = build(cache=str(tmp_path / "bad"))
        bad = module.sources(test=False)[3].name
        break_recordings(module, [bad])
        with pytest.raises(RecordingError, match="cannot be read: found rust") as caught:
            module.setup("fit")
        assert bad in str(caught.value)

    def test_bad_recordings_can_be_skipped_and_are_listed_every_time(self, build: Build, tmp_path: Path) -> None:
        whole = build()
        names = [source.name for source in whole.sources(test=False)]
        bad, total = [names[1], names[-2]], len(names)
        frames_N = whole.read_train().inputs
        lost = {frames_N[1].numpy().tobytes(), frames_N[total - 2].numpy().tobytes()}
        for construction in range(2):
            module = build(on_bad_file="skip", cache=str(tmp_path / "bad"))
            break_recordings(module, bad)
            read = watched(module)
            with pytest.warns(UserWarning, match=rf"^skipped 2 of {total:,} recordings of {module.name}: ") as said:
                module.setup("fit")
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                module.setup("validate")
            assert len(said) == 1
            for name in bad:
                assert f"{name} (The recording {name} cannot be read: found rust.)" in str(said[0].message)
            assert module.skipped == bad
            assert (len(read) == 0) == (construction > 0)
            shown = self.samples(module.train_dataloader()) + self.samples(module.val_dataloader())
            assert len(shown) == total - 2
            assert not lost & {raw for raw, _ in shown}

    def test_bad_test_recordings_are_listed_when_the_test_split_is_read(self, build: Build, tmp_path: Path) -> None:
        module = build(on_bad_file="skip", cache=str(tmp_path / "bad"))
        tested = module.sources(test=True)
        bad = tested[0].name
        break_recordings(module, [source.name for source in tested[:1]])
        module.setup("fit")
        trained = bad in {source.name for source in module.sources(test=False)}
        with pytest.warns(UserWarning, match=rf"^skipped 1 of {len(tested):,} recordings"):
            loader = module.test_dataloader()
        assert len(labels_of(loader)) == len(tested) - 1
        assert module.skipped == [bad] * (1 + trained)

    def test_a_class_without_a_readable_recording_is_an_error(self, build: Build, tmp_path: Path) -> None:
        module = build(on_bad_file="skip", cache=str(tmp_path / "bad"))
        break_recordings(module, [source.name for source in module.sources(test=False) if source.label == 2])
        with (
            pytest.warns(UserWarning, match="skipped"),
            pytest.raises(DataError, match=r"found none of class 2 in the training split of .*\. Replace"),
        ):
            module.setup("fit")

    def test_no_readable_recording_is_an_error(self, build: Build, tmp_path: Path) -> None:
        module = build(on_bad_file="skip", cache=str(tmp_path / "bad"))
        break_recordings(module, [source.name for source in module.sources(test=False)])
        with pytest.raises(DataError, match=r"^None of .* recordings can be read, not even"):
            module.setup("fit")

    @pytest.mark.parametrize("options", VARIED, ids=str)
    def test_recordings_are_varied_by_seed_and_epoch_and_by_nothing_else(
        self, build: Build, options: dict[str, float]
    ) -> None:
        one, again = build(**options, train_samples=20), build(**options, train_samples=20, batch_size=3)
        plain = shown_in(build(train_samples=20), 0)
        first, second = shown_in(one, 0), shown_in(one, 1)
        np.random.seed(4711)
        torch.manual_seed(4711)
        assert torch.equal(shown_in(again, 1), second)
        assert torch.equal(shown_in(again, 0), first)
        loader = again.train_dataloader()
        loader.sampler.set_epoch(1)  # type: ignore[attr-defined]  # a DistributedSampler's
        positions = [number % 20 for number in loader.sampler]
        assert torch.equal(inputs_of(loader), second[positions])
        for x, y in ((first, second), (first, plain), (second, plain)):
            assert (x != y).flatten(1).any(dim=1).float().mean() > 0.9

    def test_another_seed_varies_otherwise(self, build: Build) -> None:
        one, other = build(drop=0.3, train_samples=20), build(drop=0.3, train_samples=20)
        _ = other._development
        other.seed += 1  # after the split, so that only the variation differs
        assert not torch.equal(shown_in(one, 0), shown_in(other, 0))

    def test_dropped_events_are_fewer_and_none_is_added(self, build: Build) -> None:
        plain, varied = shown_in(build(train_samples=20), 0), shown_in(build(drop=0.25, train_samples=20), 0)
        left = varied.sum((1, 2, 3, 4)) / plain.sum((1, 2, 3, 4))
        assert (left - 0.75).abs().max() < 0.02
        # frames are set anew over what is left, so compare pixels over the whole time
        assert (varied.sum(1) <= plain.sum(1)).all()

    @pytest.mark.parametrize("options", VARIED, ids=str)
    def test_evaluation_and_calibration_are_not_varied_by_event(self, build: Build, options: dict[str, float]) -> None:
        plain, varied = build(), build(**options)
        for x, y in (
            (plain.val_dataloader(), varied.val_dataloader()),
            (plain.test_dataloader(), varied.test_dataloader()),
        ):
            assert torch.equal(inputs_of(x), inputs_of(y))
        for one, other in zip(plain.calibration_batches(2, 8), varied.calibration_batches(2, 8), strict=True):
            assert all(map(torch.equal, one, other))

    def test_varied_training_shows_the_samples_of_plain_training_in_its_order(self, build: Build) -> None:
        plain, varied = build().train_dataloader(), build(drop=0.2).train_dataloader()
        for epoch in (0, 3):
            plain.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a DistributedSampler's
            varied.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a DistributedSampler's
            assert torch.equal(labels_of(plain), labels_of(varied))
            ratio = inputs_of(varied).sum((1, 2, 3, 4)) / inputs_of(plain).sum((1, 2, 3, 4))
            assert (ratio - 0.8).abs().max() < 0.02

    def test_ranks_share_an_epoch_out_and_change_nothing(self, build: Build) -> None:
        options: dict[str, Any] = {"drop": 0.3, "train_samples": 20}
        alone = build(**options).train_dataloader()
        ranks = [build(**options).train_dataloader() for _ in range(2)]
        for rank, loader in enumerate(ranks):
            # a DistributedSampler has these
            loader.sampler.num_replicas, loader.sampler.rank = 2, rank  # type: ignore[attr-defined]  # what Lightning's own sampler has
            # a DistributedSampler has these
            loader.sampler.num_samples, loader.sampler.total_size = 10, 20  # type: ignore[attr-defined]  # what Lightning's own sampler has
        for loader in (alone, *ranks):
            loader.sampler.set_epoch(4)  # type: ignore[attr-defined]  # a DistributedSampler's
        whole, halves = inputs_of(alone), [inputs_of(loader) for loader in ranks]
        assert torch.equal(whole[0::2], halves[0])
        assert torch.equal(whole[1::2], halves[1])

    def test_resumed_training_sees_the_same_variation(self, build: Build, tmp_path: Path) -> None:
        options: dict[str, Any] = {"drop": 0.2, "jitter": 0.5, "augment": True, "train_samples": 20, "batch_size": 8}
        straight, first, rest = (recorder_for(build()) for _ in range(3))
        quiet_trainer(max_epochs=3).fit(straight, datamodule=build(**options))
        trainer = quiet_trainer(max_epochs=1)
        trainer.fit(first, datamodule=build(**options))
        trainer.save_checkpoint(tmp_path / "kept.ckpt")
        quiet_trainer(max_epochs=3).fit(
            rest, datamodule=build(**options), ckpt_path=tmp_path / "kept.ckpt", weights_only=True
        )
        halves = first.shown["train"] + rest.shown["train"]
        assert len(halves) == len(straight.shown["train"]) == 9
        assert all(torch.equal(x, y) for x, y in zip(straight.shown["train"], halves, strict=True))
        assert not torch.equal(torch.cat(halves[:3]).sum(0), torch.cat(halves[3:6]).sum(0))

    def test_varying_draws_nothing_from_the_default_generators(self, build: Build) -> None:
        module = build(drop=0.2, jitter=0.5, train_samples=20)
        before = torch.get_rng_state(), copy.deepcopy(np.random.get_state(legacy=False))
        inputs_of(module.train_dataloader())
        after = np.random.get_state(legacy=False)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert str(after) == str(before[1])
