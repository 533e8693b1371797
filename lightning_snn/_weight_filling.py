"""Copy the tensors of a file into a network: all that matter, or none and a sentence that says what does not fit."""

from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch import nn

from lightning_snn._name_matching import Match
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import nearest
from lightning_snn.neurons import is_neuron

COUNTER: Final = "num_batches_tracked"
"""A tensor of batch norm that nothing we do depends on; older files lack it."""
NAMED: Final = 3
"""Names that a message lists."""


def fill_(
    network: nn.Module, match: Match, file: Path, *, classes: int, drop_unexpected: bool = False
) -> tuple[str, ...]:
    """Copy tensors into a network, all of them or none.

    Args:
        network: Changed in place.
        match: Tensors under its names.
        file: Where they are from, for messages.
        classes: Of the data.
        drop_unexpected: Whether tensors that the network does not have are left out.

    Returns:
        Names of tensors that the file lacks, and that stay as they were built.

    Raises:
        ArtifactError: If one is missing that matters, has another shape or kind of number, or is not finite; or if
            there is one that the network does not have.
    """
    expected = network.state_dict()
    said = f"{file} ({match.part}) has {len(match.matched)} of the network's {len(expected)} tensors by name and shape"
    if match.misshapen:
        raise ArtifactError(f"{said}. {_say_shapes(match, expected, classes)}")
    may_lack = _of_neurons(network)
    missing = [name for name in match.missing if name not in may_lack]
    if missing:
        close = f" {nearest(missing[0], match.unexpected, 'others there')}" if match.unexpected else ""
        raise ArtifactError(
            f"{said}; it lacks {named(missing)}.{close} Name the network that the weights are of, with its "
            "options (--network, --network.options.NAME)."
        )
    if match.unexpected and not drop_unexpected:
        raise ArtifactError(
            f"{said}, and {len(match.unexpected)} more that the network does not have: {named(match.unexpected)}. Name "
            "the network that has them, or leave them out: --drop_unexpected true."
        )
    found = {name: match.tensors[name] for name in match.matched}
    for name, value in found.items():
        if value.is_floating_point() != expected[name].is_floating_point():
            raise ArtifactError(
                f"Tensor {name!r} of {file} holds another kind of numbers, found {value.dtype} for "
                f"{expected[name].dtype}. Save weights as floating-point numbers, not quantised."
            )
        if not torch.isfinite(value).all():
            raise ArtifactError(
                f"Tensor {name!r} of {file} must hold finite numbers, found NaN or infinity. Take weights from before "
                "the training diverged."
            )
    network.load_state_dict({**expected, **found})
    return match.missing


def named(names: Iterable[str]) -> str:
    """Return the first names of several, and how many more there are."""
    listed = list(names)
    shown = ", ".join(listed[:NAMED])
    return f"{shown}, and {len(listed) - NAMED} more" if len(listed) > NAMED else shown


def _of_neurons(network: nn.Module) -> set[str]:
    """Return the tensors that a file may lack: those of neurons, and batch norm's counter."""
    found = {name for name in network.state_dict() if name.rpartition(".")[2] == COUNTER}
    for name, module in network.named_modules():
        if is_neuron(module):
            found |= {f"{name}.{each}".lstrip(".") for each in module.state_dict()}
    return found


def _say_shapes(match: Match, expected: Mapping[str, Tensor], classes: int) -> str:
    """Say which shapes differ; of a classifier, in classes."""
    name = match.misshapen[0]
    theirs, ours = list(match.tensors[name].shape), list(expected[name].shape)
    several = f" and {len(match.misshapen) - 1} more" if len(match.misshapen) > 1 else ""
    found = f"Of another shape: {name!r} is {theirs} in the file, {ours} in the network{several}."
    outputs = {match.tensors[each].shape[:1] for each in match.misshapen}
    if len(outputs) == 1 and ours[:1] == [classes] and theirs[:1] != ours[:1] and theirs[1:] == ours[1:]:
        return f"{found} The weights are for {theirs[0]} classes, the data have {classes}: name the data they are for."
    return f"{found} Name the network that the weights are of, with its options, and data of its size and channels."
