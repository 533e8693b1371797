"""Start a Weights & Biases run for a run folder: online where there is a key, else offline; nobody is asked for one."""

import dataclasses
import netrc
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conf.identity import digest
from conf.identity import identity
from conf.schema import RunConfig
from lightning_snn.errors import RunError

if TYPE_CHECKING:
    import wandb


def start_wandb(config: RunConfig, folder: Path, *, name: str, group: str, tags: Sequence[str]) -> "wandb.Run":
    """Start the W&B run that belongs to ``config``, or go on with it; ``WANDB_MODE`` is respected.

    An offline run cannot be gone on with: what was left in the folder is removed, and it starts afresh.

    Args:
        config: Settings of the run.
        folder: Of the run; offline, files lie in its ``wandb``.
        name: Of the run.
        group: Of runs that belong together, unless the settings name one.
        tags: Of the run.

    Raises:
        RunError: If it does not start, or would have to ask for a key.
    """
    import wandb

    mode, run_id = _mode(), digest([name, identity(config)])
    for left_over in (folder / "wandb").glob(f"offline-run-*-{run_id}"):
        shutil.rmtree(left_over)
    try:
        return wandb.init(
            project=config.logger.project,
            entity=config.logger.entity,
            group=config.logger.group or group,
            name=name,
            tags=list(tags),
            config=dataclasses.asdict(config),
            id=run_id,
            resume="allow",
            dir=folder,
            mode=mode,  # type: ignore[arg-type]  # which names there are, W&B says
            settings=wandb.Settings(silent=True, console="off", reinit="create_new"),
        )
    except (wandb.Error, ValueError, OSError) as error:
        raise RunError(
            f"Weights & Biases did not start ({' '.join(str(error).split())}). "
            "Set WANDB_MODE=offline to go without the network, or logger to none to go without it."
        ) from error


def _mode() -> str:
    """Return how W&B is to work: as ``WANDB_MODE`` says, else by whether there is a key.

    Raises:
        RunError: If W&B would have to ask for a key.
    """
    mode, has_key = os.environ.get("WANDB_MODE"), _has_key()
    if mode is None:
        return "online" if has_key else "offline"
    if mode in ("online", "run", "shared") and not has_key:
        raise RunError(
            f"WANDB_MODE is {mode!r}, but there is no key for Weights & Biases. "
            "Run `wandb login`, set WANDB_API_KEY, or leave WANDB_MODE out to work offline."
        )
    return mode


def _has_key() -> bool:
    """Tell whether W&B would find a key by itself: in the environment or in ``~/.netrc``."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return host in netrc.netrc(Path(os.environ.get("NETRC", "~/.netrc")).expanduser()).hosts
    except (OSError, netrc.NetrcParseError):
        return False
