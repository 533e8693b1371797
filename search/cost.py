"""The static cost of a pruned network: spikes of the *dense* network on the kept channels, times the pruned fan-out.

It costs microseconds, so that a proposal can be bent onto the budget before anything is measured. It ignores that
firing rates change with pruning; the search corrects it by measurement, and feasibility never rests on it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import SynOpsReport

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerCost:
    """One counted layer: what its kept inputs cost, and which share of its outputs is left.

    ``inputs[g][n]`` are the operations per sample that the first n kept channels of group g cause while all
    outputs are there; ``outputs[g]`` is the share of the layer's outputs that one channel of group g stands for.
    """

    fixed_inputs: float
    inputs: Mapping[int, Floats]
    fixed_outputs: float
    outputs: Mapping[int, float]

    def __call__(self, widths: Sequence[int]) -> float:
        """Return the operations per sample with ``widths[g]`` channels in group g."""
        caused = self.fixed_inputs + sum(float(table[widths[g]]) for g, table in self.inputs.items())
        return caused * (self.fixed_outputs + sum(share * widths[g] for g, share in self.outputs.items()))


@dataclass(frozen=True)
class CostModel:
    """Static SynOps of any widths, summed over the layers that count in the budget."""

    layers: Mapping[str, LayerCost]

    def __call__(self, widths: Sequence[int]) -> float:
        """Return SynOps per sample with ``widths[g]`` channels in group g, groups in network order."""
        return sum(layer(widths) for layer in self.layers.values())


def measure_cost_model(
    network: nn.Module, plan: ChannelPlan, report: SynOpsReport, order: Mapping[str, Sequence[int]]
) -> CostModel:
    """Build the cost model from one measurement of the dense network.

    Args:
        network: The dense network.
        plan: Its channel groups.
        report: Its measured operations by layer and input channel.
        order: Group name -> channel indices, the ones kept longest first.
    """
    uses: dict[str, list[tuple[int, Any]]] = {}
    for index, group in enumerate(plan.groups):
        for use in plan.positions(group.name):
            uses.setdefault(use.layer, []).append((index, use))
    layers = {}
    for name, measured in report.layers.items():
        if name not in report.budgeted:
            continue
        operations_I = measured.channel_operations
        covered_I, tables, shares = np.zeros(len(operations_I), dtype=bool), {}, {}
        for index, use in uses.get(name, []):
            if use.side == "in":
                kept_first_CP = np.asarray(use.positions_CP)[list(order[plan.groups[index].name])]
                covered_I[kept_first_CP.ravel()] = True
                tables[index] = np.concatenate([[0.0], np.cumsum(operations_I[kept_first_CP].sum(axis=1))])
            elif use.side == "out":
                shares[index] = use.positions_CP.shape[1] / _out_channels(network.get_submodule(name))
        if getattr(network.get_submodule(name), "groups", 1) > 1 and set(tables) & set(shares):
            # A channel of a depthwise convolution only reaches itself, so its outputs fall with its inputs.
            shares = {}
        covered_share = sum(share * plan.groups[g].width for g, share in shares.items())
        layers[name] = LayerCost(float(operations_I[~covered_I].sum()), tables, 1.0 - covered_share, shares)
    return CostModel(layers)


def _out_channels(module: nn.Module) -> int:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return len(weight)
