"""Where the samples of pools come from, and what is known of them."""

from typing import cast

import numpy as np
import pytest
import torch

from lightning_snn.networks import build_network
from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import measure_synops
from search.ablations.energy import on_budget
from search.ablations.linearity import one_layer_least
from search.ablations.pool import all_spiking
from search.ablations.pool import other_widths
from search.ablations.pool import usual_widths
from search.budget import Budget
from search.cost import measure_cost_model
from search.space import SearchContext
from tests.search.strategies.conformance import make_context

CONTEXT = cast(SearchContext, make_context())
DENSE = CONTEXT.dense_cost
BUDGET = Budget(0.5 * DENSE, DENSE)


def test_one_layer_is_at_its_least_and_the_others_make_up_for_it() -> None:
    groups = len(CONTEXT.full)
    drawn = one_layer_least(3 * groups, CONTEXT, BUDGET, seed=0)
    levels: dict[int, list[float]] = {}
    for index, widths in enumerate(drawn):
        group = index % groups
        assert widths[group] == max(1, round(CONTEXT.low * CONTEXT.full[group]))
        others = [width / full for g, (width, full) in enumerate(zip(widths, CONTEXT.full, strict=True)) if g != group]
        assert min(others) > 2 * widths[group] / CONTEXT.full[group]
        levels.setdefault(group, []).append(CONTEXT.cost(widths) / DENSE)
    assert len({tuple(widths) for widths in drawn}) == len(drawn)
    for found in levels.values():  # 0.45, 0.5 and 0.55 of dense, or less where the others cannot give that
        assert max(found) <= 0.55
        assert max(found) / min(found) == pytest.approx(1.1 / 0.9, rel=0.1)


def test_other_widths_are_no_siblings_of_the_usual_ones() -> None:
    usual, other = (draw(16, CONTEXT, BUDGET, 3) for draw in (usual_widths, other_widths))
    assert not {tuple(widths) for widths in usual} & {tuple(widths) for widths in other}
    assert other == other_widths(16, CONTEXT, BUDGET, 3)
    costs = [CONTEXT.cost(widths) / DENSE for widths in other]
    assert 0.35 < min(costs) < 0.45 < 0.55 < max(costs) <= 0.6


def test_candidates_on_the_budget_cost_nearly_the_same() -> None:
    costs = [CONTEXT.cost(widths) / DENSE for widths in on_budget(16, CONTEXT, BUDGET, 0)]
    assert max(costs) <= 0.5
    assert min(costs) > 0.47


def test_all_inputs_spiking_is_the_dense_operations_of_the_pruned_network() -> None:
    network = build_network("vgg_small", num_classes=3, in_channels=1, image_size=8, plan=(6, 4, "M", 5))
    x_TBCHW = torch.rand(2, 3, 1, 8, 8)
    plan = ChannelPlan.trace(network, x_TBCHW[:, :1])
    report = measure_synops(network, [x_TBCHW])
    order = {group.name: list(range(group.width)) for group in plan.groups}
    macs = measure_cost_model(network, plan, all_spiking(report), order)
    keep = {group.name: list(range(width)) for group, width in zip(plan.groups, (3, 2, 4), strict=True)}
    smaller = measure_synops(plan.shrink(network, keep), [x_TBCHW])
    for widths, found in (([6, 4, 5], report), ([3, 2, 4], smaller)):
        expected = sum(found.layers[name].dense for name in report.budgeted)
        assert macs(widths) == pytest.approx(expected, rel=1e-9)
    assert np.isfinite(macs([1, 1, 1]))
