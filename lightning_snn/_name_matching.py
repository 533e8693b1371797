"""Which tensors of a file belong to which of a network, by name and shape.

Names of a file may have something before them (``module.`` of DataParallel, ``network.`` of a LightningModule, several
at once), and wrappers inside (``_orig_mod`` of ``torch.compile``). Rule (ours): of all state dicts in the file, and all
beginnings that may be left out of its names, the one by which most tensors of the network find one of their name and
shape. Where two do so alike, with other tensors, nobody is asked to guess.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_snn.errors import ArtifactError
from lightning_snn.errors import nearest

WRAPPERS = frozenset({"module", "_orig_mod"})
"""What wrappers of PyTorch call what they hold."""
WHOLE_FILE = "file"
"""What a state dict is called that stands nowhere in particular, with its names as they are."""


@dataclass(frozen=True)
class Match:
    """Tensors of a file under the names of a network."""

    part: str
    """Where they stand in the file, and what is left out before their names, such as ``state_dict.network``."""
    tensors: Mapping[str, Tensor]
    matched: tuple[str, ...]
    """In the network and the file, of the same shape."""
    misshapen: tuple[str, ...]
    """In both, of other shapes."""
    missing: tuple[str, ...]
    """Only in the network."""
    unexpected: tuple[str, ...]
    """Only in the file."""


def best_match(
    state_dicts: Mapping[str, Mapping[str, Tensor]], expected: Mapping[str, Tensor], part: str | None = None
) -> Match:
    """Return the tensors of a file under the names of a network, by the rule of this module.

    Args:
        state_dicts: Place in the file -> tensors by name.
        expected: State dict of the network.
        part: The only one to look at (``Match.part``); None: all.

    Raises:
        ArtifactError: If none of the network's tensors is found, if ``part`` is not there, or if two parts fit alike.
    """
    matches = [match for place, tensors in state_dicts.items() for match in _variants(place, tensors, expected)]
    if part is not None:
        known = {match.part for match in matches}
        if part not in known:
            raise ArtifactError(f"The file has no part {part!r}. {nearest(part, known, 'parts')}")
        matches = [match for match in matches if match.part == part]
    most = max(len(match.matched) for match in matches)
    best = [match for match in matches if len(match.matched) == most]
    if most == 0:
        first = max(state_dicts.values(), key=len)
        raise ArtifactError(
            f"None of the network's {len(expected)} tensors is in the file by name and shape: the network has "
            f"{_some(expected)}, the file {_some(first)}. Name the network that the weights are of, with its options."
        )
    for other in best[1:]:
        shared = set(other.matched) & set(best[0].matched)
        if not all(torch.equal(other.tensors[name], best[0].tensors[name]) for name in shared):
            raise ArtifactError(
                f"The file has weights that fit twice, {most} tensors each, found {best[0].part!r} and {other.part!r}. "
                f"Say which by --part, such as --part {best[0].part}."
            )
    return min(best, key=lambda match: len(match.unexpected))


def _variants(place: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[Match]:
    """Yield the state dict with each beginning left out that could be one, without wrappers inside and with them."""
    wrappers = WRAPPERS - {each for name in expected for each in name.split(".")}
    plain = {
        ".".join(each for each in name.split(".") if each not in wrappers): value for name, value in tensors.items()
    }
    for names in [tensors] if plain.keys() == tensors.keys() or len(plain) < len(tensors) else [tensors, plain]:
        for prefix in sorted(_prefixes(names, expected)):
            renamed = {name.removeprefix(prefix): value for name, value in names.items()}
            if len(renamed) == len(names):
                yield _compared(".".join(each for each in (place, prefix.rstrip(".")) if each), renamed, expected)


def _prefixes(names: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> set[str]:
    """Return what stands before a name of the network in any name of the file; always the empty beginning too."""
    found = {""}
    for name in names:
        at = name.find(".") + 1
        while at > 0:
            if name[at:] in expected:
                found.add(name[:at])
            at = name.find(".", at) + 1
    return found


def _compared(part: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Match:
    both = [name for name in expected if name in tensors]
    return Match(
        part=part or WHOLE_FILE,
        tensors=tensors,
        matched=tuple(name for name in both if tensors[name].shape == expected[name].shape),
        misshapen=tuple(name for name in both if tensors[name].shape != expected[name].shape),
        missing=tuple(name for name in expected if name not in tensors),
        unexpected=tuple(name for name in tensors if name not in expected),
    )


def _some(tensors: Mapping[str, Tensor]) -> str:
    shown = [f"{name} {list(value.shape)}" for name, value in list(tensors.items())[:3]]
    return ", ".join(shown) + (", ..." if len(tensors) > len(shown) else "")
