"""Static features of each channel group: what a learning strategy may know of a layer before it acts."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import SynOpsReport

Floats = NDArray[np.float64]


def layer_features(network: nn.Module, plan: ChannelPlan, report: SynOpsReport) -> Floats:
    """Return the static state features of each group, ``[L, F]``, each column scaled to [0, 1].

    Columns: position, linear or convolution, channels in, channels out, stride, kernel size, operations per output
    channel (in place of the map's height and width, which follow from it and the rates), share of the dense
    SynOps that the group's consumers cause, input rate of the group's first producer.
    Source: after AMC's static fields; rates and shares are ours.
    """
    total = sum(layer.accumulates + layer.macs for layer in report.layers.values()) or 1.0
    rows = []
    for position, group in enumerate(plan.groups):
        producer = network.get_submodule(group.layers[0])
        weight = producer.weight
        assert isinstance(weight, Tensor)
        measured = report.layers.get(group.layers[0])
        caused = sum(
            report.layers[name].accumulates + report.layers[name].macs
            for name in group.consumers
            if name in report.layers
        )
        rows.append(
            [
                position / max(1, len(plan.groups) - 1),
                float(isinstance(producer, nn.Linear)),
                weight.shape[1],
                group.width,
                _first(getattr(producer, "stride", 1)),
                weight.shape[-1] if weight.ndim > 2 else 1,
                (measured.dense if measured else 0.0) / group.width,
                caused / total,
                measured.input_rate if measured else 0.0,
            ]
        )
    features_LF = np.asarray(rows, dtype=np.float64)
    span_F = np.ptp(features_LF, axis=0)
    scaled_LF: Floats = (features_LF - features_LF.min(axis=0)) / np.where(span_F > 0.0, span_F, 1.0)
    return scaled_LF


def _first(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]
