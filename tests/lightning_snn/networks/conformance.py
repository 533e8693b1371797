"""Promises that every registered network family keeps, written once: test classes inherit them.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

import copy
import inspect
import json
import pickle
import pkgutil
from collections.abc import Iterator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.forward import step_mode
from lightning_snn.networks import NETWORKS
from lightning_snn.networks import build_network
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import measure_synops

STEPS, BATCH, CLASSES = 2, 2, 7
Shape = tuple[int, int, int]


class NetworkConformance:
    """Inherit, and give the family and two shapes; ``other`` small where the family is large."""

    family: str
    natural: Shape
    """``(C, H, W)`` that the family was made for: it is built without naming its size."""
    other: Shape
    """Another shape that it can be built for."""
    tested: Shape | None = None
    """One of the two, for all promises that hold at any size; none: the natural one."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Of the family, for a member that is not the default."""

    @property
    def shape(self) -> Shape:
        return self.tested or self.natural

    def build(self, shape: Shape) -> nn.Module:
        size = {} if shape == self.natural else {"image_size": shape[-1]}
        return build_network(self.family, num_classes=CLASSES, in_channels=shape[0], **size, **self.options)

    def awaken_(self, network: nn.Module) -> None:
        """Make layers fire that are silent before training, for want of a batch norm."""

    def inputs(self, shape: Shape, seed: int = 0) -> Tensor:
        return torch.rand(STEPS, BATCH, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    @pytest.fixture(autouse=True)
    def _same_weights_every_time(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield

    @pytest.fixture
    def network(self) -> nn.Module:
        """Firing, with batch norms as of a trained network; in evaluation mode and float64, where no sum is moved."""
        network = self.build(self.shape).double()
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.25, 0.5)
        self.awaken_(network)
        recalibrate_batch_norm_(network, [self.inputs(self.shape, seed=1)])
        return network

    def logits(self, network: nn.Module) -> Tensor:
        with torch.no_grad():
            return run_network(network.eval(), self.inputs(self.shape))

    def test_it_is_registered(self) -> None:
        assert self.family in NETWORKS

    @pytest.mark.parametrize("size", ["natural", "other"])
    def test_it_takes_images_of_its_natural_size_and_of_another(self, size: str) -> None:
        shape: Shape = getattr(self, size)
        network = self.build(shape)
        assert step_mode(network) == "m"
        with torch.no_grad():
            logits_TBK = run_network(network, self.inputs(shape).float())
        assert logits_TBK.shape == (STEPS, BATCH, CLASSES)
        assert logits_TBK.isfinite().all()

    def test_logits_depend_on_input_and_step(self, network: nn.Module) -> None:
        logits_TBK = self.logits(network)
        assert not torch.equal(logits_TBK[:, 0], logits_TBK[:, 1])
        assert not torch.equal(logits_TBK[0], logits_TBK[1])

    def test_both_step_modes_give_the_same_logits(self, network: nn.Module) -> None:
        multi_TBK = self.logits(network)
        functional.set_step_mode(network, "s")
        assert torch.allclose(self.logits(network), multi_TBK, rtol=0, atol=1e-9)

    def test_a_reset_reaches_every_neuron(self, network: nn.Module) -> None:
        assert torch.equal(self.logits(network), self.logits(network))
        functional.reset_net(network)
        assert all(module.v == 0.0 for module in network.modules() if isinstance(module, neuron.BaseNode))

    def test_gradients_reach_every_parameter(self, network: nn.Module) -> None:
        # In evaluation mode: a batch norm in training would take a convolution's bias away.
        torch.autograd.backward(run_network(network, self.inputs(self.shape)).square().sum())
        unreached = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert unreached == []

    def test_every_neuron_gives_spikes_and_some_do(self, network: nn.Module) -> None:
        rates = {}

        def watch(name: str, module: nn.Module) -> None:
            def look(_: nn.Module, __: Any, spikes: Tensor) -> None:
                assert ((spikes == 0) | (spikes == 1)).all()
                rates[name] = float(spikes.mean())

            module.register_forward_hook(look)

        neurons = {name: m for name, m in network.named_modules() if isinstance(m, neuron.BaseNode)}
        for name, module in neurons.items():
            watch(name, module)
        self.logits(network)
        assert set(rates) == set(neurons)
        assert all(0.0 < rate < 0.9 for rate in rates.values())

    def test_it_can_be_copied_after_training_and_a_reset(self, network: nn.Module) -> None:
        torch.autograd.backward(run_network(network.train(), self.inputs(self.shape)).sum())
        functional.reset_net(network)
        copied = copy.deepcopy(network)
        assert torch.equal(self.logits(copied), self.logits(network))

    def test_it_can_be_pickled(self, network: nn.Module) -> None:
        # to another process; never to a file that we read back
        assert torch.equal(self.logits(pickle.loads(pickle.dumps(network))), self.logits(network))

    def test_it_shrinks_in_every_group(self, network: nn.Module) -> None:
        plan = ChannelPlan.trace(network, self.inputs(self.shape))
        keep = {group.name: range(group.width // 2) for group in plan.groups}
        small = plan.shrink(network, keep)
        assert torch.allclose(self.logits(small), self.logits(plan.mask(network, keep)), rtol=0, atol=1e-9)
        again = ChannelPlan.trace(small, self.inputs(self.shape))
        assert {group.name: group.width for group in again.groups} == {name: len(k) for name, k in keep.items()}

    def test_rows_and_columns_may_differ_and_need_not_divide_evenly(self) -> None:
        channels, rows, columns = self.shape
        for size in ([rows, columns + 5], [rows + 3, columns]):
            options = {"image_size": size, **self.options}
            network = build_network(self.family, num_classes=CLASSES, in_channels=channels, **options).double().eval()
            x_TBCHW = self.inputs((channels, *size))[:, :1]
            plan = ChannelPlan.trace(network, x_TBCHW)
            keep = {group.name: range(group.width // 2) for group in plan.groups}
            small_TBK, masked_TBK = (
                run_network(each.eval(), x_TBCHW) for each in (plan.shrink(network, keep), plan.mask(network, keep))
            )
            assert small_TBK.shape == (STEPS, 1, CLASSES)
            assert torch.allclose(small_TBK, masked_TBK, rtol=0, atol=1e-9)
            rebuilt = build_network(self.family, **json.loads(json.dumps(network.architecture))["arguments"]).double()
            rebuilt.load_state_dict(network.state_dict())

    def test_silenced_channels_cost_what_removed_ones_cost(self, network: nn.Module) -> None:
        x_TBCHW = self.inputs(self.shape)
        plan = ChannelPlan.trace(network, x_TBCHW)
        keep = {group.name: range(1, group.width, 3) for group in plan.groups}
        candidates = network, plan.mask(network, keep), plan.shrink(network, keep)
        dense, silenced, small = (measure_synops(candidate, [x_TBCHW]) for candidate in candidates)
        assert 0 < small.total == silenced.total < dense.total
        assert small.standard_error == pytest.approx(silenced.standard_error)
        assert list(small.layers) == list(silenced.layers) == list(dense.layers)
        for name, layer in small.layers.items():
            other = silenced.layers[name]
            assert (layer.accumulates, layer.macs, layer.analog) == (other.accumulates, other.macs, other.analog), name
            by_channel, others = layer.channel_operations, other.channel_operations
            assert np.array_equal(by_channel[by_channel > 0], others[others > 0]), name
            assert layer.dense < other.dense == dense.layers[name].dense

    def test_every_weighted_layer_but_the_last_can_lose_channels(self, network: nn.Module) -> None:
        weighted = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        plan = ChannelPlan.trace(network, self.inputs(self.shape))
        assert sorted(name for group in plan.groups for name in group.layers) == sorted(weighted[:-1])

    def test_its_architecture_rebuilds_it(self, network: nn.Module) -> None:
        architecture = json.loads(json.dumps(network.architecture))
        assert architecture["family"] == self.family
        rebuilt = build_network(architecture["family"], **architecture["arguments"]).double()
        rebuilt.load_state_dict(network.state_dict())
        assert torch.equal(self.logits(rebuilt), self.logits(network))

    def test_the_same_seed_gives_the_same_weights(self) -> None:
        networks = []
        for _ in range(2):
            torch.manual_seed(3)
            networks.append(self.build(self.shape))
        assert all(torch.equal(a, b) for a, b in zip(*(n.parameters() for n in networks), strict=True))

    def test_an_unknown_option_gets_the_nearest_one(self) -> None:
        signature = inspect.signature(pkgutil.resolve_name(NETWORKS[self.family]))
        option = next(name for name in reversed(signature.parameters) if name not in ("num_classes", "in_channels"))
        options = {f"{option}s": 1}
        with pytest.raises(NetworkError, match=rf"has no option '{option}s'\. Did you mean '{option}'\?$"):
            build_network(self.family, num_classes=CLASSES, in_channels=1, **options)
