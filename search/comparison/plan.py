"""Which searches a comparison consists of: variants x targets x seeds, each a configuration of its own."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

from conf.identity import identity
from conf.identity import leaves
from conf.identity import network_name
from conf.loading import later_wins
from conf.schema import ConfigError
from conf.schema import SearchConfig
from lightning_snn.task import identified
from search.configuration import load_config
from search.configuration import restore_config
from search.configuration import run_name
from search.configuration import shared_folders
from search.strategies import is_all_warmup
from search.task import check_names

RULES: Final = ("data", "network", "training", "synops", "space", "estimator", "finetuning")
"""Sections of settings that all searches of a comparison have in common."""


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
        return f"{self.variant}, {100 * self.target:g} %, seed {self.seed}"

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
        one = [*settings, *own, f"budget.target={target}", f"seed={seed}", "name=null"]
        config = load_config(later_wins(one))
        check_names(config)
        config = identified(config)
        planned.append(Planned(variant, target, seed, Path(config.runs) / run_name(config), config))
    return planned


def in_group(planned: Planned, name: str) -> Planned:
    """Return a search that belongs to a group of this name at Weights & Biases."""
    logger = replace(planned.config.logger, group=name)
    return replace(planned, config=replace(planned.config, logger=logger))


def members_of(folders: Sequence[Path]) -> list[Member]:
    """Return the searches in some folders, each compared as its strategy.

    Raises:
        ConfigError: If one is not the folder of a search, or of one whose budget is no share of the dense SynOps, two
            are of the same strategy, budget and seed, two with the same seed have pruned different dense networks, or
            two differ in a section of :data:`RULES`.
    """
    members: dict[tuple[str, float, int], Member] = {}
    dense: dict[int, tuple[str, SearchConfig, Path]] = {}
    rules: dict[str, object] | None = None
    for folder in folders:
        config = restore_config(folder)
        if config.budget.synops is not None:
            raise ConfigError(
                f"Searches are compared at shares of the dense network's SynOps, found budget.synops="
                f"{config.budget.synops:g} in {folder}. Report it apart, or search with budget.target."
            )
        member = Member(config.strategy.name, config.budget.target, config.seed, folder)
        other = members.setdefault((member.variant, member.target, member.seed), member)
        if other is not member:
            raise ConfigError(f"Two searches are of {member.title}: {other.folder} and {folder}. Leave one out.")
        network = shared_folders(config)[0].name
        first, its_config, its_folder = dense.setdefault(config.seed, (network, config, folder))
        if first != network:
            raise ConfigError(
                f"Searches with the same seed must prune the same dense network to be compared, found "
                f"{_network(its_config)} in {its_folder} and {_network(config)} in {folder}. Report them apart."
            )
        mine = _rules(config)
        rules = rules or mine
        if different := [key for key in mine if mine[key] != rules.get(key)]:
            key = different[0]
            raise ConfigError(
                f"Searches are compared under the same rules, found {key} {rules.get(key)} in {folders[0]} and "
                f"{mine[key]} in {folder}. Report them apart."
            )
    return list(members.values())


def what_searches_cost(left: Sequence[Planned]) -> str:
    """Say what searches consist of, before they are carried out."""
    if not left:
        return "All searches are there: only the page is made."
    configs = [each.config for each in left]
    first = configs[0]
    searches = _counted(len(left), "search is", "searches are")
    seeds = _counted(len({each.seed for each in left}), "seed", "seeds")
    evaluations = _counted(sum(config.strategy.evaluations for config in configs), "evaluation", "evaluations")
    tunings = _counted(len(left), "final fine-tuning", "final fine-tunings")
    strategies = [config.strategy for config in configs]
    idle = sorted({each.name for each in strategies if is_all_warmup(each.name, each.options, each.evaluations)})
    warned = (
        f" Searches of {', '.join(idle)} with so few evaluations are all warm-up, which is at random: allow 11 or more."
        if idle
        else ""
    )
    return (
        f"{searches} left, with {seeds}: {evaluations} at most, {tunings} of {first.finetuning.epochs} epochs; and "
        f"where no other run left them, dense networks of {first.training.epochs} epochs and "
        f"{first.estimator.min_samples} to {first.estimator.max_samples} samples for each estimator, of "
        f"{first.finetuning.epochs} epochs.{warned}"
    )


def _rules(config: SearchConfig) -> dict[str, object]:
    """Return the settings that all searches of a comparison have in common, by name: not how channels are ranked."""
    settings = identity(config)
    shared = {section: settings[section] for section in RULES}
    return {key: value for key, value in leaves(shared) if key != "space.criterion"}


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _network(config: SearchConfig) -> str:
    return f"{network_name(config)} on {config.data.name} (T = {config.network.time_steps})"
