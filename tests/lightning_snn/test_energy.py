"""Energy against sums worked by hand from the table of Horowitz (ISSCC 2014)."""

import pytest

from lightning_snn.energy import ENERGY_45_NM
from lightning_snn.energy import energy_nanojoules

HOROWITZ = {"fp32": (3.7, 0.9), "fp16": (1.1, 0.4), "int8": (0.2, 0.03)}
"""Picojoules of a multiplication and of an addition, as printed there."""


@pytest.mark.parametrize("precision", HOROWITZ)
def test_a_mac_is_a_multiplication_and_an_addition_and_a_spike_only_adds(precision: str) -> None:
    multiply, add = HOROWITZ[precision]
    assert ENERGY_45_NM[precision].mac == pytest.approx(multiply + add)
    assert ENERGY_45_NM[precision].accumulate == add


def test_every_precision_is_checked() -> None:
    assert set(ENERGY_45_NM) == set(HOROWITZ)


@pytest.mark.parametrize(
    ("accumulates", "macs", "precision", "nanojoules"),
    [
        (1_000, 0, "fp32", 0.9),  # a thousand picojoules are a nanojoule
        (0, 1_000, "fp32", 4.6),
        (10_000, 2_000, "fp32", 9.0 + 9.2),
        (10_000, 2_000, "fp16", 4.0 + 3.0),
        (10_000, 2_000, "int8", 0.3 + 0.46),
        (0, 0, "fp32", 0.0),
    ],
)
def test_energy_by_hand(accumulates: float, macs: float, precision: str, nanojoules: float) -> None:
    assert energy_nanojoules(accumulates, macs, precision) == pytest.approx(nanojoules)


def test_single_precision_is_the_default() -> None:
    assert energy_nanojoules(7.0, 3.0) == energy_nanojoules(7.0, 3.0, "fp32")


def test_unknown_precision_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"precision 'fp8'\. Known names: fp16, fp32, int8\."):
        energy_nanojoules(1.0, 1.0, "fp8")
