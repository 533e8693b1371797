"""Channels last inside a block: the same parameters, the same values, and as before after it."""

import torch
from torch import nn

from lightning_snn.inference import evaluate
from lightning_snn.memory_format import channels_last
from lightning_snn.memory_format import on_cpu
from lightning_snn.networks import build_network
from lightning_snn.recalibration import recalibrate_batch_norm_


def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network("vgg_small", num_classes=3, in_channels=2, image_size=8, plan=(6, 4, "M", 5))


def formats(of: nn.Module) -> list[bool]:
    return [each.is_contiguous() for each in of.parameters()]


def test_only_inside_the_block() -> None:
    mine = network()
    before = {name: (id(each), each.detach().clone()) for name, each in mine.named_parameters()}
    with channels_last(mine):
        assert not all(formats(mine))
        assert all(
            each.is_contiguous(memory_format=torch.channels_last) for each in mine.parameters() if each.ndim == 4
        )
    assert all(formats(mine))
    for name, each in mine.named_parameters():
        assert id(each) == before[name][0]
        assert torch.equal(each, before[name][1])


def test_what_measures_inside_a_training_leaves_the_format_as_it_was() -> None:
    """Else a training that goes on after a kill would round otherwise than one that was not killed."""
    mine = network()
    x_BCHW, y_B = torch.rand(4, 2, 8, 8), torch.zeros(4, dtype=torch.int64)
    with channels_last(mine):
        inside = formats(mine)
        evaluate(mine, [(x_BCHW, y_B)], time_steps=2)
        recalibrate_batch_norm_(mine, [x_BCHW.expand(2, *x_BCHW.shape)])
        assert formats(mine) == inside
    assert all(formats(mine))


def test_nothing_is_done_where_it_is_not_wanted() -> None:
    mine = network()
    with channels_last(mine, enabled=False):
        assert all(formats(mine))


def test_where_a_network_is() -> None:
    assert on_cpu(network())
    assert not on_cpu(network().to("meta"))
