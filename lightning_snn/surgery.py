"""Groups of channels, and networks without some of them: smaller, and equal to the parent with them silenced.

A group holds the channels that must go together: the outputs of one layer, or of all layers around a residual
addition. They are traced once (:class:`ChannelPlan`) with Torch-Pruning's dependency graph; then a candidate
is cut in milliseconds, by plain indices.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes, P positions of one channel.
Not here: which channels deserve to stay (``criteria.py``).
"""

import operator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import nn

from lightning_snn._channel_edit import cut_copy
from lightning_snn._channel_edit import silenced_copy
from lightning_snn._channel_groups import ChannelGroup
from lightning_snn._channel_groups import ChannelUse
from lightning_snn._channel_groups import group_channels
from lightning_snn._channel_ports import SUPPORTED
from lightning_snn._channel_ports import Port
from lightning_snn._channel_ports import port_size
from lightning_snn._channel_proof import awake_copy
from lightning_snn._channel_proof import prove_equal
from lightning_snn._channel_proof import run_small
from lightning_snn._channel_trace import trace
from lightning_snn._fan_out import weighted_layers
from lightning_snn._list_state import list_state
from lightning_snn._modes import evaluating
from lightning_snn._wrappers import refuse_other_input
from lightning_snn.errors import SurgeryError
from lightning_snn.errors import nearest

__all__ = ["ChannelGroup", "ChannelPlan", "ChannelUse", "channel_groups", "shrink"]

Keep = Mapping[str, Sequence[int] | NDArray[np.int64]]
"""Channels that stay, by group name; a group that is not named stays whole."""
REASONS = 3
"""Most of them that a message holds."""


def channel_groups(network: nn.Module, example: Tensor, skip_unsupported: bool = False) -> list[ChannelGroup]:
    """Find which channels can be removed, and which only together, in network order.

    Args:
        network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
        example: One input, ``[T, B, C, H, W]``.
        skip_unsupported: As for :meth:`ChannelPlan.trace`.

    Raises:
        SurgeryError: If a layer or function does not allow it, by name.
    """
    return list(ChannelPlan.trace(network, example, skip_unsupported=skip_unsupported).groups)


def shrink(network: nn.Module, keep: Keep, example: Tensor, skip_unsupported: bool = False) -> nn.Module:
    """Build a smaller network, and run it once on the example (in evaluation mode, from a clean state).

    Its parameters are new: an optimizer of the parent does not train them. Modes and ``requires_grad`` flags
    are the parent's. For many candidates of one network :meth:`ChannelPlan.shrink` is faster: it traces once.

    Args:
        network: The parent. Its neurons are reset, nothing else is changed.
        keep: Channels that stay, by group name; their order stays as well. Other groups stay whole.
        example: One input, ``[T, B, C, H, W]``.
        skip_unsupported: As for :meth:`ChannelPlan.trace`.

    Raises:
        SurgeryError: If ``keep`` does not fit the network, a layer or function does not allow removal, the
            result is not smaller although channels were removed, or does not run.
    """
    small = ChannelPlan.trace(network, example, skip_unsupported=skip_unsupported).shrink(network, keep)
    run_small(small, example)
    return small


@dataclass(frozen=True, eq=False)
class ChannelPlan:
    """Where every channel of a network lies: all that is needed to cut networks of the same structure."""

    groups: tuple[ChannelGroup, ...]
    """In network order."""
    skipped: Mapping[str, str]
    """Layers whose channels stay because they cannot be followed, and why; empty unless that was allowed."""
    _uses: Mapping[str, tuple[ChannelUse, ...]]
    _sizes: Mapping[Port, int]

    @classmethod
    def trace(
        cls, network: nn.Module, example: Tensor, *, skip_unsupported: bool = False, prune_first: bool = True
    ) -> "ChannelPlan":
        """Find the channels of a network, and prove on the example that they can be removed.

        The proof keeps every second channel of every group (an odd number of them, as divisions among heads could
        pass by luck), and compares with the others silenced; on a copy whose biases and batch norms make neurons
        fire, in float64 so that rounding moves no spike.

        Args:
            network: SpikingJelly layers in either step mode. Its neurons are reset, nothing else is changed.
            example: One input, ``[T, B, C, H, W]``; the first sample is used.
            skip_unsupported: Keep all channels that reach anything that cannot be followed (attention, a group
                norm, a parameter outside of layers), or whose own proof fails, and say so in ``skipped``; else
                such a network is refused. A network that does not run, or has a layer that does not, always is.
            prune_first: Whether channels of the layer that runs first (it sees pixels or event counts) are a group
                like any other; else they stay, and so do those that residual additions tie to them.

        Raises:
            SurgeryError: If a layer or function does not allow removal, or the proof fails.
            NetworkError: If it is a ``SpikingClassifier`` that holds a network.
        """
        if example.ndim != 5:
            raise SurgeryError(
                f"The example must be one input [T, B, C, H, W], found {tuple(example.shape)}. "
                "Show an image T times (to_time_first does)."
            )
        refuse_other_input(network)
        example = example.to(next(network.parameters(), example).device)
        try:
            plan = cls._trace(network, example, skip_unsupported=skip_unsupported, prune_first=prune_first)
        except SurgeryError as error:
            raise SurgeryError(_hidden_state(network, example) or str(error)) from error
        hidden = _hidden_state(network, example) if plan.skipped else None
        if hidden is not None:
            raise SurgeryError(hidden)
        return plan

    @classmethod
    def _trace(cls, network: nn.Module, example: Tensor, *, skip_unsupported: bool, prune_first: bool) -> "ChannelPlan":
        found = trace(network, example[0, :1], skip_unsupported=skip_unsupported)
        uses, skipped = group_channels(found, skip_unsupported=skip_unsupported)
        groups = tuple(group for group in uses if prune_first or found.roots[0] not in group.layers)
        plan = cls(groups, skipped, {group.name: uses[group] for group in groups}, found.sizes)
        awake = awake_copy(network)
        try:
            plan._prove(awake, example[:, :1])
        except SurgeryError:
            if not skip_unsupported:
                raise
            plan = plan._proven_part(awake, example[:, :1])
            plan._prove(awake, example[:, :1])
        return plan

    def why_empty(self, network: nn.Module) -> str:
        """Return the sentence for a network of which no channel can be removed."""
        name, distinct = type(network).__name__, list(dict.fromkeys(self.skipped.values()))
        if not distinct:
            return (
                f"{name} has no channels to prune besides its classifier's outputs. "
                "Give a network with two or more weighted layers."
            )
        more = f" (and {len(distinct) - REASONS} more reasons)" if len(distinct) > REASONS else ""
        return (
            f"{name} has no channels to prune: those of {', '.join(self.skipped)} stay, as they cannot be followed. "
            + " ".join(distinct[:REASONS])
            + more
        )

    def positions(self, group: str) -> tuple[ChannelUse, ...]:
        """Return where the channels of a group lie in each layer that has them, in network order.

        Raises:
            SurgeryError: If no group has this name.
        """
        if group not in self._uses:
            hint = nearest(group, self._uses, "groups")
            raise SurgeryError(f"Channels are kept by group, found no group that is called {group!r}. {hint}")
        return self._uses[group]

    def shrink(self, network: nn.Module, keep: Keep) -> nn.Module:
        """Do what :func:`shrink` does, for any network of the traced structure, without running it.

        Raises:
            SurgeryError: If ``keep`` or the network does not fit, or nothing became smaller.
        """
        removed = self._removed(network, keep)
        stays: dict[Port, NDArray[np.bool_]] = {}
        for group, channels in removed.items():
            for use in self._uses[group]:
                port = Port(use.layer, use.side)
                flags = stays.setdefault(port, np.ones(self._sizes[port], dtype=np.bool_))
                flags[use.positions_CP[channels]] = False
        small = cut_copy(network, self._sizes, {port: np.flatnonzero(flags) for port, flags in stays.items()})
        before, after = _count_parameters(network), _count_parameters(small)
        if removed and after >= before:
            raise SurgeryError(
                f"Removing channels must leave fewer parameters, found {after} of {before}. "
                "Check that its layers are those that were traced."
            )
        return small

    def mask(self, network: nn.Module, keep: Keep) -> nn.Module:
        """Copy a network with the other channels silenced: its own shape, and the outputs of :meth:`shrink`.

        Raises:
            SurgeryError: If ``keep`` or the network does not fit.
        """
        removed = self._removed(network, keep)
        return silenced_copy(network, [(self._uses[group], channels) for group, channels in removed.items()])

    def live_synapses(self, network: nn.Module, keep: Keep) -> dict[str, Tensor]:
        """Return which weights of a network :meth:`shrink` leaves, by convolution and linear layer.

        Returns:
            Boolean tensors of the weights' shapes, false for weights from or to a channel that goes.

        Raises:
            SurgeryError: If ``keep`` or the network does not fit.
        """
        layers = weighted_layers(network)
        live = {name: torch.ones_like(layer.weight, dtype=torch.bool) for name, layer in layers.items()}
        for group, channels in self._removed(network, keep).items():
            for use in self._uses[group]:
                if use.layer not in live or use.side not in ("in", "out"):
                    continue
                if use.side == "in" and getattr(network.get_submodule(use.layer), "groups", 1) > 1:
                    continue  # its second axis counts inside one block, and whole blocks go with its outputs
                gone = torch.from_numpy(use.positions_CP[channels].ravel()).to(live[use.layer].device)
                live[use.layer].index_fill_(1 if use.side == "in" else 0, gone, False)
        return live

    def _removed(self, network: nn.Module, keep: Keep) -> dict[str, NDArray[np.int64]]:
        """Check the arguments, and return the channels that go, by group; only groups that lose some."""
        self._check_structure(network)
        widths = {group.name: group.width for group in self.groups}
        removed = {}
        for name, indices in keep.items():
            self.positions(name)
            gone = np.setdiff1d(np.arange(widths[name]), _checked(name, indices, widths[name]))
            if len(gone) > 0:
                removed[name] = gone
        return removed

    def _check_structure(self, network: nn.Module) -> None:
        modules = dict(network.named_modules())
        for port, size in self._sizes.items():
            module = modules.get(port.layer)
            found = port_size(module, port.side) if module is not None and type(module) in SUPPORTED else None
            if module is None or (port.side != "neuron" and found != size):
                raise SurgeryError(
                    f"Layer {port.layer!r} must have {size} channels ({port.side}) as when it was traced, "
                    f"found {found}. Trace a new ChannelPlan for a network of another structure."
                )

    def _prove(self, network: nn.Module, example: Tensor) -> None:
        keep = {group.name: _every_second(group.width) for group in self.groups}
        prove_equal(self.mask(network, keep), self.shrink(network, keep), example)

    def _proven_part(self, network: nn.Module, example: Tensor) -> "ChannelPlan":
        """Prove each group alone, and leave out those whose proof fails."""
        proven, skipped = [], dict(self.skipped)
        for group in self.groups:
            try:
                replace(self, groups=(group,))._prove(network, example)
                proven.append(group)
            except SurgeryError as error:
                skipped |= {layer: str(error) for layer in group.layers}
        uses = {group.name: self._uses[group.name] for group in proven}
        return replace(self, groups=tuple(proven), skipped=skipped, _uses=uses)


def _hidden_state(network: nn.Module, example: Tensor) -> str | None:
    """Say which module keeps tensors in a list, where one does: this is why the channels cannot be followed."""
    with evaluating(network):
        return list_state(network, example[:, :1])


def _checked(name: str, indices: Sequence[int] | NDArray[np.int64], width: int) -> list[int]:
    """Return the indices of one group, or say what is wrong with them."""
    kept = [operator.index(index) for index in indices]
    wrong = [index for index in kept if not 0 <= index < width]
    if not kept:
        problem = "none"
    elif wrong:
        problem = f"index {wrong[0]}"
    elif len(set(kept)) < len(kept):
        problem = f"index {next(index for index in kept if kept.count(index) > 1)} twice"
    else:
        return kept
    raise SurgeryError(
        f"Group {name!r} must keep between one and all of its {width} channels, each once, found {problem}. "
        f"Give distinct indices from 0 to {width - 1}."
    )


def _every_second(width: int) -> range:
    """Choose every second channel, and an odd number of them, lest a division among heads passes by luck."""
    half = (width + 1) // 2
    return range(0, 2 * (half - (half + 1) % 2), 2)


def _count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
