"""One pass from a clean state, in either step mode.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.forward import step_mode
from lightning_snn.forward import to_time_first
from tests.lightning_snn.tiny import Echo
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import tiny_vgg


def test_images_are_shown_at_every_step_without_a_copy() -> None:
    x_BCHW, _ = images(2)
    x_TBCHW = to_time_first(x_BCHW, 3)
    assert x_TBCHW.shape == (3, 2, 1, 4, 4)
    assert all(torch.equal(step_BCHW, x_BCHW) for step_BCHW in x_TBCHW)
    assert x_TBCHW.data_ptr() == x_BCHW.data_ptr()
    assert x_TBCHW.stride(0) == 0


def test_frames_have_their_first_two_axes_exchanged_even_where_time_equals_batch() -> None:
    frames_BTCHW = torch.arange(4.0).reshape(2, 2, 1, 1, 1)  # sample 0 shows 0 and then 1, sample 1 shows 2 and 3
    assert to_time_first(frames_BTCHW, 2).flatten().tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 1, 4, 4), (1, 2, 3, 1, 4, 4)])
def test_another_shape_is_refused_with_what_was_found(shape: tuple[int, ...]) -> None:
    with pytest.raises(NetworkError, match=r"frames \[B, T=3, C, H, W\], found \(") as error:
        to_time_first(torch.zeros(shape), 3)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("mode", ["m", "s"])
def test_every_pass_starts_from_clean_neurons(mode: str) -> None:
    network, x_TBCHW = tiny_vgg(), images(2)[0].expand(3, 2, 1, 4, 4)
    functional.set_step_mode(network, mode)
    first_TBK = run_network(network.eval(), x_TBCHW)
    assert torch.equal(run_network(network, x_TBCHW), first_TBK)


def test_both_step_modes_give_the_same_logits() -> None:
    network, x_TBCHW = tiny_vgg().double().eval(), images(2)[0].double().expand(3, 2, 1, 4, 4)
    multi_TBK = run_network(network, x_TBCHW)
    functional.set_step_mode(network, "s")
    assert torch.allclose(run_network(network, x_TBCHW), multi_TBK, rtol=0, atol=1e-12)
    assert not torch.equal(multi_TBK[0], multi_TBK[2])  # state was carried from step to step


def test_the_step_mode_is_that_of_the_layers() -> None:
    network = tiny_vgg()
    assert step_mode(network) == "m"
    functional.set_step_mode(network, "s")
    assert step_mode(network) == "s"


def recurrent(mode: str) -> nn.Module:
    return layer.LinearRecurrentContainer(nn.Sequential(nn.Linear(2, 2), neuron.LIFNode()), 2, 2, step_mode=mode)


@pytest.mark.parametrize(
    ("network", "holder"),
    [
        (nn.Sequential(recurrent("m")), "LinearRecurrentContainer"),
        (layer.ElementWiseRecurrentContainer(neuron.IFNode(), torch.add, "m"), "ElementWiseRecurrentContainer"),
        (layer.MultiStepContainer(layer.Linear(2, 2), neuron.IFNode()), "MultiStepContainer"),
        (layer.StepModeContainer(True, layer.Linear(2, 2), neuron.IFNode()), "StepModeContainer"),
    ],
)
def test_containers_that_show_single_steps_are_refused_by_name(network: nn.Module, holder: str) -> None:
    with pytest.raises(NetworkError, match=f"has a {holder} that shows single-step layers one step after the other"):
        step_mode(network)


def test_a_container_may_show_single_steps_to_layers_that_know_none() -> None:
    assert step_mode(nn.Sequential(layer.MultiStepContainer(nn.Linear(2, 2)), neuron.IFNode(step_mode="m"))) == "m"


def test_a_recurrent_network_may_be_single_step_as_a_whole() -> None:
    network = recurrent("s")
    assert step_mode(network) == "s"
    assert run_network(network, torch.rand(3, 2, 2)).shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (nn.Linear(2, 2), r"Linear has no layers of SpikingJelly"),
        (nn.Sequential(neuron.LIFNode(step_mode="s"), neuron.LIFNode(step_mode="m")), r"found \['m', 's'\]"),
    ],
)
def test_layers_without_a_common_step_mode_are_refused(network: nn.Module, found: str) -> None:
    with pytest.raises(NetworkError, match=found):
        run_network(network, torch.zeros(3, 2, 2))


class Averaged(Echo):
    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return super().forward(x_TBCHW).mean(dim=0)


class BatchFirst(Echo):
    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return super().forward(x_TBCHW).transpose(0, 1)


class Pair(Echo):
    def __init__(self, mode: str = "m") -> None:
        super().__init__()
        functional.set_step_mode(self, mode)

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return (x_TBCHW, x_TBCHW)  # type: ignore[return-value]  # wrong on purpose


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (Averaged(), r"\[T=3, B=2, classes\], found \(2, 5\) from Averaged, which has no time steps\."),
        (BatchFirst(), r"\[T=3, B=2, classes\], found \(2, 3, 5\) from BatchFirst, whose batch comes first\."),
        (Pair(), r"must return one tensor, found a tuple from Pair\. Return the logits"),
        (Pair("s"), r"must return one tensor, found a tuple from Pair\. Return the logits"),
    ],
)
def test_an_output_of_another_shape_is_refused(network: nn.Module, found: str) -> None:
    with pytest.raises(NetworkError, match=found):
        run_network(network, torch.zeros(3, 2, 5, 1, 1))
