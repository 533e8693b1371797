"""The running count of one layer: what its inputs cost, sample by sample.

A batch costs a comparison with zero and two products with that mask: with the fan-out map (operations of each
row) and with ones (non-zero values at each position). The mask is float64, so all sums are exact integers
below 2^53; autocast, TF32 and bf16 matrix products leave float64 alone. Nothing here waits for the device.

Axes: T time steps, B batch, C input channels, S input positions (1 for a linear layer), X = C * S;
R rows, all axes before the channels (B, T and B, or T * B; tokens may follow); r rows of a chunk.
"""

import torch
from torch import Tensor

from lightning_snn._fan_out import FanOut
from lightning_snn._fan_out import WeightedLayer
from lightning_snn._fan_out import axis_count
from lightning_snn._fan_out import fan_out
from lightning_snn.time_axis import steps_in

CPU_CHUNK = 2**17
"""Input values looked at in one go on a CPU, so that mask and helpers stay in its second-level cache."""
DEVICE_CHUNK = 2**24
"""The same on an accelerator, where launches cost more than memory."""


class LayerCounter:
    """Counts of one layer since the start of a measurement, on the device of its inputs."""

    def __init__(self, name: str, layer: WeightedLayer) -> None:
        """Count nothing yet."""
        self.name = name
        self.layer = layer
        self.operations_B: dict[int, Tensor] = {}
        """Batch index -> operations of each of its samples, float64."""
        self.channel_operations_C = torch.zeros((), dtype=torch.float64)
        self.nonzero = torch.zeros((), dtype=torch.float64)
        self.analog = torch.zeros((), dtype=torch.bool)
        """Sticky: whether any value so far was outside {-1, 0, 1}."""
        self.connectivity = torch.zeros((), dtype=torch.float64)
        self.values = 0
        self.dense = 0
        self._fan_outs: dict[tuple[tuple[int, ...], torch.device], FanOut] = {}

    def forget_fan_out(self) -> None:
        """Drop the cached maps, because weights may have changed."""
        self._fan_outs.clear()

    def count(self, x: Tensor, batch: int, time_steps: int, batch_size: int) -> None:
        """Add one call of the layer.

        Args:
            x: The input of this call.
            batch: Index of the batch it belongs to; calls of one batch add up.
            time_steps: T of that batch.
            batch_size: B of that batch.

        Raises:
            NetworkError: If the rows of ``x`` cannot be told apart by sample.
        """
        size = tuple(x.shape[x.ndim - axis_count(self.layer) :])
        steps = steps_in(self.name, self.layer, x, time_steps, batch_size)  # no total depends on it
        if (size, x.device) not in self._fan_outs:
            self._fan_outs[size, x.device] = fan_out(self.layer, size)
        costs = self._fan_outs[size, x.device]
        x_RX = x.reshape(-1, costs.live_CS.numel())
        operations_R, nonzero_X, analog = _count_rows(x_RX, costs.live_CS.flatten())

        operations_B = operations_R.view(steps, batch_size, -1).sum((0, 2))
        earlier = self.operations_B.get(batch)
        self.operations_B[batch] = operations_B if earlier is None else earlier + operations_B
        channels_C = (nonzero_X.view_as(costs.live_CS) * costs.live_CS).sum(1)
        self.channel_operations_C = self.channel_operations_C.to(x.device) + channels_C
        self.nonzero = self.nonzero.to(x.device) + nonzero_X.sum()
        self.analog = self.analog.to(x.device) | analog
        self.connectivity = costs.connectivity
        self.values += x.numel()
        self.dense += costs.dense * len(x_RX)


def _count_rows(x_RX: Tensor, fan_out_X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return operations ``[R]``, non-zero values by position ``[X]`` (float64), and whether any is analog."""
    chunk = CPU_CHUNK if x_RX.device.type == "cpu" else DEVICE_CHUNK
    rows = min(len(x_RX), max(1, chunk // x_RX.shape[1]))
    mask_rX = torch.empty_like(x_RX[:rows], dtype=torch.float64)
    excess_rX = torch.empty_like(x_RX[:rows], dtype=torch.promote_types(x_RX.dtype, torch.float32))
    ones_r = torch.ones_like(mask_rX[:, 0])
    operations_R = torch.empty_like(x_RX[:, 0], dtype=torch.float64)
    nonzero_X = torch.zeros_like(fan_out_X)
    excess = torch.zeros_like(fan_out_X[0])
    for part_rX, operations_r in zip(torch.split(x_RX, rows), torch.split(operations_R, rows), strict=True):
        size = len(part_rX)
        torch.ne(part_rX, 0, out=mask_rX[:size])
        torch.mv(mask_rX[:size], fan_out_X, out=operations_r)
        nonzero_X.addmv_(mask_rX[:size].T, ones_r[:size])
        # |x| = x * x for -1, 0 and 1 only, rounding included; NaN and infinity give NaN, which is not 0.
        exact_rX = part_rX.to(excess_rX.dtype)
        torch.abs(exact_rX, out=excess_rX[:size]).addcmul_(exact_rX, exact_rX, value=-1)
        excess += excess_rX[:size].abs_().sum()
    return operations_R, nonzero_X, excess != 0
