"""SpikeNM: gradients and schedules by hand, one draw a batch, masks that settle, and that it finds what matters."""

import math
from types import MappingProxyType
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.fit import fit
from lightning_snn.pruners import spike_nm
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._n_m import masked_layers
from lightning_snn.pruners._n_m import original
from lightning_snn.pruners._subset import gumbel_like
from lightning_snn.pruners._subset import relaxed_subset
from lightning_snn.pruners.spike_nm import LearnedMask
from lightning_snn.pruners.spike_nm import SpikeNM
from tests.lightning_snn.pruners.conformance import Data
from tests.lightning_snn.pruners.conformance import PrunerConformance
from tests.lightning_snn.pruners.conformance import dense_network
from tests.lightning_snn.pruners.conformance import make_bench
from tests.lightning_snn.pruners.conformance import train_
from tests.lightning_snn.pruners.conformance import weights
from tests.lightning_snn.tiny import CLASSES
from tests.lightning_snn.tiny import classifier

PATTERN = Pattern(2, 4, "channels")


class TestSpikeNM(PrunerConformance):
    name = "spike_nm"
    target = None
    options = MappingProxyType({"every": 2, "noise": 1.0})


class TestWithoutCredits(TestSpikeNM):
    options = MappingProxyType({"eid": False, "n": 1, "blocks": "flat"})


def learned(network: nn.Module) -> dict[str, LearnedMask]:
    return {name: mask for name, _, mask in masked_layers(network) if isinstance(mask, LearnedMask)}


def test_gradients_of_weights_and_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = LearnedMask(PATTERN, torch.randn(6, 4, generator=generator), 0.05)
    mask.noise.copy_(torch.randn(6, 4, generator=generator))
    mask.temperature.fill_(0.7)
    weight = torch.randn(3, 8, generator=generator, requires_grad=True)
    arriving = torch.randn(3, 8, generator=generator)
    torch.autograd.backward(mask(weight), arriving)
    scores_RM = (mask.logits + mask.noise).detach().requires_grad_()
    hard = torch.zeros(6, 4).scatter_(1, scores_RM.detach().topk(2).indices, 1.0).reshape(3, 8)
    assert torch.equal(mask(weight), weight * hard)
    assert weight.grad is not None
    soft_RM = relaxed_subset(scores_RM, 2, 0.7)
    assert torch.allclose(weight.grad, arriving * soft_RM.detach().reshape(3, 8))
    torch.autograd.backward(soft_RM, (arriving * weight.detach()).reshape(6, 4))
    assert mask.logits.grad is not None
    assert scores_RM.grad is not None
    assert torch.allclose(mask.logits.grad, scores_RM.grad)


def test_evaluation_takes_the_highest_logits_without_noise() -> None:
    mask = LearnedMask(PATTERN, torch.tensor([[1.0, 4.0, 2.0, 3.0]]), 0.05)
    mask.noise.copy_(torch.tensor([[9.0, 0.0, 0.0, 9.0]]))
    weight = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert mask.train()(weight).tolist() == [[1.0, 0.0, 0.0, 4.0]]
    assert mask.eval()(weight).tolist() == [[0.0, 2.0, 0.0, 4.0]]


def test_pruning_in_the_middle_of_a_training_takes_the_highest_logits_too() -> None:
    pruner, network = SpikeNM(bench=make_bench()), dense_network()
    pruner.prepare_(network)
    network.train()
    mask = learned(network)["classifier"]
    mask.noise.copy_(-100.0 * mask.logits.detach())
    pruned = pruner.prune(network)
    assert network.training
    expected_OI = original(network.get_submodule("classifier")).detach()  # type: ignore[arg-type]  # a linear layer
    alive_OI = pruned.masks["classifier"]
    assert int(alive_OI.sum()) == 48
    highest_R2 = mask.logits.topk(2).indices
    assert bool(alive_OI.reshape(-1, 4).gather(1, highest_R2).all())
    assert torch.equal(weights(pruned.network)["classifier"], expected_OI * alive_OI)


class Spy(Callback):
    """Notes what the pruner leaves behind in every batch, and the weights of every forward pass."""

    def __init__(self, network: nn.Module) -> None:
        self.temperatures: list[float] = []
        self.sizes: list[float] = []
        self.logits: list[Tensor] = []
        self.groups: list[tuple[float, ...]] = []
        self.gradients: list[Tensor | None] = []
        self.passes: list[list[bytes]] = []
        (_, self.layer, _), *_ = masked_layers(network)
        self.layer.register_forward_hook(self.note)

    def note(self, module: Any, *_: Any) -> None:
        if module.training:
            self.passes[-1].append((module.weight != 0).numpy().tobytes())

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        mask = next(iter(learned(pl_module.network).values()))  # type: ignore[arg-type]  # a linear layer  # Lightning's __getattr__
        self.temperatures.append(float(mask.temperature))
        self.sizes.append(float(mask.noise.std()))
        self.logits.append(mask.logits.detach().clone())
        self.passes.append([])

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        mask = next(iter(learned(pl_module.network).values()))  # type: ignore[arg-type]  # a linear layer  # Lightning's __getattr__
        self.gradients.append(None if mask.logits.grad is None else mask.logits.grad.clone())
        self.groups = [
            tuple(group[key] for key in ("initial_lr", "weight_decay", "momentum"))
            for group in trainer.optimizers[0].param_groups
        ]


def spied(mode: str = "m", epochs: int = 8, **options: Any) -> Spy:
    """Train for 24 steps, of which the last quarter are the last six."""
    pruner, network = SpikeNM(bench=make_bench(), noise=1.0, **options), dense_network()
    functional.set_step_mode(network, mode)
    pruner.prepare_(network)
    spy = Spy(network)
    recipe = {"learning_rate": 0.05, "weight_decay": 1e-3, "optimizer": "sgd", "momentum": 0.9}
    trainer = {"accelerator": "cpu", "devices": 1}
    fit(
        network,
        Data(),
        epochs=epochs,
        seed=0,
        num_classes=CLASSES,
        time_steps=2,
        recipe=recipe,
        trainer=trainer,
        callbacks=[pruner, spy],
    )
    return spy


@pytest.mark.parametrize("mode", ["m", "s"])
def test_masks_are_drawn_once_a_batch_and_settle(mode: str) -> None:
    spy = spied(mode)
    drawn = [masks[0] for masks in spy.passes]
    assert [len(masks) for masks in spy.passes] == [1 if mode == "m" else 2] * 24
    assert all(len(set(masks)) == 1 for masks in spy.passes)  # the same in all steps of time
    assert len(set(drawn[:17])) == 17
    assert len(set(drawn[18:])) == 1
    assert not torch.equal(spy.logits[17], spy.logits[18])
    assert all(torch.equal(logits, spy.logits[18]) for logits in spy.logits[18:])


def test_schedules_by_hand() -> None:
    spy = spied(eid=False)
    assert spy.temperatures[0] == 4.0
    assert spy.temperatures[12] == pytest.approx(math.sqrt(4.0 * 0.05))
    assert spy.temperatures[23] == pytest.approx(4.0 * (0.05 / 4.0) ** (23 / 24))
    gumbel = math.pi / math.sqrt(6)  # standard deviation
    assert spy.sizes[0] == pytest.approx(gumbel, rel=0.2)
    assert spy.sizes[9] == pytest.approx(0.5 * gumbel, rel=0.2)
    assert spy.sizes[18:] == [0.0] * 6
    assert [spike_nm._eid_share(p) for p in (0.0, 0.05, 0.1, 0.425, 0.75, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0, 0])


def test_gradients_of_logits_have_unit_size_and_a_group_of_their_own() -> None:
    spy = spied(eid=False, logit_learning_rate=0.02)
    assert spy.groups == [(0.05, 1e-3, 0.9), (0.02, 0.0, 0.0)]
    sizes = [float(gradient.square().mean().sqrt()) for gradient in spy.gradients[:18] if gradient is not None]
    assert sizes == pytest.approx([1.0] * 18)
    assert spy.gradients[18:] == [None] * 6


def test_distillation_by_hand() -> None:
    pruner, network = SpikeNM(bench=make_bench(), eid_weight=0.5, sharpness=2.0), dense_network()
    pruner.prepare_(network)
    mask = learned(network)["classifier"]
    with torch.no_grad():
        mask.logits.zero_()
        mask.credits.zero_()
        mask.credits[0] = torch.tensor([2.0, 1.0, 1.0, 0.0])
    mask.logits.grad = torch.zeros_like(mask.logits)
    mask.logits.grad[1] = torch.tensor([0.3, 0.0, 0.0, -0.4])
    trainer: Any = SimpleNamespace(global_step=1, estimated_stepping_batches=10)  # at its full weight
    pruner.on_before_optimizer_step(trainer, classifier(network))
    rms = math.sqrt(0.25 / mask.logits.numel())
    powers = [math.exp(2.0 * credit) for credit in (2.0, 1.0, 1.0, 0.0)]
    pulled = [0.5 * 4 * (0.25 - power / sum(powers)) for power in powers]
    assert mask.logits.grad[0].tolist() == pytest.approx(pulled, rel=1e-5)
    assert mask.logits.grad[1].tolist() == pytest.approx([0.3 / rms, 0.0, 0.0, -0.4 / rms], rel=1e-5, abs=1e-6)


def test_credits_are_kept_from_one_batch_of_so_many() -> None:
    taken: dict[int, int] = {}
    for every in (1, 3):
        pruner, network = SpikeNM(bench=make_bench(), every=every), dense_network()
        pruner.prepare_(network)
        changes = Changes(network)
        train_(network, [pruner, changes])
        taken[every] = changes.count
    # three epochs of three batches, the first two epochs and one batch of the third before 3/4 of the training
    assert taken == {1: 7, 3: 3}


class Changes(Callback):
    """Counts the batches that changed the credits."""

    def __init__(self, network: nn.Module) -> None:
        self.mask, self.count = next(iter(learned(network).values())), 0
        self.before = self.mask.credits.clone()

    def on_train_batch_end(self, *_: Any) -> None:
        self.count += not torch.equal(self.before, self.mask.credits)
        self.before = self.mask.credits.clone()


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_it_finds_the_weights_that_matter(noise: float) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mask, weight = LearnedMask(PATTERN, 0.01 * torch.randn(16, 4, generator=generator), 0.05), torch.ones(16, 4)
        wanted = torch.rand(16, 4, generator=generator).argsort(1) < 2
        optimizer = torch.optim.Adam([mask.logits], 0.05)
        for step in range(150):
            with torch.no_grad():
                mask.noise.copy_(noise * (1 - step / 150) * gumbel_like(mask.logits))
            x_BI = torch.rand(32, 4, generator=generator)
            optimizer.zero_grad()
            loss = (x_BI @ (mask(weight) - wanted.float()).T).square().mean()
            torch.autograd.backward(loss)
            optimizer.step()
    assert torch.equal(mask.mask(weight), wanted)


def test_a_compiled_network_has_no_credits() -> None:
    for eid in (True, False):
        pruner, network = SpikeNM(bench=make_bench(), eid=eid), dense_network()
        pruner.prepare_(network)
        network.compile(backend="eager")
        model, trainer = classifier(network), pl.Trainer(logger=False, enable_checkpointing=False)
        if eid:
            with pytest.raises(PruningError, match=r"Set trainer\.compile=false, or pruning\.options\.eid=false\.$"):
                pruner.on_train_start(trainer, model)
        else:
            pruner.on_train_start(trainer, model)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("logit_learning_rate", 0.0, "logit_learning_rate must be above 0, found 0"),
        ("every", 0, "every must be at least 1, found 0"),
        ("noise", -1.0, "must be at least 0, found -1"),
        ("eid_weight", -1.0, "must be at least 0, found .* -1"),
    ],
)
def test_options_out_of_range(option: str, value: float, message: str) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(PruningError, match=message):
        SpikeNM(bench=make_bench(), **options)


def test_first_logits_are_small_and_their_own_in_every_layer() -> None:
    networks = [dense_network(), dense_network()]
    for seed, network in enumerate(networks):
        SpikeNM(bench=make_bench(seed)).prepare_(network)
    first, second = (learned(network) for network in networks)
    assert float(first["features.3"].logits.detach().std()) == pytest.approx(0.01, rel=0.2)
    assert not torch.equal(first["features.3"].logits, second["features.3"].logits)
    assert not torch.equal(first["features.3"].logits[:24], first["classifier"].logits)
    assert original(networks[0].get_submodule("classifier")).shape == (3, 32)  # type: ignore[arg-type]  # a linear layer
