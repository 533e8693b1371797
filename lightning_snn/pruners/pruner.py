"""What every pruner is: a Lightning callback for the training, then one cut, then what fine-tuning must hold."""

from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import ClassVar

from pytorch_lightning.callbacks import Callback
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners.bench import Bench
from lightning_snn.pruners.bench import largest_count
from lightning_snn.pruners.masks import KeepMasks
from lightning_snn.pruners.masks import Masks

DEFAULT_TARGET = 0.5
"""Share of the dense SynOps that is kept where nobody says how much."""


@dataclass(frozen=True)
class Pruned:
    """A network after the cut, before fine-tuning."""

    network: nn.Module
    """Smaller, or with zero weights; batch norms are measured anew."""
    masks: Masks
    """Weights of ``network`` that live, by layer; empty where it is smaller instead."""
    dense_masks: Masks
    """Weights of the *dense* network that are left."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the pruner reports besides, as plain values; ``skipped``: layers or groups that it left whole, and why."""

    def callbacks(self) -> list[Callback]:
        """Return what a training of ``network`` needs, lest masked weights come back."""
        return [KeepMasks(self.masks)] if self.masks else []


class Pruner(Callback, ABC):
    """Prune a network: attach it to the training if it ``trains``, then call :meth:`prune`, then fine-tune.

    ::

        import pytorch_lightning as pl

        from lightning_snn.classifier import SpikingClassifier
        from lightning_snn.forward import to_time_first
        from lightning_snn.pruners import build_pruner
        from lightning_snn.pruners.bench import Bench

        recipe = {"num_classes": 10, "time_steps": time_steps, "seed": 0}
        x_TBCHW = to_time_first(images, time_steps)  # some hundred training inputs, on the network's device
        bench = Bench.of(dense, batches=[x_TBCHW], example=x_TBCHW[:, :1].cpu(), seed=0)
        pruner = build_pruner("sca", bench=bench, target=0.5)  # N:M pruners take n and m in place of a target
        pruner.prepare_(network)
        pl.Trainer(callbacks=[pruner]).fit(SpikingClassifier(network, **recipe), data)
        pruned = pruner.prune(network)
        pl.Trainer(callbacks=pruned.callbacks()).fit(SpikingClassifier(pruned.network, **recipe), data)
    """

    trains: ClassVar[bool] = False
    """Whether the network must be trained with the pruner, from scratch; else a trained one is pruned."""

    def __init__(self, bench: Bench, target: float | None, rounds: int = 1) -> None:
        """Say where to measure, and how much to keep.

        Args:
            bench: Training data to measure on.
            target: Share of the dense network's SynOps that is kept; None: the pruner's own measure decides.
            rounds: How often the network is pruned and fine-tuned, each time a like share of what is left.

        Raises:
            PruningError: If there is less than one round.
        """
        if rounds < 1:
            raise PruningError(f"pruning.options.rounds must be at least 1, found {rounds}.")
        self.bench, self.target, self.rounds = bench, target, rounds
        self.tell: Callable[[str], None] = lambda news: None
        """Gets a line of news now and then, while :meth:`prune` measures."""

    def accept(self, network: nn.Module) -> None:
        """Refuse a network that this pruner cannot prune, before it is trained; its neurons are reset.

        Raises:
            PruningError, SurgeryError: If it cannot.
        """

    def prepare_(self, network: nn.Module) -> None:
        """Change a network in place for a training with this pruner; a second call changes nothing."""

    @abstractmethod
    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Cut a trained network, which is left as it is.

        Args:
            network: The dense network, or that of the round before.
            round_: Which of ``rounds`` this is, from 1.
        """

    def most_within(self, low: int, high: int, build: Callable[[int], nn.Module], round_: int) -> int:
        """Return how many weights or channels can stay within this round's share of the dense SynOps.

        Args:
            low: Fewest.
            high: Most.
            build: Returns the network that has so many.
            round_: Which round it is.

        Raises:
            PruningError: If even the fewest need more.
        """
        assert self.target is not None
        limit: float = self.target ** (round_ / self.rounds)

        def share(count: int) -> float:
            found = self.bench.synops(build(count)) / self.bench.dense_synops
            self.tell(f"{count:,} of {high:,} left: {found:.1%} of the dense SynOps")
            return found

        count = largest_count(low, high, lambda each: share(each) <= limit)
        if count == low and share(low) > limit:
            raise PruningError(
                f"pruning.target {self.target:g} is below what the least that every layer keeps needs, "
                f"{share(low):.2%} of the dense SynOps. Raise it above that."
            )
        return count


def one_strength(pruner: str, target: float | None, option: str, share: float | None) -> float | None:
    """Return the target, where the pruner's own measure does not say how much to keep.

    Args:
        pruner: Its name.
        target: Share of the dense SynOps, from ``pruning.target``.
        option: Name of its own measure.
        share: What that says.

    Raises:
        PruningError: If both say it, or the share is not between 0 and 1.
    """
    if share is None:
        return DEFAULT_TARGET if target is None else target
    if target is not None:
        raise PruningError(
            f"Either pruning.target or pruning.options.{option} says how much {pruner!r} keeps, found {target:g} and "
            f"{share:g}. Leave one out."
        )
    if not 0.0 < share < 1.0:
        raise PruningError(f"pruning.options.{option} must lie strictly between 0 and 1, found {share:g}.")
    return None
