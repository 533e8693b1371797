"""N:M masks that are learned from scratch, M logits a block, with eligibility-inspired distillation.

After Ye et al., "SpikeNM" (arXiv 2511.12097), of which only the abstract could be read: one logit a weight instead of
one a pattern, draws without replacement that are merged into a mask, a differentiable top-N, and block targets from
credit that is accumulated over time. The sampler, all schedules, constants and the form of the distillation are ours.

    training:    mask = N highest of (logits + noise); the gradient, straight through, is that of the relaxed mask
                 (``_subset.py``), for logits and weights: a weight that is not drawn learns by its share in it
    evaluation:  mask = N highest logits
    distillation: lambda KL(Q || softmax(logits)),  Q from credits (``_eligibility.py``)

Over the training the temperature falls from 4 to 0.05 as in MaskLLM; noise and logits are settled after three quarters.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import top_n
from lightning_snn.pruners._eligibility import CreditWatch
from lightning_snn.pruners._eligibility import block_targets
from lightning_snn.pruners._n_m import MaskedWeight
from lightning_snn.pruners._n_m import TrainedNM
from lightning_snn.pruners._n_m import masked_layers
from lightning_snn.pruners._subset import gumbel_like
from lightning_snn.pruners._subset import relaxed_subset
from lightning_snn.pruners._traces import known_leaks
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.masks import network_of
from lightning_snn.seeds import seed_for

TEMPERATURES = (4.0, 0.05)
"""First and last, falling exponentially (MaskLLM)."""
SETTLED = 0.75
"""Share of the training after which noise and distillation are gone, and masks stay. Ours."""
WARM = 0.1
"""Share of the training in which the distillation rises to its weight. Ours."""
NEWS = 0.1
"""Share of a new batch in the running mean of credits. Ours."""
INITIAL = 0.01
"""Standard deviation of the first logits (MaskLLM)."""


class LearnedMask(MaskedWeight):
    """Masks a weight by logits."""

    noise: Tensor
    temperature: Tensor
    credits: Tensor

    def __init__(self, pattern: Pattern, logits_RM: Tensor, learning_rate: float) -> None:
        """Start from logits."""
        super().__init__(pattern)
        self.logits = nn.Parameter(logits_RM)
        # Gradients have unit size; SGD with momentum would make a step of them ten times as long as AdamW does.
        settings = {"lr": learning_rate, "weight_decay": 0.0, "momentum": 0.0}
        self.logits._optim = settings  # type: ignore[attr-defined]  # S4's convention
        # noise and temperature are set anew for each batch, so checkpoints need not carry them
        self.register_buffer("noise", torch.zeros_like(logits_RM), persistent=False)
        self.register_buffer("temperature", logits_RM.new_tensor(TEMPERATURES[0]), persistent=False)
        self.register_buffer("credits", torch.zeros_like(logits_RM))

    def mask(self, weight: Tensor) -> Tensor:
        """Return where the N highest logits of each block are."""
        return self.pattern.join(top_n(self.logits, self.pattern.n), weight.shape)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight; in training, by the noise of this batch."""
        if not self.training:
            return super().forward(weight)
        scores_RM = self.logits + self.noise
        soft_RM = relaxed_subset(scores_RM, self.pattern.n, self.temperature)
        masked = weight * self.pattern.join(top_n(scores_RM, self.pattern.n), weight.shape)
        softened = weight * self.pattern.join(soft_RM, weight.shape)
        return masked.detach() + (softened - softened.detach())


class SpikeNM(TrainedNM):
    """Learn which N of M weights live."""

    def __init__(
        self,
        *,
        bench: Bench,
        target: float | None = None,
        n: int = 2,
        m: int = 4,
        blocks: str = "channels",
        logit_learning_rate: float = 0.05,
        noise: float = 0.03,
        eid: bool = True,
        eid_weight: float = 0.3,
        sharpness: float = 1.0,
        every: int = 4,
    ) -> None:
        """Say which pattern, and how it is learned.

        Args:
            bench: Training data to measure on.
            target: Must be left out; the pattern says how much is kept.
            n: Most live weights of a block.
            m: Weights of a block.
            blocks: ``channels`` or ``flat``.
            logit_learning_rate: Peak learning rate of logits, whose gradients have unit size; they have no momentum.
            noise: Scale of the Gumbel noise at the start: 1 draws from softmax(logits), 0 takes the highest logits. The
                more, the longer a training must be: weights learn little while their masks are mostly chance.
            eid: Whether credits over time guide the logits.
            eid_weight: lambda of the distillation, at its peak, where the gradient of the loss counts 1.
            sharpness: 1 / tau_c: how far targets lean to weights with more credit than the mean of their block.
            every: Credits are taken from one batch of so many.

        Raises:
            PruningError: If there is a target, or an option is out of range.
        """
        super().__init__(bench=bench, target=target, n=n, m=m, blocks=blocks)
        if logit_learning_rate <= 0.0:
            raise PruningError(f"pruning.options.logit_learning_rate must be above 0, found {logit_learning_rate:g}.")
        if noise < 0.0 or eid_weight < 0.0 or sharpness < 0.0:
            raise PruningError(
                "pruning.options.noise, eid_weight and sharpness must be at least 0, found "
                f"{noise:g}, {eid_weight:g} and {sharpness:g}."
            )
        if every < 1:
            raise PruningError(f"pruning.options.every must be at least 1, found {every}.")
        self.logit_learning_rate, self.noise = logit_learning_rate, noise
        self.eid, self.eid_weight, self.sharpness, self.every = eid, eid_weight, sharpness, every
        self._watch: CreditWatch | None = None
        self._watching = False

    def accept(self, network: nn.Module) -> None:
        """Refuse a network that the pattern does not fit, or whose neurons have a leak that credits do not know."""
        super().accept(network)
        if self.eid:
            known_leaks(network, self.bench.example.to(next(network.parameters()).device))

    def new_mask(self, weight: nn.Parameter, index: int) -> LearnedMask:
        """Return a mask with logits near 0."""
        generator = torch.Generator().manual_seed(seed_for(self.bench.seed, "N:M logits", index))
        shape = self.pattern.split(weight).shape
        logits_RM = INITIAL * torch.randn(shape, generator=generator, dtype=weight.dtype)
        return LearnedMask(self.pattern, logits_RM.to(weight.device), self.logit_learning_rate)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find out which neurons each layer drives."""
        network = network_of(pl_module)
        if not self.eid:
            return
        if network._compiled_call_impl is not None:
            raise PruningError(
                "Credits are taken from layers while they run, found a compiled network. "
                "Set trainer.compile=false, or pruning.options.eid=false."
            )
        layers = {name: layer for name, layer, _ in masked_layers(network)}
        self._watch = CreditWatch(network, layers, self.bench.example.to(pl_module.device))

    @torch.no_grad()
    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, _: Any, batch_idx: int) -> None:
        """Draw the masks of this batch."""
        progress = _progress(trainer)
        self._watching = self._watch is not None and progress < SETTLED and batch_idx % self.every == 0
        if self._watching and self._watch is not None:
            self._watch.attach()
        first, last = TEMPERATURES
        for mask in _learned(pl_module):
            mask.temperature.fill_(first * (last / first) ** progress)
            mask.noise.copy_(gumbel_like(mask.logits).mul_(self.noise * max(0.0, 1.0 - progress / SETTLED)))

    @torch.no_grad()
    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the credits of this batch."""
        if not self._watching or self._watch is None:
            return
        self._watching = False
        found = self._watch.detach()
        for name, _, mask in masked_layers(network_of(pl_module)):
            if isinstance(mask, LearnedMask) and name in found:
                credits_RM = trainer.strategy.reduce(self.pattern.split(found[name]), reduce_op="mean")
                mask.credits.lerp_(credits_RM, NEWS)

    @torch.no_grad()
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Give the gradients of logits unit size, so that a learning rate means the same whatever the loss; distil."""
        progress = _progress(trainer)
        for mask in _learned(pl_module):
            gradient = mask.logits.grad
            if gradient is None:
                continue
            if progress >= SETTLED:
                mask.logits.grad = None  # the optimizer leaves such parameters alone
                continue
            gradient.div_(gradient.square().mean().sqrt().clamp_min(torch.finfo(gradient.dtype).tiny))
            if self.eid:
                pull_RM = torch.softmax(mask.logits, dim=-1) - block_targets(mask.credits, self.sharpness)
                gradient.add_(pull_RM, alpha=self.eid_weight * self.pattern.m * _eid_share(progress))


def _learned(pl_module: pl.LightningModule) -> list[LearnedMask]:
    return [mask for _, _, mask in masked_layers(network_of(pl_module)) if isinstance(mask, LearnedMask)]


def _progress(trainer: pl.Trainer) -> float:
    """Return the share of the training that is done, from 0."""
    return trainer.global_step / max(1, int(trainer.estimated_stepping_batches))


def _eid_share(progress: float) -> float:
    """Return how much of its weight the distillation has: linear rise, then linear fall to 0."""
    return max(0.0, min(progress / WARM, (SETTLED - progress) / (SETTLED - WARM)))
