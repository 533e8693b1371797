"""Options against a signature: names, plain types, and what is left to the callee."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import Optional

import pytest

from lightning_snn._options import as_meant
from lightning_snn._options import wrong_option

if TYPE_CHECKING:
    from nowhere import Nothing  # type: ignore[import-not-found]  # a name that only a type checker looks up


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
        ({"keep": math.nan}, "Option 'keep' of pruner 'x' is a number or null, found nan."),
        ({"keep": -math.inf}, "Option 'keep' of pruner 'x' is a number or null, found -inf."),
        ({"fast": 1}, "Option 'fast' of pruner 'x' is true or false, found 1."),
    ],
)
def test_what_does_not(options: dict[str, Any], said: str) -> None:
    assert wrong_option("Pruner 'x'", takes, options, ("bench",)) == said


def test_classes_are_looked_at_by_their_constructor() -> None:
    assert wrong_option("Pruner 'x'", Takes, {"layers": "erk"}, ()) is None
    assert wrong_option("Pruner 'x'", Takes, {"layers": 2}, ()) == "Option 'layers' of pruner 'x' is a word, found 2."


def means(
    a: float,
    b: float | None,
    c: int,
    d: Optional[float],  # noqa: UP045  # as older code says it
    e: int | float,
    f: Any,
    g=2.0,
    h=2,
    *,
    i: float = 1.0,
    **j: float,
) -> None:  # type: ignore[no-untyped-def]  # as users write
    """Means numbers, whole numbers, and either."""


def test_whole_numbers_are_numbers_where_the_signature_says_so() -> None:
    given = {name: 2 for name in "abcdefghiz"}
    found = as_meant(means, given)
    assert found == given
    assert "".join(name for name, value in found.items() if type(value) is float) == "abdgi"


def test_what_is_no_whole_number_stays() -> None:
    given = {"a": True, "b": None, "g": "2", "i": [2]}
    assert {name: type(value) for name, value in as_meant(means, given).items()} == {
        name: type(value) for name, value in given.items()
    }


def test_annotations_that_cannot_be_looked_up_are_read() -> None:
    def own(tau: "float", other: "Nothing", width: "int" = 3) -> None: ...

    assert [type(value) for value in as_meant(own, {"tau": 2, "other": 2, "width": 2}).values()] == [float, int, int]
