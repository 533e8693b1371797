"""Put the tensors of a file into a new network, measure it, save it, and say what was found.

file -> state dicts -> tensors under the network's names -> validation accuracy -> artifact
"""

import math
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from conf.schema import ImportConfig
from lightning_snn._foreign_weights import read_state_dicts
from lightning_snn._markdown import markdown_table
from lightning_snn._markdown import print_plain
from lightning_snn._name_matching import Match
from lightning_snn._name_matching import best_match
from lightning_snn._weight_filling import fill_
from lightning_snn._weight_filling import named
from lightning_snn.artifact import ARCHITECTURE
from lightning_snn.artifact import save_artifact
from lightning_snn.describe import data_notes
from lightning_snn.describe import describe_settings
from lightning_snn.errors import RunError
from lightning_snn.files import read_json
from lightning_snn.inference import Evaluation
from lightning_snn.progress import Reporter
from lightning_snn.task import Batch
from lightning_snn.task import Task

SOURCE: Final = "imported_from"
"""In ``metrics.json``: the file, so that another import may replace the network, and nothing else is replaced."""


def import_file(config: ImportConfig, console: Console | None = None) -> Path:
    """Import the weights of a file, as the command does; nothing is written before all is well.

    Args:
        config: File, network, data (for shapes, and to measure on), and where to.
        console: Where progress and the table go; standard output by default.

    Returns:
        The folder of the network.

    Raises:
        ConfigError, DataError, NetworkError, SurgeryError, ArtifactError, RunError: What a user can mend, in one
            sentence.
    """
    console = console or Console(markup=False)
    torch.set_num_threads(config.threads)
    file = Path(config.file)
    out = Path("imported", file.stem) if config.out is None else Path(config.out)
    state_dicts = read_state_dicts(file)
    _check_free(out)
    with Reporter(console) as reporter:
        with reporter.phase("data") as phase:
            task = Task(config)
            phase.news = f"{config.data.name}: {task.data.split_policy}"
        network = task.new_network()
        match = best_match(state_dicts, network.state_dict(), config.part)
        kept = fill_(network, match, file, classes=task.data.num_classes, drop_unexpected=config.drop_unexpected)
        labels = Counter[int]()
        with reporter.phase("measuring", 1) as phase:
            evaluation = task.measure_validation(network, lambda batches: _counted(phase.track(batches), labels))
            phase.advance(f"validation accuracy {evaluation.accuracy:.2%}")
    metrics = {SOURCE: str(file.resolve()), "part": match.part, "validation_accuracy": evaluation.accuracy}
    try:
        save_artifact(out, network.cpu(), task.example, metrics)
    except OSError as error:
        raise RunError(f"{out} cannot be written ({error.strerror}). Name another folder with --out.") from error
    split = data_notes(describe_settings(task))
    said = [import_table(file, match, kept, evaluation), *_at_chance(evaluation, labels), split]
    print_plain(console, "\n\n".join(said))
    target = config.network._target_
    own = "" if target is None else f", each with --network._target_ {target}"
    print_plain(console, f"{out} holds the network, for --baseline.artifact {out} or lightning_snn.measure {out}{own}.")
    return out


def import_table(file: Path, match: Match, kept: tuple[str, ...], evaluation: Evaluation) -> str:
    """Return what was found as a Markdown table, and what its figure must be read with."""
    rows = [
        ("tensors imported", f"{len(match.matched):,}"),
        ("read from", match.part),
        ("as built, not in the file", named(kept) if kept else "none"),
        ("only in the file, left out", named(match.unexpected) if match.unexpected else "none"),
        (f"validation accuracy on {evaluation.samples:,} samples", f"{evaluation.accuracy:.2%}"),
        ("SynOps per sample (validation)", f"{evaluation.synops.total:,.0f}"),
    ]
    return (
        f"{markdown_table((file.name, ''), rows)}\n\n"
        "The validation samples are a part of the training data, which these weights may have been trained on: the "
        "accuracy shows whether the import is right, not how good the network is."
    )


def _check_free(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier import."""
    if not out.exists():
        return
    metrics = read_json(out / "metrics.json") if (out / ARCHITECTURE).is_file() else None
    if not isinstance(metrics, Mapping) or SOURCE not in metrics:
        raise RunError(f"An import replaces an earlier import only, found something else at {out}. Name another --out.")


def _counted(batches: Iterable[Batch], labels: "Counter[int]") -> Iterator[Batch]:
    for batch in batches:
        labels.update(batch[1].tolist())
        yield batch


def _at_chance(evaluation: Evaluation, labels: "Counter[int]") -> list[str]:
    """Return a warning where the network is no better, by two standard errors, than naming the largest class always."""
    share = max(labels.values()) / evaluation.samples
    if evaluation.accuracy > share + 2.0 * math.sqrt(share * (1.0 - share) / evaluation.samples):
        return []
    return [
        f"Warning: an accuracy of {evaluation.accuracy:.2%} is no better than chance (the largest class has "
        f"{share:.2%}). T (network.time_steps), thresholds and time constants (network.options), the order of classes "
        "or how inputs are scaled may not be those that the weights were trained with."
    ]
