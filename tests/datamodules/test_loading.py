import numpy as np
import pytest
import torch
from torch import distributed
from torch.utils.data.distributed import DistributedSampler

from datamodules._loading import EpochSampler
from datamodules._loading import Samples
from datamodules._loading import Split


def shards(length: int, *, seed: int = 3, epoch: int = 5, replicas: int = 2) -> list[list[int]]:
    found = []
    for rank in range(replicas):
        sampler = EpochSampler(range(length), seed=seed, num_replicas=replicas, rank=rank)
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(found[-1]) == len(sampler)
    return found


def test_shards_of_two_processes_are_disjoint_and_cover_the_epoch() -> None:
    first, second = shards(10)
    assert not set(first) & set(second)
    assert sorted(first + second) == list(range(10))


def test_shards_of_an_odd_epoch_are_equally_long_and_repeat_one_sample() -> None:
    first, second = shards(11)
    assert (len(first), len(second)) == (6, 6)
    assert set(first + second) == set(range(11))


def test_more_processes_than_samples_all_get_one() -> None:
    first, *others = shards(2, replicas=5)  # the order starts again after every two processes
    assert [first, *others] == [first, others[0], first, others[0], first]
    assert sorted(first + others[0]) == [0, 1]


def test_together_the_shards_are_the_order_of_one_process() -> None:
    first, second = shards(10)
    [whole] = shards(10, replicas=1)
    assert whole[0::2] == first
    assert whole[1::2] == second


def test_processes_come_from_torch_distributed_where_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = EpochSampler(range(9), seed=0)
    assert (alone.num_replicas, alone.rank) == (1, 0)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 4)
    monkeypatch.setattr(distributed, "get_rank", lambda: 2)
    shared = EpochSampler(range(9), seed=0)
    assert (shared.num_replicas, shared.rank) == (4, 2)


def test_lightning_leaves_the_sampler_in_its_place() -> None:
    assert isinstance(EpochSampler(range(9), seed=0), DistributedSampler)


def test_an_epoch_set_after_the_iterator_was_made_still_counts() -> None:
    sampler = EpochSampler(range(50), seed=0)
    early = iter(sampler)
    sampler.set_epoch(7)
    assert list(early) == list(sampler)


def test_positions_are_spread_evenly() -> None:
    first_seen = np.zeros(5)
    sampler = EpochSampler(range(5), seed=0)
    for epoch in range(2000):
        sampler.set_epoch(epoch)
        first_seen[next(iter(sampler))] += 1
    assert np.abs(first_seen - 400).max() < 5 * 18  # binomial: sqrt(2000 * 0.2 * 0.8) = 18


def test_a_split_fetches_its_own_rows_decoded_in_the_order_asked() -> None:
    samples = Samples(torch.tensor([[10], [11], [12], [13]]), torch.tensor([0, 1, 2, 3]))
    split = Split(samples, np.array([3, 1]), lambda inputs: inputs.float() / 2)
    assert len(split) == 2
    x, y = split.__getitems__([1, 0, 1])
    assert x.tolist() == [[5.5], [6.5], [5.5]]
    assert y.tolist() == [1, 3, 1]
    one, label = split[0]
    assert (one.tolist(), label.item()) == ([6.5], 3)
