"""Energies of one network, against sums worked by hand."""

import math

import pytest
import torch
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import nn

from lightning_snn.synops import measure_synops
from search.ablations import energy
from search.ablations.energy import arithmetic
from search.ablations.energy import lemaire


def network() -> nn.Module:
    """Two neurons that spike at every step see pixels of 1; their spikes reach three outputs."""
    built = nn.Sequential(
        layer.Flatten(step_mode="m"),
        layer.Linear(4, 2, bias=False, step_mode="m"),
        neuron.IFNode(step_mode="m"),
        layer.Linear(2, 3, bias=False, step_mode="m"),
    )
    for parameter in built.parameters():
        nn.init.constant_(parameter, 1.0)
    return built


X_TBCHW = torch.full((2, 5, 1, 2, 2), 0.5)


def test_arithmetic_by_hand() -> None:
    """A sample: 2 steps of 4 pixels to 2 outputs are 16 MACs, 2 steps of 2 spikes to 3 outputs 12 accumulates."""
    found = arithmetic(measure_synops(network(), [X_TBCHW]))
    assert found["fp32, layers in the budget"] == pytest.approx(12 * 0.9 / 1000)
    assert found["fp32, all layers"] == pytest.approx((12 * 0.9 + 16 * 4.6) / 1000)
    assert found["int8, all layers"] == pytest.approx((12 * 0.03 + 16 * 0.23) / 1000)
    assert found["dense MACs, fp32 (no sparsity)"] == pytest.approx((12 + 16) * 4.6 / 1000)


def test_lemaires_model_is_of_one_sample() -> None:
    """16 MACs at 3.2 pJ and 12 + 4 accumulates (a reset for each spike) at 0.1 pJ; the rest is addresses."""
    one, many = (lemaire(network(), X_TBCHW[:, :count]) for count in (1, 5))
    assert one == pytest.approx(many)
    assert 16 * 3.2 + 16 * 0.1 <= 1000 * one["Lemaire, arithmetic and neurons"] < 2 * (16 * 3.2 + 16 * 0.1)
    assert one["Lemaire, with memory"] > one["Lemaire, arithmetic and neurons"]


def test_orders_agree_by_kendalls_tau() -> None:
    same, turned = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]
    candidates = [{"synops": x, "alike": 2 * x, "other": y} for x, y in zip(same, turned, strict=True)]
    assert energy.kendalls_tau(candidates, "alike") == 1.0
    assert energy.kendalls_tau(candidates, "other") == pytest.approx(4 / 6)  # one of six pairs
    level = [{"synops": 5.0, "alike": 2.0, "other": 1.0}, {"synops": 5.0, "alike": 2.0, "other": 3.0}]
    assert energy.variation(level, "other") == pytest.approx(math.sqrt(2.0) / 2.0)
    finding = energy.conclude([{"spread": candidates, "on budget": level}] * 2)
    assert "have the order of their SynOps (Kendall's tau of 0.9 or more) by: alike (1.00" in finding.conclusion
    assert "have another order by: other (0.67 ± 0.00)." in finding.conclusion
    assert "in SynOps by 0.0 ± 0.0 % (standard deviation over mean), in energy by at most 70.7" in finding.conclusion
    assert [row[2] for row in finding.rows] == ["0.0 ± 0.0", "16.7 ± 0.0"]
