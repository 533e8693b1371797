"""By which names tensors of a file belong to a network: worked by hand, and ambiguity said."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from lightning_snn._name_matching import best_match
from lightning_snn.errors import ArtifactError

EXPECTED = {"conv.0.weight": torch.zeros(2, 1), "conv.0.bias": torch.zeros(2), "head.weight": torch.zeros(3, 2)}


def filled(prefix: str = "", value: float = 1.0) -> dict[str, Tensor]:
    return {f"{prefix}{name}": torch.full_like(tensor, value) for name, tensor in EXPECTED.items()}


@pytest.mark.parametrize(
    ("state_dicts", "part"),
    [
        ({"": filled()}, "file"),
        ({"net": filled()}, "net"),
        ({"": filled("module.")}, "module"),
        ({"state_dict": filled("network.")}, "state_dict.network"),
        ({"state_dict": filled("module.net._orig_mod.")}, "state_dict.module.net._orig_mod"),
        ({"": filled("a.b.c.")}, "a.b.c"),
        ({"": {name.replace("conv.", "conv.module."): each for name, each in filled().items()}}, "file"),
        ({"": {name.replace("conv.", "conv._orig_mod."): each for name, each in filled("net.").items()}}, "net"),
        ({"old": {"conv.0.bias": torch.ones(2)}, "new": filled()}, "new"),
    ],
)
def test_all_tensors_are_found_under_what_stands_before_them(
    state_dicts: Mapping[str, Mapping[str, Tensor]], part: str
) -> None:
    match = best_match(state_dicts, EXPECTED)
    assert set(match.matched) == set(EXPECTED)
    assert (match.missing, match.misshapen, match.unexpected) == ((), (), ())
    assert all((match.tensors[name] == 1.0).all() for name in EXPECTED)
    assert match.part == part


def test_a_network_with_parts_called_module_keeps_them() -> None:
    expected = {"module.weight": torch.zeros(2), "net.module.weight": torch.zeros(3)}
    match = best_match({"": {"module.weight": torch.ones(2), "net.module.weight": torch.ones(3)}}, expected)
    assert (match.part, match.matched, match.unexpected) == ("file", tuple(expected), ())


def test_what_differs_is_told_apart() -> None:
    file = {"conv.0.weight": torch.ones(2, 1), "head.weight": torch.ones(9, 2), "loss.weight": torch.ones(1)}
    match = best_match({"": {f"module.{name}": each for name, each in file.items()}}, EXPECTED)
    assert match.matched == ("conv.0.weight",)
    assert match.misshapen == ("head.weight",)
    assert match.missing == ("conv.0.bias",)
    assert match.unexpected == ("loss.weight",)


def test_what_stands_beside_the_network_is_unexpected() -> None:
    match = best_match({"": {**filled("network."), "teacher.weight": torch.ones(1)}}, EXPECTED)
    assert match.unexpected == ("teacher.weight",)


@pytest.mark.parametrize(
    "state_dicts",
    [{"model": filled(), "ema": filled(value=2.0)}, {"": {**filled("model."), **filled("ema.", value=2.0)}}],
)
def test_two_that_fit_alike_are_for_the_user_to_choose(state_dicts: Mapping[str, Mapping[str, Tensor]]) -> None:
    with pytest.raises(ArtifactError, match=r"fit twice, 3 tensors each, found '(model|ema)' and '(model|ema)'\. Say"):
        best_match(state_dicts, EXPECTED)
    for part, value in (("model", 1.0), ("ema", 2.0)):
        match = best_match(state_dicts, EXPECTED, part)
        assert (match.part, float(match.tensors["conv.0.bias"][0])) == (part, value)
    with pytest.raises(ArtifactError, match=r"no part 'modl'\. Did you mean 'model'\?"):
        best_match(state_dicts, EXPECTED, "modl")


def test_two_that_are_the_same_are_one() -> None:
    assert best_match({"model": filled(), "copy": filled()}, EXPECTED).matched == tuple(EXPECTED)


def test_a_file_of_other_names_is_shown_beside_the_network() -> None:
    with pytest.raises(ArtifactError, match=r"network has conv\.0\.weight \[2, 1\], .*the file layer1\.w \[4\]\. Name"):
        best_match({"": {"layer1.w": torch.ones(4)}}, EXPECTED)
