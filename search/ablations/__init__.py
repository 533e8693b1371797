"""Ablations: each answers one question by runs of its own, on one page."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ABLATIONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "agent": ("search.ablations.variants:AGENT", "Which parts of our DDPG agent matter, and when is it stable?"),
        "criterion": ("search.ablations.variants:CRITERION", "Does it matter which channels of a layer go first?"),
        "energy": ("search.ablations.energy:ENERGY", "Do energy models order candidates as SynOps do?"),
        "estimator-form": (
            "search.ablations.estimator_form:FORM",
            "Would another form predict better than a line?",
        ),
        "estimator-samples": ("search.ablations.estimator_samples:SAMPLES", "How many samples does the line need?"),
        "estimator-transfer": (
            "search.ablations.estimator_transfer:TRANSFER",
            "Does the line hold where it was not fitted?",
        ),
        "evaluations": ("search.ablations.variants:EVALUATIONS", "How many evaluations are enough?"),
        "first-layer": ("search.ablations.variants:FIRST_LAYER", "Does it matter whether the first layer counts?"),
        "linearity": ("search.ablations.linearity:LINEARITY", "When does the line hold?"),
        "pieces": ("search.ablations.variants:PIECES", "What do LRE and TAR add, each and together?"),
        "recalibration": ("search.ablations.variants:RECALIBRATION", "How many batches must batch norms see anew?"),
        "reward": ("search.ablations.variants:REWARD", "What does the target-aware reward add, and which form?"),
        "scale": ("search.ablations.scale:SCALE", "What do evaluations and samples cost in larger networks?"),
        "seeds": ("search.ablations.seeds:SEEDS", "How many seeds does a claim need?"),
        "time-steps": ("search.ablations.variants:TIME_STEPS", "Does all this hold for other numbers of time steps?"),
        "transformer": ("search.ablations.transformer:TRANSFORMER", "Does the line hold for a spiking transformer?"),
    }
)
"""Name -> import path, and the question it answers."""
