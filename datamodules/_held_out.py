"""A split that is drawn once and kept beside the data, for a set that has no official one."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from datamodules._class_folders import Listed
from datamodules._class_folders import hold_out
from datamodules.errors import DataError


def split_file(share: int, seed: int) -> str:
    """Return the name of the file that a split is kept in: ``split-9to1-seed0.json`` where a tenth is for testing."""
    return f"split-{share - 1}to1-seed{seed}.json"


def held_out(folder: Path, listed: Sequence[Listed], *, share: int, seed: int) -> tuple[list[Listed], list[Listed]]:
    """Return training and test recordings as the file of the split has them; draw and write it if missing.

    Kept, for a new draw from other recordings would test on some that others were trained on.

    Args:
        folder: Where the file lies.
        listed: All recordings, below ``folder``.
        share: One in so many recordings of each class is for testing.
        seed: Of the draw.

    Raises:
        DataError: If the file cannot be read or written, or does not fit the recordings.
    """
    path = folder / split_file(share, seed)
    by_name = {recording.path.relative_to(folder).as_posix(): recording for recording in listed}
    kept = _read(path)
    if kept is None:
        train, test = hold_out(listed, share, seed)
        names = {recording: name for name, recording in by_name.items()}
        _write(path, {"train": [names[each] for each in train], "test": [names[each] for each in test]})
        return train, test
    split_names = kept["train"] + kept["test"]
    for name in sorted(by_name.keys() ^ set(split_names)):
        raise _misfit(path, f"{name}, which is {'not in it' if name in by_name else 'no longer in ' + str(folder)}")
    if len(split_names) != len(by_name):
        raise _misfit(path, "a recording that is in it twice")
    return [by_name[name] for name in kept["train"]], [by_name[name] for name in kept["test"]]


def _read(path: Path) -> dict[str, list[str]] | None:
    try:
        kept = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _misfit(path, error.strerror or f"{error}") from error
    except (ValueError, RecursionError) as error:
        raise _misfit(path, f"no JSON ({error})") from error
    if not isinstance(kept, dict) or not all(_is_list_of_names(kept.get(half)) for half in ("train", "test")):
        raise _misfit(path, "no lists train and test of file names")
    return {half: kept[half] for half in ("train", "test")}


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _misfit(path: Path, found: str) -> DataError:
    return DataError(
        f"The split in {path} does not fit the recordings: found {found}. Restore what has changed, or remove the file "
        "to draw a new split; results from before and after do not compare."
    )


def _write(path: Path, split: dict[str, list[str]]) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".split-", delete=False) as file:
            json.dump({"schema": 1, **split}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise DataError(
            f"The split cannot be kept in {path}: found {error.strerror}. Make the folder of the data writable, so "
            "that every run tests on the same recordings."
        ) from error
