"""Which searches a comparison consists of: variants x targets x seeds, each a configuration of its own."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from conf.schema import SearchConfig
from search.configuration import load_config
from search.configuration import restore_config
from search.configuration import run_name
from search.task import check_names


@dataclass(frozen=True)
class Member:
    """One search of a comparison, wherever it came from."""

    variant: str
    """What it is compared as: a strategy, or what an ablation calls its settings."""
    target: float
    """Share of the dense SynOps."""
    seed: int
    folder: Path

    @property
    def title(self) -> str:
        """Return a short name for people."""
        return f"{self.variant}, {self.target:.0%}, seed {self.seed}"

    @property
    def is_finished(self) -> bool:
        """Tell whether it has a result."""
        return (self.folder / "result.json").exists()


@dataclass(frozen=True)
class Planned(Member):
    """One search that is still to be carried out, or was: an ordinary run of ``python -m search``."""

    config: SearchConfig


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
    planned = []
    for seed, target, (variant, own) in product(seeds, targets, variants.items()):
        config = load_config([*settings, *own, f"budget.target={target}", f"seed={seed}"])
        check_names(config)
        planned.append(Planned(variant, target, seed, Path(config.runs) / run_name(config), config))
    return planned


def members_of(folders: Sequence[Path]) -> list[Member]:
    """Return the searches in some folders, each compared as its strategy.

    Raises:
        ConfigError: If one is not the folder of a search.
    """
    members = []
    for folder in folders:
        config = restore_config(folder)
        members.append(Member(config.strategy.name, config.budget.target, config.seed, folder))
    return members
