"""Which searches a comparison consists of: variants x targets x seeds, each a configuration of its own."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from conf.schema import SearchConfig
from search.configuration import load_config
from search.configuration import run_name
from search.task import check_names


@dataclass(frozen=True)
class Planned:
    """One search of a comparison."""

    variant: str
    """What it is compared as: a strategy, or what an ablation calls its settings."""
    target: float
    """Share of the dense SynOps."""
    seed: int
    config: SearchConfig

    @property
    def folder(self) -> Path:
        """Return the run's folder: the one that ``python -m search`` with these settings has."""
        return Path(self.config.runs) / run_name(self.config)

    @property
    def title(self) -> str:
        """Return a short name for people."""
        return f"{self.variant}, {self.target:.0%}, seed {self.seed}"


def plan_runs(
    settings: Sequence[str],
    variants: Mapping[str, Sequence[str]],
    *,
    targets: Sequence[float],
    seeds: Sequence[int],
) -> list[Planned]:
    """Compose the configurations of all searches, those of one seed together.

    Args:
        settings: Command line that all share.
        variants: Name -> settings of its own, which come after the shared ones.
        targets: Shares of the dense SynOps.
        seeds: Root seeds.

    Raises:
        ConfigError, SearchError: If a setting is wrong in any of them, before anything is carried out.
    """
    planned = [
        Planned(variant, target, seed, load_config([*settings, *own, f"budget.target={target}", f"seed={seed}"]))
        for seed, target, (variant, own) in product(seeds, targets, variants.items())
    ]
    for each in planned:
        check_names(each.config)
    return planned
