"""What operations cost in energy, as the field reports it: accumulates and multiply-accumulates in 45 nm CMOS.

``E = e_MAC * MACs + e_AC * accumulates``. Arithmetic alone: memory, leakage, neuron updates and the reading of
weights are not in it, and may well be most of what a chip draws. A comparison by this figure is one by SynOps in
which an analog operation weighs more than a spike's.

| precision | multiply | add | MAC = multiply + add | accumulate = add |
|---|---|---|---|---|
| ``fp32`` | 3.7 pJ | 0.9 pJ | 4.6 pJ | 0.9 pJ |
| ``fp16`` | 1.1 pJ | 0.4 pJ | 1.5 pJ | 0.4 pJ |
| ``int8`` | 0.2 pJ | 0.03 pJ | 0.23 pJ | 0.03 pJ |

Source: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014; the same three sums are
the presets of SpikingJelly's ``op_counter``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lightning_snn.errors import nearest


@dataclass(frozen=True)
class OperationEnergy:
    """Energy of one operation, in picojoules."""

    mac: float
    accumulate: float


ENERGY_45_NM: Final[Mapping[str, OperationEnergy]] = MappingProxyType(
    {
        "fp32": OperationEnergy(mac=4.6, accumulate=0.9),
        "fp16": OperationEnergy(mac=1.5, accumulate=0.4),
        "int8": OperationEnergy(mac=0.23, accumulate=0.03),
    }
)
"""Precision of weights and activations -> cost of an operation."""


def energy_nanojoules(accumulates: float, macs: float, precision: str = "fp32") -> float:
    """Return the energy of so many operations, in nanojoules.

    Args:
        accumulates: Synaptic operations caused by spikes, per sample say.
        macs: Operations of layers with analog inputs, on the same scale.
        precision: A key of :data:`ENERGY_45_NM`.

    Raises:
        ValueError: If the precision is unknown.
    """
    if precision not in ENERGY_45_NM:
        raise ValueError(f"No energy is known for precision {precision!r}. {nearest(precision, ENERGY_45_NM)}")
    cost = ENERGY_45_NM[precision]
    return (cost.mac * macs + cost.accumulate * accumulates) / 1000.0
