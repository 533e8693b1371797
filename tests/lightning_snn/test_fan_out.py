"""Every layer shape against plain loops, and against figures worked by hand.

Axes: T time steps, B batch, C input and O output channels, H rows, W columns, K kernel; N samples.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spikingjelly.activation_based import layer
from torch import Tensor
from torch import nn

from lightning_snn._fan_out import WeightedLayer
from lightning_snn.synops import LayerSynOps
from lightning_snn.synops import SynOpsMeter
from lightning_snn.synops import SynOpsReport

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}

PICTURE = """
.#.#..#.
##...###
#.#.####
.#######
.######.
#####.##
#.##.#.#
##.#####
"""
"""46 spikes on 8x8: 2 in corners, 17 on edges, 27 inside."""


def measured(network: nn.Module, x_BCHW: Tensor) -> SynOpsReport:
    """One time step of a network that need not be spiking."""
    meter = SynOpsMeter(network, first_layer="add")
    with torch.no_grad(), meter:
        meter.start_batch(1, len(x_BCHW))
        network(x_BCHW)
    return meter.report()


def only_layer(layer_: WeightedLayer, x_BCHW: Tensor) -> LayerSynOps:
    return measured(nn.Sequential(layer_), x_BCHW).layers["0"]


def picture_11HW() -> Tensor:
    return torch.tensor([[float(cell == "#") for cell in row] for row in PICTURE.split()]).view(1, 1, 8, 8)


@dataclass
class Convolution:
    """One convolution and one input, in NumPy terms."""

    x_BC: NDArray[np.float32]
    weight_OCK: NDArray[np.float32]
    stride: list[int]
    padding: list[tuple[int, int]]
    dilation: list[int]
    groups: int
    mode: str


def loops(case: Convolution) -> NDArray[np.int64]:
    """Operations ``[B, C]``: every output, every tap, one comparison each."""
    pads = [(0, 0), (0, 0), *case.padding]
    # the mode is one of NumPy's
    padded_BC = np.pad(case.x_BC, pads, mode=PADDING_MODES[case.mode])  # type: ignore[call-overload]  # the mode is not a literal
    size = padded_BC.shape[2:]
    outputs, inputs, *kernel = case.weight_OCK.shape
    counts_BC = np.zeros(padded_BC.shape[:2], dtype=np.int64)
    taps = list(itertools.product(*map(range, kernel)))
    for corner in itertools.product(*(range(0, n, s) for n, s in zip(size, case.stride, strict=True))):
        last = [c + d * (k - 1) for c, d, k in zip(corner, case.dilation, kernel, strict=True)]
        if any(index >= n for index, n in zip(last, size, strict=True)):
            continue  # the kernel would reach beyond the padded input
        for o, c, tap in itertools.product(range(outputs), range(inputs), taps):
            channel = o // (outputs // case.groups) * inputs + c
            at = tuple(i + d * q for i, d, q in zip(corner, case.dilation, tap, strict=True))
            for b in range(len(padded_BC)):
                counts_BC[b, channel] += padded_BC[(b, channel, *at)] != 0 and case.weight_OCK[(o, c, *tap)] != 0
    return counts_BC


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Module, Convolution]:
    axes = draw(st.sampled_from([1, 2, 2, 2, 3]))
    largest = 4 if axes == 3 else 6

    def axis_values(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    groups = draw(st.integers(1, 2))
    channels, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel, dilation, size = axis_values(1, 3), axis_values(1, 2), axis_values(3, largest)
    mode = draw(st.sampled_from(sorted(PADDING_MODES)))
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    word = draw(st.sampled_from(["same", "valid", None]))
    stride = [1] * axes if word == "same" else axis_values(1, 3)
    pads = [0] * axes if word else axis_values(0, 2)
    # Padded size must hold the kernel; reflected borders must be smaller than the input.
    size = [max(n, span + 1 - 2 * p, 3) for n, span, p in zip(size, spans, pads, strict=True)]
    size = [max(n, span + 1) for n, span in zip(size, spans, strict=True)] if word == "same" else size
    both = [(s // 2, s - s // 2) for s in spans] if word == "same" else [(p, p) for p in pads]

    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = draw(st.sampled_from([[0.0, 1.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.25, 2.0]]))
    x_BC = random.choice(values, (2, channels, *size)).astype(np.float32)
    shape = (outputs, channels // groups, *kernel)
    weight_OCK = (random.normal(size=shape) * (random.random(shape) < 0.7)).astype(np.float32)
    module = CONVOLUTIONS[axes](
        channels, outputs, kernel, stride, word or pads, dilation, groups, padding_mode=mode
    )  # fmt: skip
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight_OCK))
    return module, Convolution(x_BC, weight_OCK, stride, both, dilation, groups, mode)


@pytest.mark.filterwarnings("ignore:Using padding=.same.:UserWarning")
@settings(max_examples=150, deadline=None)
@given(convolutions())
def test_any_convolution_equals_plain_loops(drawn: tuple[Any, Convolution]) -> None:
    module, case = drawn
    x_BC = torch.from_numpy(case.x_BC)
    counted = only_layer(module, x_BC)
    expected_BC = loops(case)
    assert counted.operations == expected_BC.sum() / 2
    np.testing.assert_array_equal(counted.channel_operations, expected_BC.sum(0) / 2)
    assert counted.analog == bool(np.any((case.x_BC != 0) & (abs(case.x_BC) != 1)))
    assert counted.input_rate == np.count_nonzero(case.x_BC) / case.x_BC.size
    assert counted.connectivity == np.count_nonzero(case.weight_OCK) / case.weight_OCK.size

    case.x_BC, case.weight_OCK = np.ones_like(case.x_BC), np.ones_like(case.weight_OCK)
    assert counted.dense == loops(case)[0].sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_any_linear_layer_equals_plain_loops(seed: int, inputs: int, outputs: int, tokens: bool) -> None:
    random = np.random.default_rng(seed)
    x_BNC = random.choice([-1.0, 0.0, 1.0], (2, 3 if tokens else 1, inputs)).astype(np.float32)
    weight_OC = random.choice([0.0, 0.5], (outputs, inputs)).astype(np.float32)
    module = nn.Linear(inputs, outputs)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight_OC))
    expected_C = np.zeros(inputs)
    for b, n, c, o in np.ndindex(*x_BNC.shape, outputs):
        expected_C[c] += x_BNC[b, n, c] != 0 and weight_OC[o, c] != 0
    counted = only_layer(module, torch.from_numpy(x_BNC if tokens else x_BNC[:, 0]))
    assert counted.accumulates == expected_C.sum() / 2
    np.testing.assert_array_equal(counted.channel_operations, expected_C / 2)
    assert counted.dense == x_BNC.shape[1] * inputs * outputs


def test_border_spikes_reach_fewer_weights() -> None:
    # 27 spikes meet 9 taps, 17 on edges 6, 2 in corners 4; four output channels. All times 9: 1656.
    counted = only_layer(nn.Conv2d(1, 4, 3, padding=1), picture_11HW())
    assert counted.accumulates == (27 * 9 + 17 * 6 + 2 * 4) * 4 == 1412
    assert counted.macs == 0
    assert counted.dense == (3 * 8 - 2) ** 2 * 4  # along an axis of 8, the two border taps miss once each


def test_stride_halves_the_positions_that_exist() -> None:
    # Along one axis at stride 2, padding 1, an even index meets a centre tap only, an odd one both outer taps;
    # index 7 meets one of them, as the next output would lie outside.
    met = [1, 2, 1, 2, 1, 2, 1, 1]
    by_hand = sum(met[i] * met[j] for i, j in picture_11HW()[0, 0].nonzero().tolist()) * 4
    counted = only_layer(nn.Conv2d(1, 4, 3, stride=2, padding=1), picture_11HW())
    assert counted.accumulates == by_hand == 360


def test_zero_weights_are_no_synapses() -> None:
    masked = nn.Conv2d(1, 4, 3, padding=1)
    with torch.no_grad():
        masked.weight[:, :, :, 0] = 0.0  # the left column of taps
    spikes_HW = picture_11HW()[0, 0]
    rows_H = torch.tensor([2, 3, 3, 3, 3, 3, 3, 2])
    columns_W = torch.tensor([1, 2, 2, 2, 2, 2, 2, 2])  # column 0 is the right neighbour of no output
    by_hand = int((spikes_HW * rows_H[:, None] * columns_W).sum()) * 4
    counted = only_layer(masked, picture_11HW())
    assert counted.accumulates == by_hand < 1412
    assert counted.connectivity == pytest.approx(2 / 3)
    assert counted.dense == 22**2 * 4  # zero weights stay in the live shape


def test_one_value_beyond_a_spike_moves_the_layer_to_macs() -> None:
    x_BCHW = picture_11HW()
    x_BCHW[0, 0, 7, 7] = 2.0
    counted = only_layer(nn.Conv2d(1, 4, 3, padding=1), x_BCHW)
    assert (counted.accumulates, counted.macs) == (0, 1412)


def test_copies_made_by_padding_are_real_operations() -> None:
    # One spike in the corner of 4x4, padded to 6x6, stands at (0, 0), (0, 1), (1, 0) and (1, 1). Along an axis the
    # kernel covers index 0 once and index 1 twice.
    x_BCHW = torch.zeros(1, 1, 4, 4)
    x_BCHW[0, 0, 0, 0] = 1.0
    counted = only_layer(nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate"), x_BCHW)
    assert counted.accumulates == 1 + 2 + 2 + 4
    assert counted.input_rate == 1 / 16


def test_dense_operations_of_vgg16_match_the_published_fixture() -> None:
    # Conventional count 1252.8 M at T = 4 counts padding; border-exact it is 989.2 M.
    plan = [
        (3, 64, 32),
        (64, 64, 32),
        (64, 128, 16),
        (128, 128, 16),
        (128, 256, 8),
        (256, 256, 8),
        (256, 256, 8),
    ]
    plan += [(256, 512, 4), (512, 512, 4), (512, 512, 4), *[(512, 512, 2)] * 3]
    modules: list[nn.Module] = []
    size = 32
    for inputs, outputs, side in plan:
        modules += [layer.MaxPool2d(2)] if side < size else []
        modules += [layer.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
        size = side
    meter = SynOpsMeter(network := nn.Sequential(*modules))
    with torch.no_grad(), meter:
        meter.start_batch(4, 1)
        for _ in range(4):
            network(torch.zeros(1, 3, 32, 32))
    report = meter.report()
    assert round(4 * sum(i * o * 9 * s * s for i, o, s in plan) / 1e5) == 12528
    assert report.dense == 4 * sum(i * o * (3 * s - 2) ** 2 for i, o, s in plan)
    assert round(report.dense / 1e5) == 9892
    assert round(report.layers["0"].dense / 1e4) == 679
    assert (report.total, report.accumulates, report.macs) == (0, 0, 0)  # all silent, and no error
