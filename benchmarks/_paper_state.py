"""The state of a row: one small folder that travels between machines, whole at every moment.

``pack`` writes what a work folder holds into parts of at most ``PART`` bytes, at most ``LIMIT`` in all, and then, in
one rename, the ``manifest.json`` that names them: a kill leaves the state before it or the new one. Everything is kept
bit by bit, except that checkpoints of trainings lose the state of their optimizer (its momentum), which would double
them: a training that goes on from one starts with a fresh optimizer, and the manifest says so. What does not fit is
left out, the least needed first, and named.

Weights are half as large where they were rounded to bfloat16: the bytes of a file are sorted by their place in a
32-bit number before they are compressed, and those of a rounded number's lower half are zeros.
"""

import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from pathlib import PurePosixPath
from typing import Any
from typing import Final

import numpy as np
import torch

from lightning_snn.errors import RunError
from lightning_snn.files import write_json

FORMAT: Final = 1
LIMIT: Final = 58 * 2**20
PART: Final = 15 * 2**20
MANIFEST: Final = "manifest.json"
LARGE: Final = 2**20
WORD: Final = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Packed:
    """One file of the work folder, as it lies in the parts."""

    path: str
    bytes: int
    sha256: str
    packed: int
    """Bytes in the parts, where files follow each other in this order."""
    epoch: int | None
    """Of a checkpoint: the epochs that are behind it. Its optimizer's state was left out."""


def pack(work: Path, state: Path, row: str, on_identity: Callable[[str], None] = lambda identity: None) -> list[str]:
    """Write the state of a work folder.

    Args:
        work: Its files travel, but for locks and other hidden ones.
        state: Folder of the state, made where it is missing; an earlier state in it is replaced.
        row: Name of the row, which the state is for.
        on_identity: Is told the identity of the state before it is there.

    Returns:
        The files that were left out because they do not fit.
    """
    files, left_out, parts, size = list[Packed](), list[str](), list[bytes](), 0
    for path in sorted(_travellers(work), key=lambda path: (_rank(path), path)):
        content, epoch = _content(path)
        packed = _compress(content)
        if size + len(packed) > LIMIT:
            left_out.append(path.relative_to(work).as_posix())
            continue
        size += len(packed)
        parts.append(packed)
        name, digest = path.relative_to(work).as_posix(), hashlib.sha256(content).hexdigest()
        files.append(Packed(name, len(content), digest, len(packed), epoch))
    stream, table = b"".join(parts), [asdict(file) for file in files]
    identity = hashlib.sha256(json.dumps([row, table]).encode()).hexdigest()[:16]
    if (state / MANIFEST).exists() and _manifest(state)["id"] == identity:
        return left_out  # never write over parts that are in use
    named = list[dict[str, Any]]()
    state.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, len(stream), PART)):
        part, name = stream[first : first + PART], f"{identity}-{number}.part"
        _write(state / name, part)
        named.append({"name": name, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()})
    on_identity(identity)
    manifest = {"format": FORMAT, "row": row, "id": identity, "left_out": left_out, "parts": named, "files": table}
    write_json(state / MANIFEST, manifest)
    _drop_others(state, {part["name"] for part in named})
    return left_out


def identity_of(state: Path, row: str) -> str | None:
    """Return the identity of the state in a folder; None where there is none.

    Raises:
        RunError: If it is of another row, or cannot be read.
    """
    if not (state / MANIFEST).exists():
        return None
    manifest = _manifest(state)
    if manifest["row"] != row:
        raise RunError(f"{state} holds the state of row {manifest['row']!r}, not of {row!r}. Name another --state.")
    return str(manifest["id"])


def unpack(state: Path, work: Path) -> list[tuple[str, int]]:
    """Replace a work folder by what a state holds.

    Returns:
        Path and finished epochs of each checkpoint, whose optimizer's state is not there.

    Raises:
        RunError: If the state is damaged; the work folder is then as it was.
    """
    manifest, stream = _manifest(state), io.BytesIO()
    for part in manifest["parts"]:
        file = state / part["name"]
        content = file.read_bytes() if file.exists() else b""
        if hashlib.sha256(content).hexdigest() != part["sha256"]:
            raise _damaged(file, f"{len(content)} bytes of {part['bytes']}, or other ones")
        stream.write(content)
    stream.seek(0)
    fresh = work.with_name(f".{work.name}-fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    files = [Packed(**file) for file in manifest["files"]]
    for file in files:
        if PurePosixPath(file.path).is_absolute() or ".." in PurePosixPath(file.path).parts:
            raise _damaged(state / MANIFEST, f"a file outside, {file.path},")
        content = _expand(stream.read(file.packed), file.bytes)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise _damaged(state / MANIFEST, f"another sum for {file.path}")
        _write(fresh / file.path, content)
    shutil.rmtree(work, ignore_errors=True)
    os.replace(fresh, work)
    return [(file.path, file.epoch) for file in files if file.epoch is not None]


def finished_epochs(checkpoint: Path) -> int:
    """Return how many epochs of a training are behind its checkpoint, 0 where there is none."""
    if not checkpoint.exists():
        return 0
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"]) + 1


def _travellers(work: Path) -> Iterator[Path]:
    for path in work.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(work).parts):
            yield path


def _rank(path: Path) -> int:
    """Order in which files are given their place: what an unfinished row cannot do without comes first."""
    if path.suffix == ".ckpt":
        return 2  # without it, one training starts anew
    if path.stat().st_size < LARGE:
        return 0
    return 3 if path.parent.name == "best" else 1  # nothing goes on from a result


def _content(path: Path) -> tuple[bytes, int | None]:
    if path.suffix != ".ckpt":
        return path.read_bytes(), None
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    for optimizer in checkpoint["optimizer_states"]:
        optimizer["state"] = {}
    slim = io.BytesIO()
    torch.save(checkpoint, slim)
    return slim.getvalue(), int(checkpoint["epoch"]) + 1


def _compress(content: bytes) -> bytes:
    whole = len(content) // WORD * WORD
    words = np.frombuffer(content, np.uint8, count=whole).reshape(-1, WORD)
    return zlib.compress(words.T.tobytes() + content[whole:], level=1)


def _expand(packed: bytes, size: int) -> bytes:
    try:
        plain = zlib.decompress(packed)
    except zlib.error:
        return b""
    whole = size // WORD * WORD
    planes = np.frombuffer(plain, np.uint8, count=whole).reshape(WORD, -1)
    return planes.T.tobytes() + plain[whole:]


def _manifest(state: Path) -> dict[str, Any]:
    file = state / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _damaged(file, "another format")
    return manifest


def _damaged(file: Path, found: str) -> RunError:
    return RunError(
        f"The state is damaged: found {found} in {file}. Bring it again, or delete {file.parent} to begin anew."
    )


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _drop_others(state: Path, names: set[str]) -> None:
    """Remove parts of earlier states, and what a kill left of others."""
    for file in state.iterdir():
        if file.name not in names and (file.suffix == ".part" or file.name.startswith(f".{MANIFEST}-")):
            file.unlink()
