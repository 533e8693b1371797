import zlib

import numpy as np
import torch

from lightning_snn.seeds import seed_for


def test_the_same_arguments_give_the_same_seed_in_every_process() -> None:
    # NumPy's own documented stream, as a second way to the same words
    low, high = np.random.SeedSequence(3, spawn_key=(zlib.crc32(b"epoch"), 7)).generate_state(2).tolist()
    assert seed_for(3, "epoch", 7) == low * 2**31 ^ high


def test_every_seed_purpose_and_index_has_a_stream_of_its_own() -> None:
    purposes = ("epoch", "weights")
    indices = [(), *((i,) for i in range(8)), *((i, j) for i in range(8) for j in range(4)), (0, 0, 0)]
    seeds = {seed_for(seed, purpose, *index) for seed in range(8) for purpose in purposes for index in indices}
    assert len(seeds) == 8 * len(purposes) * len(indices)


def test_a_zero_more_is_another_stream() -> None:
    # NumPy fills short entropy up with zeros
    assert len({seed_for(0, "epoch"), seed_for(0, "epoch", 0), seed_for(0, "epoch", 0, 0)}) == 3


def test_neighbouring_seeds_share_no_stream() -> None:
    one, other = ({seed_for(seed, "epoch", epoch) for epoch in range(50)} for seed in (0, 1))
    assert not one & other


def test_seeds_are_63_bits_that_are_all_used() -> None:
    seeds = [seed_for(seed, "bits") for seed in range(400)]
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    for bit in range(63):
        assert 130 < sum(seed >> bit & 1 for seed in seeds) < 270  # 200 expected, 7 standard deviations
    torch.manual_seed(max(seeds))


def test_a_seed_that_was_derived_can_be_a_root_again() -> None:
    root = seed_for(0, "training")
    assert root > 2**32
    assert seed_for(root, "epoch", 1) != seed_for(root % 2**32, "epoch", 1)
