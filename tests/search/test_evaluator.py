"""Widths -> a smaller network -> its measurement, with a task that measures on fixed random images.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import copy
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import nn

from lightning_snn.inference import Evaluation
from lightning_snn.inference import evaluate
from lightning_snn.networks import build_network
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from search.evaluator import Candidate
from search.evaluator import Evaluator
from search.evaluator import keep_order
from search.task import SearchTask

PLAN = (6, "M", 4, "M")


class FakeTask:
    """Recalibrates and measures on random images; keeps the networks that it measured."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.images, self.labels = torch.rand(12, 1, 8, 8), torch.arange(12) % 3
        self.measured: list[nn.Module] = []

    def recalibrate_(self, network: nn.Module) -> None:
        recalibrate_batch_norm_(network, [self.images.expand(2, *self.images.shape)])

    def measure_validation(self, network: nn.Module) -> Evaluation:
        self.measured.append(network)
        return evaluate(network, [(self.images, self.labels)], time_steps=2)


@pytest.fixture
def task() -> FakeTask:
    return FakeTask()


@pytest.fixture
def evaluator(task: FakeTask) -> Evaluator:
    torch.manual_seed(0)
    options = {"image_size": 8, "plan": PLAN, "threshold": 0.5}
    network = build_network("vgg_small", num_classes=3, in_channels=1, **options)
    task.recalibrate_(network)
    plan = ChannelPlan.trace(network, torch.rand(2, 1, 1, 8, 8))
    scores = {"features.0": np.array([5.0, 1.0, 4.0, 2.0, 6.0, 3.0]), "features.4": np.array([1.0, 1.0, 2.0, 1.0])}
    return Evaluator(cast(SearchTask, task), network, plan, keep_order(scores))


def weights(network: nn.Module, name: str) -> Tensor:
    weight = network.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight


def test_channels_are_kept_from_the_highest_score_and_ties_from_the_lower_index() -> None:
    scores = {"a": np.array([0.1, 3.0, 2.0, 3.0]), "b": np.tile([0.0, 1.0], 50)}
    assert keep_order(scores) == {"a": [1, 3, 2, 0], "b": [*range(1, 100, 2), *range(0, 100, 2)]}


def test_the_channels_of_the_highest_scores_stay_in_their_place(evaluator: Evaluator) -> None:
    small, dense = evaluator.prune([3, 2]), evaluator.network
    assert torch.equal(weights(small, "features.0"), weights(dense, "features.0")[[0, 2, 4]])
    assert torch.equal(weights(small, "features.4"), weights(dense, "features.4")[[0, 2]][:, [0, 2, 4]])
    assert weights(small, "classifier").shape == (3, 2 * 2 * 2)


def test_the_dense_network_is_never_changed(evaluator: Evaluator) -> None:
    before = copy.deepcopy(evaluator.network.state_dict())
    for widths in ([3, 2], [6, 4]):
        small = evaluator.prune(widths)
        with torch.no_grad():
            for parameter in small.parameters():
                parameter.zero_()
    assert all(torch.equal(tensor, before[key]) for key, tensor in evaluator.network.state_dict().items())


def test_batch_norms_are_recalibrated_on_the_pruned_network(evaluator: Evaluator, task: FakeTask) -> None:
    small = evaluator.prune([3, 2])
    again = copy.deepcopy(small)
    task.recalibrate_(again)
    for (name, buffer), (_, expected) in zip(small.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(buffer, expected), name
    dense_mean = evaluator.network.get_buffer("features.5.running_mean")
    assert not torch.allclose(small.get_buffer("features.5.running_mean"), dense_mean[[0, 2]])


def test_a_candidate_is_what_the_pruned_network_measures(evaluator: Evaluator, task: FakeTask) -> None:
    found = evaluator.evaluate([3, 2])
    measured = task.measure_validation(evaluator.prune([3, 2]))
    assert found.widths == (3, 2)
    assert (found.accuracy, found.synops) == (measured.accuracy, measured.synops.total)
    assert found.synops > 0.0
    # convolutions 3 * 9 and 2 * 3 * 9 with biases, two batch norms, 8 inputs to 3 classes
    assert found.parameters == (27 + 3) + (54 + 2) + 2 * 3 + 2 * 2 + (8 * 3 + 3)
    assert found.seconds > 0.0


def test_the_same_widths_are_measured_once(evaluator: Evaluator, task: FakeTask) -> None:
    first = evaluator.evaluate([3, 2])
    assert evaluator.evaluate((3, 2)) is first
    assert len(task.measured) == 1
    evaluator.evaluate([3, 3])
    assert len(task.measured) == 2


def test_the_order_of_evaluations_does_not_matter(evaluator: Evaluator) -> None:
    fresh = Evaluator(evaluator.task, evaluator.network, evaluator.plan, evaluator.order)
    one = [evaluator.evaluate(widths) for widths in ([3, 2], [6, 4], [1, 1])]
    other = [fresh.evaluate(widths) for widths in ([1, 1], [6, 4], [3, 2])][::-1]
    for a, b in zip(one, other, strict=True):
        assert (a.widths, a.accuracy, a.synops, a.parameters) == (b.widths, b.accuracy, b.synops, b.parameters)


def test_a_remembered_candidate_is_not_measured(evaluator: Evaluator, task: FakeTask) -> None:
    recorded = Candidate((2, 2), 0.5, 123.0, 45, 6.0)
    evaluator.remember(recorded)
    assert evaluator.evaluate([2, 2]) is recorded
    assert task.measured == []


def test_widths_must_be_as_many_as_groups(evaluator: Evaluator) -> None:
    with pytest.raises(ValueError, match="zip"):
        evaluator.prune([3])
