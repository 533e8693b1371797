"""SR-STE: gradients by hand in both step modes; masked weights are zero in every forward pass."""

from types import MappingProxyType
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.forward import run_network
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import assert_pattern
from lightning_snn.pruners._n_m import masked_layers
from lightning_snn.pruners._n_m import original
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.sr_ste import SRSTE
from tests.lightning_snn.pruners.conformance import PrunerConformance
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import make_bench
from tests.lightning_snn.pruners.conformance import train_
from tests.lightning_snn.pruners.conformance import weights
from tests.lightning_snn.tiny import classifier


class TestSRSTE(PrunerConformance):
    name = "sr_ste"
    target = None
    options = MappingProxyType({"decay": 1e-3})


class TestFlat(TestSRSTE):
    options = MappingProxyType({"blocks": "flat", "n": 1})


class Watched(Callback):
    """Checks the weight of every forward pass, and how often masks change."""

    def __init__(self, network: nn.Module) -> None:
        self.passes, self.masks = 0, set()  # type: ignore[var-annotated]  # bytes
        for name, each, _ in masked_layers(network):
            each.register_forward_hook(lambda module, _, __, name=name: self.check(name, module))

    def check(self, name: str, module: Any) -> None:
        assert_pattern(name, module.weight, Pattern(2, 4, "channels"))
        self.passes += 1
        self.masks.add((module.weight != 0).numpy().tobytes())


@pytest.mark.parametrize("name", ["sr_ste", "spike_nm"])
@pytest.mark.parametrize("recipe", [{"optimizer": "adamw", "learning_rate": 0.02}, {"learning_rate": 0.3}])
def test_masked_weights_are_zero_in_every_pass_whatever_the_optimizer(name: str, recipe: dict[str, Any]) -> None:
    pruner, network = build_pruner(name, bench=make_bench()), dense_network()
    pruner.prepare_(network)
    watched = Watched(network)
    train_(network, [pruner, watched], weight_decay=0.1, **{"momentum": 0.9, **recipe})
    assert watched.passes >= 2 * 9  # two layers, nine batches
    assert len(watched.masks) > 4  # they did change


def two_layers(mode: str) -> nn.Sequential:
    network = nn.Sequential(layer.Flatten(), layer.Linear(4, 4), neuron.IFNode(), layer.Linear(4, 1, bias=False))
    functional.set_step_mode(network, mode)
    return network


@pytest.mark.parametrize("mode", ["m", "s"])
def test_gradients_by_hand(mode: str) -> None:
    bench = Bench(batches=[], example=torch.ones(2, 1, 1, 2, 2), seed=0, dense_synops=1.0)
    network, pruner = two_layers(mode), SRSTE(bench=bench, decay=0.5)
    head: Any = network[3]
    with torch.no_grad():
        head.weight[0] = torch.tensor([3.0, -1.0, 2.0, 0.5])
    pruner.prepare_(network)
    assert head.weight.tolist() == [[3.0, 0.0, 2.0, 0.0]]
    spikes_TBC: list[Tensor] = []
    head.register_forward_pre_hook(lambda _, args: spikes_TBC.append(args[0].detach().reshape(-1, 4)))
    torch.autograd.backward(run_network(network, 3 * torch.rand(2, 1, 1, 2, 2)).sum())
    straight_through = torch.cat(spikes_TBC).sum(0)  # dL/d(w * mask) for all four weights
    model = classifier(network)
    pruner.on_before_optimizer_step(pl.Trainer(logger=False, enable_checkpointing=False), model)
    expected = straight_through + 0.5 * torch.tensor([0.0, -1.0, 0.0, 0.5])
    assert original(head).grad is not None
    assert torch.allclose(original(head).grad[0], expected)  # type: ignore[index]  # asserted above


def test_pruning_leaves_the_trained_network_as_it_is_and_parametrized() -> None:
    pruner, network = SRSTE(bench=make_bench()), dense_network()
    pruner.prepare_(network)
    before = {name: each.weight.detach().clone() for name, each, _ in masked_layers(network)}
    pruned = pruner.prune(network)
    assert before.keys() == {"features.3", "classifier"}
    for name, each, _ in masked_layers(network):
        assert torch.equal(each.weight, before[name])
        assert torch.equal(weights(pruned.network)[name], before[name])
    assert list(masked_layers(pruned.network)) == []
    assert type(pruned.network.get_submodule("classifier")) is layer.Linear
    assert pruned.network.state_dict().keys() == dense_network().state_dict().keys()
    assert make_bench().synops(network) == make_bench().synops(pruned.network) < make_bench().dense_synops


def test_a_pattern_that_was_broken_is_noticed_at_the_end_of_the_epoch() -> None:
    pruner, network = SRSTE(bench=make_bench()), dense_network()
    pruner.prepare_(network)
    trainer = pl.Trainer(logger=False, enable_checkpointing=False)
    pruner.on_train_epoch_end(trainer, classifier(network))
    for _, _, mask in masked_layers(network):
        mask.forward = lambda weight: weight  # type: ignore[method-assign]  # broken on purpose
    with pytest.raises(PruningError, match=r"^Layer features\.3 must have at most 2 live"):
        pruner.on_train_epoch_end(trainer, classifier(network))


def test_a_network_that_was_not_prepared_is_not_dense_without_a_word() -> None:
    with pytest.raises(PruningError, match=r"Train with the pruner as a callback, after prepare_\(network\)"):
        SRSTE(bench=make_bench()).prune(dense_network())


def test_a_decay_that_grows_is_refused() -> None:
    with pytest.raises(PruningError, match=r"^pruning\.options\.decay must be at least 0, found -1\.$"):
        SRSTE(bench=make_bench(), decay=-1.0)
