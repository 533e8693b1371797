"""Save and load a network, pruned or not: safetensors and JSON, nothing that executes code when read.

A folder holds ``model.safetensors`` (weights and buffers), ``architecture.json`` (registered family and its
arguments, channels of every group, shape of an input, fingerprint of what the network computes) and ``metrics.json``
(whatever was measured). To load, the family is built dense, cut to the recorded widths and given the weights; what it
computes then must be what was saved.
"""

import copy
import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save_file
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._wrappers import unwrapped
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import SurgeryError
from lightning_snn.fingerprint import fingerprint
from lightning_snn.networks import NETWORKS
from lightning_snn.networks import build_network
from lightning_snn.surgery import ChannelPlan
from lightning_snn.surgery import channel_groups

FORMAT: Final = 1
ARCHITECTURE: Final = "architecture.json"
WEIGHTS: Final = "model.safetensors"
PLACES: Final = ("network", "best")
"""Where a training and a search leave their network, in the folder of the run."""
FINGERPRINT: Final = "fingerprint"
"""Of ``architecture.json``, since it is recorded."""
FIELDS: Final = {"format", "family", "arguments", "widths", "example_shape"}
NOT_REGISTERED: Final[Mapping[str, Any]] = MappingProxyType({"family": None, "arguments": {}})


def save_artifact(
    folder: Path | str, network: nn.Module, example: Tensor, metrics: Mapping[str, Any] | None = None
) -> None:
    """Write a network to ``folder``, whole or not at all; an artifact of that name is replaced.

    Args:
        folder: Where to.
        network: From ``build_network``, or one's own (then :func:`load_artifact` must be given its dense form).
            Its neurons are reset. Of wrappers (``DataParallel``, ``torch.compile``, ...) what they hold is saved.
        example: One input ``[T, B, C, H, W]``; only its shape is kept.
        metrics: Plain values for ``metrics.json``.

    Raises:
        ArtifactError: If ``folder`` holds something else, or a network of ``build_network`` was changed in a way that
            could not be loaded.
        NetworkError: If it is no network but a ``SpikingClassifier`` that holds one.
    """
    folder, network = Path(folder), unwrapped(network)
    if folder.exists() and not (folder / ARCHITECTURE).is_file():
        raise ArtifactError(
            f"A network can replace a saved network only, found something else at {folder}. Name a new folder."
        )
    built = getattr(network, "architecture", None)
    if not isinstance(built, dict) or built.get("family") not in NETWORKS:
        built = NOT_REGISTERED
    else:
        _check_names(network, built["family"], built["arguments"])
    architecture = {
        "format": FORMAT,
        **built,
        "widths": _widths(network, example),
        "example_shape": list(example.shape),
        FINGERPRINT: fingerprint(network, example),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        fresh, old = Path(scratch, "fresh"), Path(scratch, "old")
        fresh.mkdir()
        # cloned, as safetensors refuses tensors that share memory (a layer used under two names)
        weights = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
        save_file(weights, fresh / WEIGHTS)
        _write_json(fresh / ARCHITECTURE, architecture)
        _write_json(fresh / "metrics.json", dict(metrics or {}))
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)


def _widths(network: nn.Module, example: Tensor) -> dict[str, int]:
    """Return the channels of each group; none of a network whose channels nobody can follow, so that none are cut."""
    try:
        return {group.name: group.width for group in channel_groups(network, example, skip_unsupported=True)}
    except SurgeryError:
        return {}


def _check_names(network: nn.Module, family: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a network whose tensors have other names than its family's: those that loading would look for."""
    with torch.device("meta"):  # names without memory
        expected = build_network(family, **arguments).state_dict()
    found = network.state_dict()
    for name in [*(each for each in found if each not in expected), *(each for each in expected if each not in found)]:
        where = "only in the network" if name in found else f"only in a new {family!r}"
        raise ArtifactError(
            f"A network of build_network is loaded by the names of its tensors, found {name!r} {where}. Undo what "
            "replaced or wrapped a layer (torch.compile, masks, weight norm), or delete network.architecture to save "
            "it as one of your own class."
        )


def load_artifact(folder: Path | str, network: nn.Module | None = None) -> nn.Module:
    """Read a network back, in evaluation mode on the CPU.

    Args:
        folder: Written by :func:`save_artifact`.
        network: The dense network on the CPU, of one's own class; needed where the artifact names no registered
            family. Its neurons are reset, nothing else is changed.

    Raises:
        ArtifactError: If the folder, a file in it, or the network does not fit, or the network computes something else
            than the one that was saved.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    if network is None and architecture["family"] is None:
        raise ArtifactError(
            f"{folder} holds a network of somebody's own class, and none was given to load it into. "
            "Name it with --network._target_ my_package.MyNet. In Python, call load_artifact(folder, "
            "network=MyNet(...)) with the dense network."
        )
    try:
        if network is None:
            network = build_network(architecture["family"], **architecture["arguments"])
        weights = load_file(folder / WEIGHTS)
        example = torch.zeros(architecture["example_shape"])
        network = _cut_to(unwrapped(network), architecture["widths"], example)
        network.load_state_dict(weights)
    except (SafetensorError, ValueError, TypeError, AttributeError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(
            f"{folder} cannot be loaded: {WEIGHTS}, {ARCHITECTURE} and the network must fit, found {reason!r}. "
            "Give the dense network that was pruned, unchanged, or save the network again."
        ) from error
    _compare(folder, architecture, network, example)
    return network.eval()


def digest_of_artifact(folder: Path) -> str:
    """Return a digest of the network in a folder: its weights and architecture, whatever was measured of it.

    Raises:
        ArtifactError: If there is none.
    """
    read_architecture(folder)
    found = hashlib.sha256()
    try:
        for name in (ARCHITECTURE, WEIGHTS):
            found.update((folder / name).read_bytes())
    except OSError as error:
        raise ArtifactError(f"{folder / name} cannot be read ({error.strerror}). Save the network again.") from error
    return found.hexdigest()


def _compare(folder: Path, architecture: Mapping[str, Any], network: nn.Module, example: Tensor) -> None:
    """Refuse a network that computes something else than the one that was saved, with the same weights."""
    saved, name = architecture.get(FINGERPRINT), type(network).__name__
    if saved is None:
        if architecture["family"] is None:
            warnings.warn(
                f"{folder} was saved by a version that did not record what its network computes: whether {name} is "
                "still the same cannot be known.",
                stacklevel=3,
            )
    elif saved != fingerprint(network, example):
        raise ArtifactError(
            f"{folder} holds the weights of another network: what {name} computes is not what it did when they were "
            "saved, as its code, its options or a library have changed. Load them into the network that they were "
            "saved from, or train anew."
        )


def _cut_to(network: nn.Module, widths: Mapping[str, int], example: Tensor) -> nn.Module:
    """Copy a network with the first channels of each group; the weights of those that were kept come later."""
    if not widths:
        functional.reset_net(network)
        return copy.deepcopy(network)
    plan = ChannelPlan.trace(network, example, skip_unsupported=True)
    full = {group.name: group.width for group in plan.groups}
    odd = sorted(set(widths) - set(full))
    if odd:
        raise ArtifactError(f"channel group {odd[0]!r} is only in {ARCHITECTURE}, not in {type(network).__name__}")
    return plan.shrink(network, {name: range(width) for name, width in widths.items() if width != full[name]})


def read_architecture(folder: Path) -> dict[str, Any]:
    """Return ``architecture.json`` of an artifact.

    Raises:
        ArtifactError: If it is missing or not ours.
    """
    file = folder / ARCHITECTURE
    try:
        architecture = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactError(_nothing_saved_in(folder)) from error
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}. Save the network again.") from error
    if not isinstance(architecture, dict) or architecture.get("format") != FORMAT or not set(architecture) >= FIELDS:
        raise ArtifactError(f"{file} is not of format {FORMAT}. Save the network again with this version.")
    return architecture


def _nothing_saved_in(folder: Path) -> str:
    """Say why no network is found in ``folder``, and what to name in its place."""
    if not folder.exists():
        return f"No network is saved in {folder}: there is no such folder. Name one written by save_artifact."
    if not folder.is_dir():
        return f"No network is saved in {folder}: it is no folder. Name one written by save_artifact."
    below = next((folder / place for place in PLACES if (folder / place / ARCHITECTURE).is_file()), None)
    if below is not None:
        return f"No network is saved in {folder} itself, but there is one in {below}. Name that folder."
    return f"No network is saved in {folder}: {ARCHITECTURE} is missing. Name a folder written by save_artifact."


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n")
