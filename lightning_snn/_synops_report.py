"""What a SynOps measurement says: by layer, and in sum.

Axes: N samples, C input channels.
"""

import math
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FirstLayer = Literal["apart", "add", "drop"]
AnalogHidden = Literal["add", "apart"]

LEAST_ERRORS = 4.0
"""A total of fewer standard errors than this is too uncertain to take shares of: by a quarter. Ours."""
LEAST_AT_END = 0.1
"""Operations per sample of the last layer, at one of which a sample at least: with fewer, nine samples in ten reach
no output, and a network says the same of them all. Ours."""


@dataclass(frozen=True, kw_only=True)
class LayerSynOps:
    """Operations of one layer, means per sample, summed over the time steps."""

    accumulates: float
    """Non-zero inputs times live fan-out, if all inputs of the measurement were -1, 0 or 1; else 0."""
    macs: float
    """The same count, if any input had another value; else 0."""
    dense: float
    """Multiply-accumulates if no input and no weight were zero; padding is not counted."""
    input_rate: float
    """Share of non-zero inputs, in [0, 1]."""
    is_first: bool
    """Whether this weighted layer was executed first (it sees pixels or event counts)."""
    analog: bool
    """Whether the operations are in the column ``macs``."""
    connectivity: float
    """Non-zero weights / all weights, in [0, 1]."""
    channel_operations: NDArray[np.float64] = field(compare=False, repr=False)
    """Operations by input channel (feature of a linear layer), ``[C]``; they sum to those of the layer."""

    @property
    def operations(self) -> float:
        """Accumulates and MACs; one of the two is 0."""
        return self.accumulates + self.macs


@dataclass(frozen=True, kw_only=True)
class SynOpsReport:
    """Operations of a network, means per sample, summed over the time steps."""

    total: float
    """The budgeted figure; which layers are in it, the two switches of the measurement say."""
    accumulates: float
    """Sum of the layers' column; with ``first_layer="drop"`` without the first layer, as the next two."""
    macs: float
    """Sum of the layers' column."""
    dense: float
    """Sum of the layers' column."""
    samples: int
    """Number of samples, N."""
    standard_error: float
    """Of ``total``: standard deviation over the samples (N - 1) / sqrt(N); NaN for a single sample."""
    layers: dict[str, LayerSynOps]
    """Every weighted layer that was executed, in order of execution."""
    budgeted: tuple[str, ...]
    """The layers that are in ``total``."""

    def too_little(self) -> str | None:
        """Say why the operations are too few for shares of them to mean anything; None where they are not."""
        if self.total == 0.0:
            return "it causes no SynOps at all"
        if self.samples > 1 and self.total < LEAST_ERRORS * self.standard_error:
            return (
                f"it causes {self.total:.3g} SynOps per sample, with a standard error of {self.standard_error:.2g} "
                f"over {self.samples:,} samples"
            )
        return None

    def silent_end(self) -> str | None:
        """Say of a network whose last layer hears hardly anything what that means; None where it hears enough."""
        last, layer = list(self.layers.items())[-1]
        if layer.operations >= LEAST_AT_END:
            return None
        return (
            f"its last layer, {last}, gets {layer.operations:.2g} operations per sample, so that it answers the same "
            "whatever the input"
        )


def summarise(
    layers: dict[str, LayerSynOps],
    operations_N: dict[str, NDArray[np.float64]],
    first_layer: FirstLayer,
    analog_hidden: AnalogHidden,
) -> SynOpsReport:
    """Sum layers up, as the two switches say.

    Args:
        layers: Every layer, in order of execution.
        operations_N: Operations of each sample, by the same names.
        first_layer: ``"add"``: in the total; ``"apart"``: not; ``"drop"``: not in the columns' sums either.
        analog_hidden: Whether operations of later layers with analog input are in the total.
    """
    summed = [layer for layer in layers.values() if not (layer.is_first and first_layer == "drop")]
    budgeted = tuple(
        name
        for name, layer in layers.items()
        if (first_layer == "add" if layer.is_first else analog_hidden == "add" or not layer.analog)
    )
    samples = len(next(iter(operations_N.values())))
    total_N = np.sum([operations_N[name] for name in budgeted], axis=0) if budgeted else np.zeros(samples)
    return SynOpsReport(
        total=float(total_N.sum()) / samples,
        accumulates=math.fsum(layer.accumulates for layer in summed),
        macs=math.fsum(layer.macs for layer in summed),
        dense=math.fsum(layer.dense for layer in summed),
        samples=samples,
        standard_error=float(total_N.std(ddof=1)) / math.sqrt(samples) if samples > 1 else math.nan,
        layers=layers,
        budgeted=budgeted,
    )
