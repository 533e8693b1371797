"""When a measurement has too little to divide by."""

import numpy as np
import pytest

from lightning_snn._synops_report import LayerSynOps
from lightning_snn._synops_report import SynOpsReport
from lightning_snn._synops_report import summarise


def measured(hidden_N: list[float], head_N: list[float]) -> SynOpsReport:
    """Of a network whose first layer is apart, from the operations of each sample."""
    operations_N = {"first": np.full(len(hidden_N), 90.0), "hidden": np.array(hidden_N), "head": np.array(head_N)}
    layers = {
        name: LayerSynOps(
            accumulates=float(values_N.mean()),
            macs=0.0,
            dense=100.0,
            input_rate=0.1,
            is_first=name == "first",
            analog=False,
            connectivity=1.0,
            channel_operations=values_N,
        )
        for name, values_N in operations_N.items()
    }
    return summarise(layers, operations_N, "apart", "add")


@pytest.mark.parametrize(
    ("hidden_N", "head_N", "said"),
    [
        ([0.0] * 40, [0.0] * 40, "it causes no SynOps at all"),
        ([90.0] + [0.0] * 39, [10.0] + [0.0] * 39, "2.5 SynOps per sample, with a standard error of 2.5 over 40"),
    ],
)
def test_too_few_operations_are_named(hidden_N: list[float], head_N: list[float], said: str) -> None:
    assert said in (measured(hidden_N, head_N).too_little() or "")


@pytest.mark.parametrize(
    ("hidden_N", "head_N"),
    [
        ([30.0, 70.0] * 20, [10.0] * 40),
        ([0.0, 0.0, 300.0] * 20, [0.0, 0.0, 10.0] * 20),  # two samples in three are silent: 6 standard errors
        ([50.0], [10.0]),  # of a single sample there is no standard error
    ],
)
def test_enough_operations_are(hidden_N: list[float], head_N: list[float]) -> None:
    assert measured(hidden_N, head_N).too_little() is None


@pytest.mark.parametrize(
    ("head_N", "said"),
    [
        ([0.0] * 40, "its last layer, head, gets 0 operations per sample, so that it answers the same"),
        ([3.0] + [0.0] * 39, "its last layer, head, gets 0.075 operations per sample"),
        ([5.0] + [0.0] * 39, None),
    ],
)
def test_a_last_layer_that_hears_nothing_is_named(head_N: list[float], said: str | None) -> None:
    report = measured([50.0] * 40, head_N)
    assert report.too_little() is None
    assert said in report.silent_end() if said else report.silent_end() is None
