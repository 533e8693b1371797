"""Read weights that somebody else saved: every state dict in a file, and never code.

``.safetensors`` is read by its own library, everything else by ``torch.load(weights_only=True)``, which builds tensors
and plain values and refuses the rest. Let through besides are types that hold values and do nothing: the arguments and
the NumPy numbers that training scripts leave beside their weights.
"""

import argparse
import io
import pickle
import re
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as safetensors
from torch import Tensor

from lightning_snn.errors import ArtifactError

Tensors = Mapping[str, Tensor]
DEEPEST: Final = 3
"""Dictionaries inside one another that are looked through. Ours."""


def read_state_dicts(file: Path) -> dict[str, Tensors]:
    """Return the state dicts of a file by where they stand in it, such as ``"state_dict"``; ``""``: the file is one.

    Args:
        file: A state dict, or a dictionary that has some, saved by PyTorch, Lightning or safetensors.

    Raises:
        ArtifactError: If the file is missing, damaged, or holds objects other than tensors and plain values; if it has
            no state dict.
    """
    content = _read(file)
    found = dict(_state_dicts(content))
    if not found:
        what = f"a {type(content).__name__}"
        if isinstance(content, Mapping):
            what = f"a dictionary with {', '.join(map(repr, list(content)[:5])) or 'nothing in it'}"
        raise ArtifactError(
            f"{file} must hold tensors by name, found {what}. Save them where the network was trained: "
            'torch.save(network.state_dict(), "NEW.pth").'
        )
    return found


def _read(file: Path) -> Any:
    try:
        content = file.read_bytes()
    except OSError as error:
        hint = " A network that save_artifact wrote needs no import: name its folder as --baseline.artifact."
        raise ArtifactError(
            f"Weights are imported from a file, found {error.strerror or error} at {file}. Check the path."
            f"{hint if file.is_dir() else ''}"
        ) from error
    try:
        if file.suffix.lower() == ".safetensors":
            return safetensors(content)
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise _damaged(file, error) from error
        raise ArtifactError(
            f"{file} holds more than tensors and plain values, found {named[1]}, which could run code: it is not "
            'opened. Where you trust it, save the tensors alone: torch.save(network.state_dict(), "NEW.pth"), of the '
            "network or of what torch.load(FILE, weights_only=False) returns."
        ) from error
    except Exception as error:  # of a damaged file, PyTorch and pickle raise a dozen kinds
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> ArtifactError:
    kind = "safetensors" if isinstance(error, SafetensorError) else "PyTorch"
    reason = " ".join(str(error).split()).partition(". ")[0][:120]
    return ArtifactError(
        f"{file} cannot be read as a file of {kind}: it is cut, damaged or of another kind ({reason or 'empty'}). Copy "
        "it again, and compare the sizes."
    )


def _harmless() -> list[Any]:
    """Return what is let through besides tensors, dictionaries, lists, texts and numbers."""
    scalar = np.float64(0.0).__reduce__()[0]  # what a number of NumPy is pickled with
    dtypes = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    return [argparse.Namespace, np.dtype, *dtypes, scalar, (scalar, "numpy.core.multiarray.scalar")]  # that: NumPy 1


def _state_dicts(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Tensors]]:
    """Yield each dictionary that has tensors by name, and where it stands; other values beside them are left out."""
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    for name, value in content.items():
        if isinstance(name, str):
            yield from _state_dicts(value, f"{place}.{name}".lstrip("."), depth + 1)
