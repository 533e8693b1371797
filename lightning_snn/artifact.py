"""Save and load a network, pruned or not: safetensors and JSON, nothing that executes code when read.

A folder holds ``model.safetensors`` (weights and buffers), ``architecture.json`` (registered family and its
arguments, channels of every group, shape of an input) and ``metrics.json`` (whatever was measured). To load,
the family is built dense, cut to the recorded widths and given the weights.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save_file
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn.errors import ArtifactError
from lightning_snn.networks import build_network
from lightning_snn.surgery import channel_groups
from lightning_snn.surgery import shrink

FORMAT = 1


def save_artifact(
    folder: Path | str, network: nn.Module, example: Tensor, metrics: Mapping[str, Any] | None = None
) -> None:
    """Write a network to ``folder``, whole or not at all; a folder of that name is replaced.

    Args:
        folder: Where to.
        network: From ``build_network``, or one's own (then :func:`load_artifact` must be given its dense form).
        example: One input ``[T, B, C, H, W]``; only its shape is kept.
        metrics: Plain values for ``metrics.json``.
    """
    folder = Path(folder)
    functional.reset_net(network)
    architecture = {
        "format": FORMAT,
        **getattr(network, "architecture", {"family": None, "arguments": {}}),
        "widths": {group.name: group.width for group in channel_groups(network, example)},
        "example_shape": list(example.shape),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh.chmod(0o755)
    save_file(
        {name: value.cpu().contiguous() for name, value in network.state_dict().items()},
        fresh / "model.safetensors",
    )
    _write_json(fresh / "architecture.json", architecture)
    _write_json(fresh / "metrics.json", dict(metrics or {}))
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(fresh, folder)


def load_artifact(folder: Path | str, network: nn.Module | None = None) -> nn.Module:
    """Read a network back, in evaluation mode on the CPU.

    Args:
        folder: Written by :func:`save_artifact`.
        network: The dense network, of one's own class; needed where the artifact names no registered family.
            It is left as it is.

    Raises:
        ArtifactError: If the folder, a file in it, or the network does not fit.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    if network is None:
        if architecture["family"] is None:
            raise ArtifactError(
                f"{folder} holds a network of somebody's own class, and none was given to load it into. "
                "Call load_artifact(folder, network=MyNet(...)) with the dense network."
            )
        network = build_network(architecture["family"], **architecture["arguments"])
    example = torch.zeros(architecture["example_shape"])
    try:
        groups = channel_groups(network, example)
        keep = {
            g.name: range(architecture["widths"][g.name]) for g in groups if architecture["widths"][g.name] < g.width
        }
        network = shrink(network, keep, example)
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(
            f"{folder}/model.safetensors does not fit its architecture.json or the network given: {reason}. "
            "Give the dense network that was pruned, unchanged."
        ) from error
    return network.eval()


def read_architecture(folder: Path) -> dict[str, Any]:
    """Return ``architecture.json`` of an artifact.

    Raises:
        ArtifactError: If it is missing or not ours.
    """
    file = folder / "architecture.json"
    try:
        architecture = json.loads(file.read_text())
        complete = architecture["format"] == FORMAT and {
            "family",
            "arguments",
            "widths",
            "example_shape",
        } <= set(architecture)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"No network is saved in {folder}: architecture.json is missing. Name a folder written by save_artifact."
        ) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}. Save the network again.") from error
    if not complete:
        raise ArtifactError(f"{file} is not of format {FORMAT}. Save the network again with this version.")
    assert isinstance(architecture, dict)
    return architecture


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n")
