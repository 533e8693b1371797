"""Which networks are sampled, when sampling stops, and that a sample is taken once."""

import dataclasses
import json
import math
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from conf.schema import EstimatorConfig
from conf.schema import SearchConfig
from conf.schema import TrainingConfig
from lightning_snn.artifact import ARCHITECTURE
from lightning_snn.artifact import FORMAT
from lightning_snn.artifact import WEIGHTS
from lightning_snn.errors import RunError
from lightning_snn.files import write_json
from lightning_snn.inference import Evaluation
from lightning_snn.synops import SynOpsReport
from search.budget import Budget
from search.cost import CostModel
from search.cost import LayerCost
from search.errors import SearchError
from search.estimator import LinearEstimator
from search.estimator import RatioEstimator
from search.estimator import build_estimator
from search.evaluator import Evaluator
from search.sampling import Sample
from search.sampling import Sampling
from search.sampling import draw_widths
from search.sampling import fitted
from search.sampling import margin
from search.sampling import take_sample

FULL = [64, 128, 256]
COST = CostModel(
    {
        "b": LayerCost(0.0, {0: 100.0 * np.arange(65, dtype=np.float64)}, 0.0, {1: 1 / 128}),
        "c": LayerCost(0.0, {1: 60.0 * np.arange(129, dtype=np.float64)}, 0.0, {2: 1 / 256}),
        "d": LayerCost(0.0, {2: 2.0 * np.arange(257, dtype=np.float64)}, 1.0, {}),
    }
)
DENSE = COST(FULL)
BUDGET = Budget(0.5 * DENSE, DENSE)


@dataclass
class FakeNetwork:
    """Its widths, and for how many epochs it was fine-tuned."""

    widths: tuple[int, ...]
    epochs: int = 0


class FakeTask:
    """SynOps are static, and 20 % less after fine-tuning; writes down what it is asked to do, and where."""

    def __init__(self, config: SearchConfig) -> None:
        self.config, self.log = config, list[tuple[str, int]]()
        self.checkpoints = list[Path]()

    def measure_validation(self, network: FakeNetwork) -> Evaluation:
        self.log.append(("measure", network.epochs))
        total = COST(network.widths) * (0.8 if network.epochs else 1.0)
        report = SynOpsReport(
            total=total, accumulates=total, macs=0.0, dense=DENSE, samples=9, standard_error=0.0, layers={}, budgeted=()
        )
        return Evaluation(0.7 if network.epochs else 0.3, 9, report)

    def train_(
        self, network: FakeNetwork, training: TrainingConfig, *, seed: int, checkpoints: Path | None = None
    ) -> None:
        self.log.append(("train", seed))
        if checkpoints is not None:
            assert not checkpoints.exists()
            checkpoints.mkdir(parents=True)
            self.checkpoints.append(checkpoints)
        network.epochs += training.epochs


class FakeEvaluator:
    def __init__(self, config: SearchConfig) -> None:
        self.task = FakeTask(config)

    def prune(self, widths: Sequence[int]) -> FakeNetwork:
        return FakeNetwork(tuple(widths))


def evaluator(seed: int = 0, **estimator: object) -> Evaluator:
    config = SearchConfig(
        seed=seed,
        finetuning=TrainingConfig(epochs=7),
        estimator=dataclasses.replace(
            EstimatorConfig(min_samples=4, max_samples=12, batch=2),
            **estimator,  # type: ignore[arg-type]  # values of several types
        ),
    )
    return cast(Evaluator, FakeEvaluator(config))


def log(of: Evaluator) -> list[tuple[str, int]]:
    return cast(FakeTask, of.task).log


def dense_network(folder: Path, weights: bytes) -> None:
    """Leave what counts of a dense network on disk."""
    write_json(
        folder / "network" / ARCHITECTURE,
        {"format": FORMAT, "family": None, "arguments": {}, "widths": {}, "example_shape": []},
    )
    (folder / "network" / WEIGHTS).write_bytes(weights)


def sampling(of: Evaluator, folder: Path, kind: type[Sampling] = Sampling) -> Sampling:
    if not (folder / "dense").exists():
        dense_network(folder / "dense", b"weights")
    return kind(of, drawn(of.task.config.estimator.max_samples), BUDGET, folder / "dense", folder / "samples")


def drawn(count: int, seed: int = 0, fraction: float = 0.5, low: float = 0.1) -> list[list[int]]:
    return draw_widths(count, seed=seed, full=FULL, low=low, cost=COST, fraction=fraction)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**31))
def test_the_first_samples_are_the_same_however_many_follow(few: int, more: int, seed: int) -> None:
    few, more = sorted((few, more))
    assert drawn(few, seed) == drawn(more, seed)[:few]
    assert len(drawn(more, seed)) == more


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7])
def test_levels_lie_around_the_target_and_fill_the_range(fraction: float) -> None:
    levels = np.array([COST(widths) / DENSE for widths in drawn(24, fraction=fraction)]) / fraction
    assert levels.min() > 0.8 - 0.02  # a channel or so below what was drawn
    assert levels.max() <= 1.2
    counts, _ = np.histogram(levels, bins=[0.78, 0.9, 1.0, 1.1, 1.2])
    assert counts.min() >= 3


def test_levels_end_below_the_dense_network() -> None:
    levels = [COST(widths) / DENSE for widths in drawn(24, fraction=0.9)]
    assert max(levels) <= 0.95
    assert sum(level > 0.93 for level in levels) > 6  # 0.95 to 1.08 of dense were drawn for over half of them


def test_levels_end_at_the_smallest_network() -> None:
    least = [max(1, round(0.6 * width)) for width in FULL]
    assert drawn(8, fraction=0.2, low=0.6) == [least] * 8


def test_keep_ratios_are_spread_and_differ_between_seeds() -> None:
    one, other = drawn(24), drawn(24, seed=1)
    assert one != other
    ratios = np.array(one) / np.array(FULL)
    assert ratios.min() >= 0.1 - 0.5 / 64
    assert (np.ptp(ratios, axis=0) > 0.5).all()
    assert len({tuple(widths) for widths in one}) == 24


def test_a_sample_is_measured_before_and_after_fine_tuning() -> None:
    of = evaluator()
    sample = take_sample(of, [32, 64, 128], 3)
    static = COST([32, 64, 128])
    assert (sample.index, sample.widths) == (3, [32, 64, 128])
    assert (sample.pre, sample.post) == (static, 0.8 * static)
    assert (sample.accuracy_pre, sample.accuracy_post) == (0.3, 0.7)
    assert sample.seconds > 0.0
    assert [what for what, _ in log(of)] == ["measure", "train", "measure"]
    assert (log(of)[0][1], log(of)[2][1]) == (0, 7)


def test_every_sample_is_trained_with_a_seed_of_its_own() -> None:
    seeds = set()
    for seed in (0, 1):
        of = evaluator(seed)
        for index in range(4):
            take_sample(of, [32, 64, 128], index)
        seeds |= {value for what, value in log(of) if what == "train"}
    assert len(seeds) == 8


def test_the_margin_is_that_worked_by_hand() -> None:
    """A level line at 32 / 3 whose bound meets the target of 25: the margin is the rest, of a baseline of 100."""
    flat = LinearEstimator().fit([10, 20, 30], [10, 12, 10])
    assert margin(flat, Budget(target=25.0, baseline=100.0)) == pytest.approx((25.0 - 32.0 / 3.0) / 100.0, rel=1e-6)


def test_estimators_without_noise_have_no_margin() -> None:
    for name in ("linear", "ratio", "identity"):
        fitted = build_estimator(name, 0.95).fit([10.0, 20.0, 30.0], [5.0, 10.0, 15.0])
        assert margin(fitted, Budget(target=25.0, baseline=100.0)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("margins", "taken"),
    [
        ([0.02, 0.02], 6),  # twice in a row, the limit included
        ([0.03, 0.01, 0.01], 8),
        ([0.01, 0.03, 0.01, 0.02], 10),  # once is an accident
        ([0.01, 0.021, 0.01, 0.021, 0.01], 12),  # never twice in a row: max_samples
        ([0.5] * 5, 12),
        ([math.nan] * 5, 12),
    ],
)
def test_sampling_stops_when_the_margin_is_tight_twice_in_a_row_or_at_the_most(
    margins: list[float], taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(margins)
    monkeypatch.setattr("search.sampling.margin", lambda estimator, budget: left.pop(0))
    seen: list[int] = []
    samples, estimator = sampling(evaluator(), tmp_path).until_tight(lambda sample: seen.append(sample.index))
    assert [sample.index for sample in samples] == seen == list(range(taken))
    assert isinstance(estimator, LinearEstimator)
    assert estimator.samples == taken


def test_the_last_batch_ends_at_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.sampling.margin", lambda estimator, budget: 1.0)
    batches: list[range] = []

    class Noted(Sampling):
        def take(self, indices: range, on_sample: Callable[[Sample], None]) -> list[Sample]:
            batches.append(indices)
            return super().take(indices, on_sample)

    samples, _ = sampling(evaluator(batch=5), tmp_path, Noted).until_tight(lambda sample: None)
    assert batches == [range(0, 4), range(4, 9), range(9, 12)]
    assert len(samples) == 12


def test_an_exact_line_is_found_with_the_fewest_samples(tmp_path: Path) -> None:
    samples, estimator = sampling(evaluator(), tmp_path).until_tight(lambda sample: None)
    assert len(samples) == 4 + 2
    assert estimator.slope == pytest.approx(0.8)


def test_noise_needs_more_samples(tmp_path: Path) -> None:
    """After fine-tuning by 15 % of dense up or down, so that no margin of 2 % is reached with 12."""

    class Noisy(Sampling):
        def take(self, indices: range, on_sample: Callable[[Sample], None]) -> list[Sample]:
            shift = [0.15 * DENSE * (-1) ** index for index in indices]
            found = super().take(indices, on_sample)
            return [dataclasses.replace(each, post=each.post + s) for each, s in zip(found, shift, strict=True)]

    samples, _ = sampling(evaluator(), tmp_path, Noisy).until_tight(lambda sample: None)
    assert len(samples) == 12


def test_widths_are_those_drawn(tmp_path: Path) -> None:
    samples = sampling(evaluator(), tmp_path).take(range(3, 6), lambda sample: None)
    assert [sample.widths for sample in samples] == drawn(12)[3:6]


def test_samples_are_taken_once_and_read_from_their_files_after(tmp_path: Path) -> None:
    first = sampling(evaluator(), tmp_path).take(range(3), lambda sample: None)
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == ["000.json", "001.json", "002.json"]
    again, seen = evaluator(), list[int]()
    second = sampling(again, tmp_path).take(range(5), lambda sample: seen.append(sample.index))
    assert second[:3] == first
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert [what for what, _ in log(again)].count("train") == 2  # the fourth and the fifth


def test_samples_of_another_dense_network_or_of_other_widths_are_taken_anew(tmp_path: Path) -> None:
    first = sampling(evaluator(), tmp_path).take(range(3), lambda sample: None)
    file = tmp_path / "samples" / "001.json"
    write_json(file, dataclasses.asdict(dataclasses.replace(first[1], widths=[1, 1, 1], post=0.0)))
    again = evaluator()
    second = sampling(again, tmp_path).take(range(3), lambda sample: None)
    assert [(each.widths, each.post) for each in second] == [(each.widths, each.post) for each in first]
    assert [what for what, _ in log(again)].count("train") == 1
    dense_network(tmp_path / "dense", b"other weights")
    later = evaluator()
    sampling(later, tmp_path).take(range(3), lambda sample: None)
    assert [what for what, _ in log(later)].count("train") == 3


def test_a_sample_is_on_disk_before_the_next_one_is_begun(tmp_path: Path) -> None:
    class Dies(FakeEvaluator):
        def prune(self, widths: Sequence[int]) -> FakeNetwork:
            if list(widths) == drawn(3)[2]:
                raise KeyboardInterrupt
            return super().prune(widths)

    with pytest.raises(KeyboardInterrupt):
        sampling(cast(Evaluator, Dies(evaluator().task.config)), tmp_path).take(range(4), lambda sample: None)
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == ["000.json", "001.json"]


@pytest.mark.parametrize(("silent_at", "when"), [(0, "before"), (7, "after")])
def test_networks_that_pruning_or_fine_tuning_silences_are_refused_before_all_are_fine_tuned(
    silent_at: int, when: str, tmp_path: Path
) -> None:
    class Silenced(FakeTask):
        def measure_validation(self, network: FakeNetwork) -> Evaluation:
            found = super().measure_validation(network)
            share = 0.004 if network.epochs == silent_at else 1.0
            return dataclasses.replace(found, synops=dataclasses.replace(found.synops, total=share * DENSE))

    of = evaluator()
    cast(FakeEvaluator, of).task = Silenced(of.task.config)
    with pytest.raises(SearchError, match=f"Pruned networks hardly spike {when} fine-tuning: .* over 3, where about"):
        sampling(of, tmp_path).until_tight(lambda sample: None)
    assert [what for what, _ in log(of)].count("train") == 3  # of four


def test_every_sample_has_checkpoints_of_its_own_until_it_is_on_disk(tmp_path: Path) -> None:
    of = evaluator()
    sampling(of, tmp_path).take(range(3), lambda sample: None)
    folders = cast(FakeTask, of.task).checkpoints
    assert len(set(folders)) == 3
    assert {folder.parent for folder in folders} == {tmp_path / "samples"}
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "001.json cannot be read"),
        ('{"index": 1}', "001.json is no sample .*missing"),
        ("[1, 2]", "001.json is no sample"),
        ("null", "001.json is no sample"),
    ],
)
def test_a_broken_sample_is_one_sentence_that_names_its_file(text: str, found: str, tmp_path: Path) -> None:
    sampling(evaluator(), tmp_path).take(range(2), lambda sample: None)
    (tmp_path / "samples" / "001.json").write_text(text)
    with pytest.raises(RunError, match=f"{found}.* Delete it; the command that made it makes it again"):
        sampling(evaluator(), tmp_path).take(range(2), lambda sample: None)


@pytest.mark.parametrize(
    ("changed", "found"),
    [({"loss": 1.0}, "loss"), ({"pre": None}, "pre is None"), ({"post": "much"}, "post is 'much'")],
)
def test_a_wrong_field_of_a_sample_is_one_sentence(changed: dict[str, object], found: str, tmp_path: Path) -> None:
    sampling(evaluator(), tmp_path).take(range(1), lambda sample: None)
    file = tmp_path / "samples" / "000.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(SearchError, match=rf"000\.json is no sample .*{found}"):
        sampling(evaluator(), tmp_path).take(range(1), lambda sample: None)


def pairs(values: Sequence[tuple[float, float]]) -> Iterator[Sample]:
    for index, (pre, post) in enumerate(values):
        yield Sample(index, [1], pre, post, 0.5, 0.5, 0.0)


@pytest.mark.filterwarnings("error")
def test_a_rising_line_is_trusted() -> None:
    samples = list(pairs([(1.0, 1.0), (2.0, 1.5), (3.0, 2.5)]))
    line = fitted(samples, EstimatorConfig())
    assert isinstance(line, LinearEstimator)
    assert line.slope == pytest.approx(0.75)


@pytest.mark.parametrize("post", [(3.0, 2.0, 1.0), (2.0, 2.0, 2.0)])
def test_a_line_that_does_not_rise_is_replaced_by_the_ratio_with_a_warning(post: tuple[float, ...]) -> None:
    samples = list(pairs([(pre, y) for pre, y in zip((1.0, 2.0, 3.0), post, strict=True)]))
    with pytest.warns(UserWarning, match=r"line falls \(slope .*ratio of SynOps after to before is used"):
        ratio = fitted(samples, EstimatorConfig(confidence=0.9))
    assert isinstance(ratio, RatioEstimator)
    assert ratio.confidence == 0.9
    assert ratio.slope == pytest.approx(sum(a * b for a, b in zip((1, 2, 3), post, strict=True)) / 14)


def test_samples_that_are_alike_are_told_and_their_ratio_is_used() -> None:
    samples = list(pairs([(5.0, 4.0), (5.0, 5.0), (5.0, 6.0)]))
    with pytest.warns(UserWarning, match=r"All 3 samples have the same SynOps.*ratio .* is used"):
        assert fitted(samples, EstimatorConfig()).name == "ratio"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(samples, EstimatorConfig(name="identity")).name == "identity"
