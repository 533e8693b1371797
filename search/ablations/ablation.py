"""What an ablation is: it says what it costs, carries itself out with resumption, and finds something."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from conf.identity import network_name
from conf.schema import AblateConfig
from lightning_snn.progress import Phase
from search.ablations.finding import Finding


@dataclass(frozen=True)
class Setting:
    """What an ablation is asked to work on."""

    config: AblateConfig
    arguments: list[str]
    """The command line for each search: data, network and all, without what belongs to the ablation."""
    folder: Path
    """Its own, for logs and what is measured."""

    def scope(self, network: str | None = None) -> str:
        """Return in a sentence what the command names; ``network`` is what an ablation takes in place of its."""
        config = self.config
        return (
            f"{network or network_name(config)} on {config.data.name}, T = {config.network.time_steps}, a budget of "
            f"{100 * config.budget.target:g} % of the dense SynOps; seeds {', '.join(map(str, config.seeds))}."
        )


class Ablation(Protocol):
    """One question."""

    def cost(self, setting: Setting) -> str:
        """Return in a sentence what is left to be done, before it is started."""
        ...

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Carry out what is left, and say what was found."""
        ...
