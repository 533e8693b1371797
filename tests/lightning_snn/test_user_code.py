"""Whose mistake an error is: the innermost line outside of libraries decides."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from lightning_snn._user_code import is_statement_of_user
from lightning_snn._user_code import place_of
from lightning_snn._user_code import said
from lightning_snn.forward import to_time_first

HERE = f"{Path(__file__).name}, line "


def error_of(call: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever it is
        call()
    return caught.value


def out_of_range() -> object:
    return [][0]


def theirs() -> None:
    raise ValueError("two\n  lines of\ttext.")


@pytest.mark.parametrize("call", [theirs, out_of_range, lambda: F.linear(torch.ones(2), torch.ones(3, 3), bias=3)])
def test_a_line_of_the_users_is_named(call: Callable[[], object]) -> None:
    found = place_of(error_of(call))
    assert found is not None
    assert HERE in found


def test_an_error_of_a_library_is_that_of_the_users_who_called_it() -> None:
    found = place_of(error_of(lambda: torch.nn.BatchNorm2d(2)(torch.ones(2, 2))))
    assert found is not None
    assert HERE in found


def test_an_error_in_our_code_is_ours_whoever_called_it() -> None:
    assert place_of(error_of(lambda: to_time_first(None, 2))) is None  # type: ignore[arg-type]  # wrong on purpose


def test_what_was_said_is_one_line() -> None:
    assert said(error_of(theirs)).endswith(": two lines of text")
    assert len(said(error_of(lambda: int("x" * 1000)))) < 400


def test_a_statement_of_the_users_is_told_from_what_a_library_says() -> None:
    assert is_statement_of_user(error_of(theirs))
    assert not is_statement_of_user(error_of(out_of_range))
    assert not is_statement_of_user(error_of(lambda: torch.nn.BatchNorm2d(2)(torch.ones(2, 2))))
