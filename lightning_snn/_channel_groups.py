"""From ties between single positions to groups of channels.

Positions that are tied, directly or through others, go together: they are one channel. Layers that share a
channel (those around a residual addition, say) produce one group, which is the set of all their channels.

Axes: C channels of a group, P positions that one channel takes in one port.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lightning_snn._channel_ports import Port
from lightning_snn._channel_ports import Side
from lightning_snn._channel_trace import Trace
from lightning_snn.errors import SurgeryError


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are kept or removed together in several layers."""

    name: str
    """The first layer that produces them."""
    width: int
    """How many there are. With a grouped convolution among the layers, its blocks are counted."""
    layers: tuple[str, ...]
    """Convolutions and linear layers whose output channels they are, in network order."""
    consumers: tuple[str, ...]
    """Convolutions and linear layers that read them, in network order; a depthwise one is in both."""


@dataclass(frozen=True, eq=False)
class ChannelUse:
    """Where the channels of a group lie in one layer."""

    layer: str
    side: Side
    """Output or input channels of a convolution or linear layer, batch norm, or a neuron's own tensors."""
    positions_CP: NDArray[np.int64]
    """Positions of each channel on that side, ``[width, P]``; P is more than one after a flatten."""


def group_channels(
    trace: Trace, *, skip_unsupported: bool = False
) -> tuple[dict[ChannelGroup, tuple[ChannelUse, ...]], dict[str, str]]:
    """Find the groups, in network order, and where each lies. Outputs of the network are in none.

    Args:
        trace: What ties the channels.
        skip_unsupported: Leave out groups that cannot be cut, instead of refusing the network.

    Returns:
        The groups; and the layers whose channels are in none because they cannot be followed, with the reason.

    Raises:
        SurgeryError: But for ``skip_unsupported``, if a layer reads channels that can be followed beside some that
            cannot, or has only some of the channels of its group.
    """
    channels_of = _number_channels(trace)
    outs = {port.layer: channels for port, channels in channels_of.items() if port.side == "out"}
    skipped = dict(trace.skipped)
    for layer, reason in _partly_followed(channels_of, outs):
        if not skip_unsupported:
            raise SurgeryError(reason)
        skipped.setdefault(layer, reason)
    groups = {}
    for layers in _tied_layers(outs):
        if not trace.fixed.isdisjoint(layers):
            continue
        reasons = [skipped[layer] for layer in layers if layer in skipped]
        if not reasons:
            try:
                group, uses = _group(layers, channels_of, outs)
                groups[group] = uses
                continue
            except SurgeryError as error:
                if not skip_unsupported:
                    raise
                reasons = [str(error)]
        for layer in layers:
            skipped.setdefault(layer, reasons[0])
    return groups, {layer: skipped[layer] for layer in trace.roots if layer in skipped}


def _partly_followed(
    channels_of: dict[Port, NDArray[np.int64]], outs: dict[str, NDArray[np.int64]]
) -> Iterator[tuple[str, str]]:
    """Yield the producers of channels that a layer reads beside some that cannot be followed, with that reason."""
    produced = np.unique(np.concatenate([*outs.values(), np.empty(0, dtype=np.int64)]))
    for port, channels in channels_of.items():
        lost = np.count_nonzero(~np.isin(channels, produced))
        if 0 < lost < len(channels):
            reason = (
                f"Layer {port.layer!r} must read the channels of layers, found {lost} of {len(channels)} that "
                "are not. Do not concatenate with the network's input, and concatenate on the channel axis."
            )
            yield from ((layer, reason) for layer, numbers in outs.items() if np.isin(numbers, channels).any())


def _group(
    layers: tuple[str, ...], channels_of: dict[Port, NDArray[np.int64]], outs: dict[str, NDArray[np.int64]]
) -> tuple[ChannelGroup, tuple[ChannelUse, ...]]:
    """Describe the channels of layers that are tied."""
    numbers_C = np.array(list(dict.fromkeys(outs[layers[0]].tolist())))  # in the order of the first layer
    uses = tuple(
        ChannelUse(port.layer, port.side, _positions(layers[0], port, channels, numbers_C))
        for port, channels in channels_of.items()
        if (port.side == "out" and port.layer in layers) or np.isin(channels, numbers_C).any()
    )
    consumers = tuple(use.layer for use in uses if use.side == "in")
    return ChannelGroup(layers[0], len(numbers_C), layers, consumers), uses


def _number_channels(trace: Trace) -> dict[Port, NDArray[np.int64]]:
    """Give every position of every port the number of its channel; tied positions have the same."""
    start, total = {}, 0
    for port, size in trace.sizes.items():
        start[port] = total
        total += size
    nothing = np.empty(0, dtype=np.int64)
    a = np.concatenate([nothing, *(start[tie.port_a] + tie.a for tie in trace.ties)])
    b = np.concatenate([nothing, *(start[tie.port_b] + tie.b for tie in trace.ties)])
    tied = coo_array((np.ones(len(a)), (a, b)), shape=(total, total))
    _, numbers = connected_components(tied, directed=False)
    return {port: numbers[start[port] : start[port] + size] for port, size in trace.sizes.items()}


def _tied_layers(outs: dict[str, NDArray[np.int64]]) -> list[tuple[str, ...]]:
    """Collect layers that share output channels, directly or through others; all in network order."""
    place = {name: index for index, name in enumerate(outs)}
    tied: list[tuple[list[str], set[int]]] = []
    for name, channels in outs.items():
        names, numbers = [name], set(channels.tolist())
        for entry in [entry for entry in tied if not entry[1].isdisjoint(numbers)]:
            tied.remove(entry)
            names, numbers = sorted(entry[0] + names, key=place.__getitem__), entry[1] | numbers
        tied.append((names, numbers))
    return sorted((tuple(names) for names, _ in tied), key=lambda names: place[names[0]])


def _positions(group: str, port: Port, channels: NDArray[np.int64], numbers_C: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the positions of each channel in a port, ``[C, P]``."""
    index_of = np.full(max(channels.max(), numbers_C.max()) + 1, -1)
    index_of[numbers_C] = np.arange(len(numbers_C))
    index = index_of[channels]
    here = np.flatnonzero(index >= 0)
    counts_C = np.bincount(index[here], minlength=len(numbers_C))
    if counts_C.min() != counts_C.max() or (port.side == "out" and len(here) < len(channels)):
        raise SurgeryError(
            f"Layer {port.layer!r} must have all channels of {group!r} alike, found {counts_C.min()} to "
            f"{counts_C.max()} positions for one. Do not add to parts of concatenations."
        )
    return here[np.argsort(index[here], kind="stable")].reshape(len(numbers_C), -1).astype(np.int64)
