"""One pass gives what two give. Axes: T time steps, B batch, C channels, H rows, W columns, K classes, N samples."""

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.inference import evaluate
from lightning_snn.synops import measure_synops
from tests.lightning_snn.tiny import images
from tests.lightning_snn.tiny import residual

STEPS = 3


def batches(sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    x_NCHW, y_N = images(sum(sizes))
    return list(zip(torch.split(x_NCHW.double(), sizes), torch.split(y_N, sizes), strict=True))


def network() -> nn.Module:
    return residual().double()


def identity() -> nn.Module:
    """Logits are the input, ``[T, B, 2, 1, 1]``."""
    head = layer.Linear(2, 2, bias=False)
    nn.init.eye_(head.weight)
    net = nn.Sequential(layer.Flatten(), head)
    functional.set_step_mode(net, "m")
    return net


def test_accuracy_and_synops_by_hand_with_a_short_last_batch() -> None:
    frames_BTK = torch.tensor(
        [[[1, 0], [1, 1]], [[0, 1], [0, 0]], [[0, 0], [1, 0]], [[1, 1], [0, 1]], [[0, 1], [0, 1]]]
    )
    x_BTCHW, y_B = frames_BTK[..., None, None].float(), torch.tensor([0, 1, 0, 1, 0])
    data = list(zip(torch.split(x_BTCHW, 2), torch.split(y_B, 2), strict=True))
    found = evaluate(identity(), data, time_steps=2, first_layer="add")
    assert found.accuracy == 4 / 5  # the mean of the batches' accuracies would be 2 / 3
    assert found.samples == found.synops.samples == 5
    assert (found.samples_K, found.right_K) == ((3, 2), (2, 2))
    assert found.synops.total == (3 + 1 + 1 + 3 + 2) / 5  # every input meets one weight that is not zero
    assert evaluate(identity(), data, time_steps=2).synops.total == 0.0  # the first layer is apart


@pytest.mark.parametrize("sizes", [[10], [4, 4, 2], [1] * 10])
@pytest.mark.parametrize("mode", ["m", "s"])
def test_both_equal_those_measured_separately(sizes: list[int], mode: str) -> None:
    net = network()
    functional.set_step_mode(net, mode)
    found = evaluate(net, batches(sizes), time_steps=STEPS)

    x_NCHW, y_N = batches([10])[0]
    alone = [run_network(net.eval(), x_CHW.expand(STEPS, 1, -1, -1, -1)).mean(dim=0).argmax() for x_CHW in x_NCHW]
    assert found.accuracy == pytest.approx(sum(int(a == y) for a, y in zip(alone, y_N, strict=True)) / 10)
    report = measure_synops(net, [x_NCHW.expand(STEPS, -1, -1, -1, -1)])
    assert found.synops.total == pytest.approx(report.total, rel=1e-12)
    assert found.synops.standard_error == pytest.approx(report.standard_error, rel=1e-9)
    assert report.total > 100


def test_the_switches_of_the_measurement_are_passed_on() -> None:
    x_TBCHW = batches([10])[0][0].expand(STEPS, -1, -1, -1, -1)
    with pytest.warns(UserWarning, match="Hidden layers with analog input"):
        expected = measure_synops(network(), [x_TBCHW], first_layer="drop", analog_hidden="apart")
    with pytest.warns(UserWarning, match="Hidden layers with analog input"):
        found = evaluate(network(), batches([10]), time_steps=STEPS, first_layer="drop", analog_hidden="apart")
    assert found.synops == expected
    assert found.synops.total < evaluate(network(), batches([10]), time_steps=STEPS).synops.total


def test_it_can_be_run_twice_and_leaves_the_network_in_order() -> None:
    net = network().train()
    before = [value.clone() for value in net.state_dict().values()]
    first, second = (evaluate(net, batches([4, 2]), time_steps=STEPS) for _ in range(2))
    assert first == second
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert not any(module.training or module._forward_hooks for module in net.modules())
    assert all(module.v == 0.0 for module in net.modules() if isinstance(module, neuron.LIFNode))


def test_no_data_is_refused() -> None:
    with pytest.raises(NetworkError, match="at least one sample, found an empty data set"):
        evaluate(network(), [], time_steps=STEPS)


def test_frames_of_another_length_are_refused() -> None:
    x_NCHW, y_N = batches([2])[0]
    with pytest.raises(NetworkError, match=r"\[B, T=3, C, H, W\], found \(2, 4, 1, 4, 4\)"):
        evaluate(network(), [(x_NCHW[:, None].expand(2, 4, 1, 4, 4), y_N)], time_steps=STEPS)


def test_logits_that_are_no_numbers_are_not_right_by_chance() -> None:
    """``argmax`` of a NaN is its place, so that a broken network would be right for all of the first class."""
    frames_BTK = torch.tensor([[[torch.nan, 0.0]] * 2, [[0.0, 1.0]] * 2])
    found = evaluate(identity(), [(frames_BTK[..., None, None], torch.tensor([0, 1]))], time_steps=2)
    assert (found.accuracy, found.right_K) == (0.5, (0, 1))
