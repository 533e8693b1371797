"""Whether the line holds for a spiking transformer: residuals on a small Spikformer.

Channels of its attention cannot be followed and stay; those of its patch embedding and feed-forward layers are pruned.
Conclusion by rule: ``rule.py``, of a line fitted to the same pool, leave-one-out.
"""

from typing import Any
from typing import Final

import numpy as np
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.model import spikformer
from torch import Tensor
from torch import nn

from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.finding import Finding
from search.ablations.linearity import diagnose
from search.ablations.pool import Pool
from search.ablations.pool import PoolAblation
from search.ablations.pool import Request
from search.ablations.pool import pool_config
from search.ablations.rule import judgement
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.summary import mean_of
from search.comparison.tables import plain
from search.silence import SILENT

POOL: Final = 16
SETTINGS: Final = ("network._target_=search.ablations.transformer.SmallSpikformer", "space.skip_unsupported=true")


class SmallSpikformer(nn.Module):
    """One block of Spikformer (Zhou et al., ICLR 2023), SpikingJelly's, for images of 8 x 8 pixels."""

    def __init__(self, num_classes: int, in_channels: int, embedding: int = 48, heads: int = 4) -> None:
        """Build it.

        Args:
            num_classes: Classes.
            in_channels: Channels of the input.
            embedding: Width of the tokens.
            heads: Of the attention.
        """
        super().__init__()
        lif: dict[str, Any] = {"surrogate_function": surrogate.ATan(), "detach_reset": True, "decay_input": False}
        sizes = {"img_size_h": 8, "img_size_w": 8, "patch_size": 4, "embed_dims": embedding, "num_heads": heads}
        self.body = spikformer.Spikformer(
            num_classes=num_classes, in_channels=in_channels, depths=1, spiking_neuron=neuron.LIFNode, **sizes, **lif
        )
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Return the logits of every step, ``[T, B, K]``."""
        logits_TBK: Tensor = self.body(x_TBCHW)
        return logits_TBK


class TransformerAblation(PoolAblation):
    """Residuals of the line."""

    def pools(self, setting: Setting, seed: int) -> dict[str, Request]:
        """Return one pool, as searches draw it."""
        return {"usual": Request(pool_config(setting, seed, SETTINGS), POOL)}

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Take the pools, and fit lines."""
        pools = {seed: found["usual"] for seed, found in self.taken(setting, phase)}
        return conclude(pools, setting.scope(SmallSpikformer.__name__))


def conclude(pools: dict[int, Pool], about: str) -> Finding:
    """Say whether the line holds.

    Args:
        pools: Seed -> pool.
        about: What they are of.
    """
    found = {seed: diagnose(pool, pool, pool) for seed, pool in pools.items()}
    drift = mean_of([mean_drift(pool) for pool in pools.values()])
    figure = canvas("SynOps before fine-tuning, % of the dense network", "after fine-tuning, %")
    for index, (seed, pool) in enumerate(pools.items()):
        x, y = (100.0 * pool.pre).tolist(), (100.0 * pool.post).tolist()
        marker = {"color": COLOURS[index % len(COLOURS)], "size": 7}
        figure.add_scatter(x=x, y=y, mode="markers", name=f"seed {seed}", marker=marker)
    return Finding(
        conclusion=(
            judgement(
                "The line",
                {"a small Spikformer": [each.own_error for each in found.values()]},
                {"a small Spikformer": [each.no_line_error for each in found.values()]},
            )
            + f" SynOps after fine-tuning are {plain(drift, 2)} times those before on average. The projections of "
            "attention are counted and kept whole; its products of spikes with spikes are not counted."
        ),
        head=["seed", "own line, %", "no line, %", "R²", "spread of residuals", "normal, p"],
        rows=[
            [
                str(seed),
                f"{100 * each.own_error:.2f}",
                f"{100 * each.no_line_error:.2f}",
                f"{each.r_squared:.3f}",
                f"{each.spread:.2f}",
                f"{each.normal_p:.2f}",
            ]
            for seed, each in found.items()
        ],
        legend=(
            f"{POOL} pruned networks a seed, levels around the target; leave-one-out errors of a line of their own. "
            "No line: SynOps stay as they are."
        ),
        about=about,
        figure=figure,
        values={seed: vars(each) for seed, each in found.items()},
    )


def mean_drift(pool: Pool) -> float:
    """Return SynOps after over before fine-tuning, on average over the samples that spiked before it."""
    spiked = pool.pre > SILENT * pool.budget.fraction
    return float(np.mean(pool.post[spiked] / pool.pre[spiked]))


TRANSFORMER: Final = TransformerAblation()
