"""Options against a signature: names, plain types, and what is left to the callee."""

from collections.abc import Sequence
from typing import Any

import pytest

from lightning_snn._options import wrong_option


def takes(
    bench: object, *, keep: float | None = None, rounds: int = 1, fast: bool = False, plan: Sequence[int] = ()
) -> None:
    """Has options of all kinds."""


class Takes:
    def __init__(self, *, layers: str = "global") -> None:
        """Has one option."""


@pytest.mark.parametrize(
    "options",
    [{}, {"keep": 0.5}, {"keep": 1}, {"keep": None}, {"rounds": 3, "fast": True}, {"plan": [1, 2]}, {"plan": "any"}],
)
def test_what_fits(options: dict[str, Any]) -> None:
    assert wrong_option("Pruner 'x'", takes, options, ("bench",)) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kep": 0.5}, "Pruner 'x' has no option 'kep'. Did you mean 'keep'?"),
        ({"bench": 1}, "Pruner 'x' has no option 'bench'. Known options: fast, keep, plan, rounds."),
        ({"keep": "abc"}, "Option 'keep' of pruner 'x' is a number or null, found 'abc'."),
        ({"keep": True}, "Option 'keep' of pruner 'x' is a number or null, found True."),
        ({"rounds": 1.5}, "Option 'rounds' of pruner 'x' is a whole number, found 1.5."),
        ({"rounds": None}, "Option 'rounds' of pruner 'x' is a whole number, found None."),
        ({"fast": 1}, "Option 'fast' of pruner 'x' is true or false, found 1."),
    ],
)
def test_what_does_not(options: dict[str, Any], said: str) -> None:
    assert wrong_option("Pruner 'x'", takes, options, ("bench",)) == said


def test_classes_are_looked_at_by_their_constructor() -> None:
    assert wrong_option("Pruner 'x'", Takes, {"layers": "erk"}, ()) is None
    assert wrong_option("Pruner 'x'", Takes, {"layers": 2}, ()) == "Option 'layers' of pruner 'x' is a word, found 2."
