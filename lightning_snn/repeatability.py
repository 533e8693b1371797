"""Whether a network is a function of its input: the same logits for a sample, whenever and beside whatever it is shown.

All that is measured, resumed and reused here rests on it. What breaks it: random numbers drawn in evaluation (spikes of
a Poisson encoder, dropout that is left on), state that ``functional.reset_net`` does not reset, and layers that mix the
samples of a batch. Each shows in a few passes over noise. Source: ours.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from typing import Any
from typing import Final

import torch
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.fingerprint import exact
from lightning_snn.fingerprint import fingerprint
from lightning_snn.fingerprint import noise_like
from lightning_snn.fingerprint import probe_copy
from lightning_snn.forward import run_network

TOLERANCE: Final = 1e-6
"""Largest relative difference between a sample alone and beside another, in float64: far above rounding."""
STATE: Final = (
    "keeps something from one pass to the next that functional.reset_net does not reset{where}. Derive what has a "
    "state from SpikingJelly's MemoryModule, and register the state with register_memory"
)


def check_repeatable(network: nn.Module, example: Tensor) -> None:
    """Refuse a network that is no function of its input in evaluation mode.

    Args:
        network: In either step mode; a copy of it is run.
        example: One input ``[T, B, C, H, W]``; only its shape counts.

    Raises:
        NetworkError: If logits depend on random numbers, on earlier passes, or on the other samples of a batch; or
            training on what no seed reaches.
    """
    x_TBCHW = noise_like(example)
    probe = _Probe(network, torch.float64)
    try:
        first_TBK = probe.run(x_TBCHW[:, :1])
    except (RuntimeError, TypeError):  # somewhere it says float32
        x_TBCHW, probe = x_TBCHW.float(), _Probe(network, torch.float32)
        first_TBK = probe.run(x_TBCHW[:, :1])
    name, trace = type(network).__name__, probe.trace
    if not torch.equal(probe.run(x_TBCHW[:, :1]), first_TBK):
        raise _refusal(name, STATE.format(where=probe.first_seen(trace)))
    if not torch.equal(probe.run(x_TBCHW[:, :1], seed=1), first_TBK):
        raise _refusal(
            name,
            f"draws random numbers in evaluation mode{probe.first_seen(trace)}. Encode inputs and drop units at random "
            "in training mode only, or draw from a torch.Generator that is seeded anew in each forward pass",
        )
    try:
        both_TBK = probe.run(x_TBCHW[:, :2])
        swapped_TBK = probe.run(x_TBCHW[:, :2].flip(1))
        again_TBK = probe.run(x_TBCHW[:, :1])
    except Exception as error:  # a user's forward can raise anything
        raise _refusal(
            name,
            f"runs on a batch of one, and then on one of two no more: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}. It may be that it {STATE.format(where='')}",
        ) from error
    if not torch.equal(again_TBK, first_TBK):
        raise _refusal(name, STATE.format(where=probe.first_seen(trace)))
    for found_TBK, expected_TBK in ((both_TBK[:, :1], first_TBK), (swapped_TBK, both_TBK.flip(1))):
        if not _close(found_TBK, expected_TBK):
            raise _refusal(
                name,
                "gives a sample other logits where another one is in the batch, or where it stands in it. Let each "
                "sample be computed by itself in evaluation mode, batch norms with their running statistics",
            )
    if fingerprint(network, example) != fingerprint(network, example):
        raise _refusal(
            name,
            "trains otherwise each time, although all random numbers of torch, NumPy and Python are seeded. Draw from "
            "them, so that a training that was killed can go on",
        )


def _refusal(name: str, found: str) -> NetworkError:
    return NetworkError(
        "A network must give the same logits for the same sample at all times, or nothing that is measured of it "
        f"holds: {name} {found}."
    )


def _close(found_TBK: Tensor, expected_TBK: Tensor) -> bool:
    tolerance = TOLERANCE if found_TBK.dtype == torch.float64 else 1e-2
    return torch.allclose(
        found_TBK, expected_TBK, rtol=0.0, atol=tolerance * float(expected_TBK.abs().max()), equal_nan=True
    )


class _Probe:
    """A copy of a network that runs on noise, and remembers what its layers put out."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        self._network, self._dtype = probe_copy(network, dtype).eval(), dtype
        self.trace: list[tuple[str, Tensor]] = []
        """Name and output of each layer, in the order of the last pass."""
        for name, module in self._network.named_modules():
            if not module._modules and name:
                module.register_forward_hook(self._noted(name))

    def run(self, x_TBCHW: Tensor, seed: int = 0) -> Tensor:
        """Return logits ``[T, B, K]``; all random numbers come from the seed."""
        self.trace = []
        with exact(self._dtype, seed), torch.no_grad():
            return run_network(self._network, x_TBCHW)

    def first_seen(self, before: list[tuple[str, Tensor]]) -> str:
        """Say in which layer the last pass began to differ from an earlier one of the same input."""
        for (name, one), (other_name, other) in zip(before, self.trace, strict=False):
            if name != other_name or one.shape != other.shape or not torch.equal(one, other):
                return f" (first seen in what layer {other_name!r} puts out)"
        return ""

    def _noted(self, name: str) -> Any:
        def note(_: nn.Module, __: Any, output: object) -> None:
            if isinstance(output, Tensor):
                self.trace.append((name, output.detach().clone()))

        return note
