"""Every state dict of a file is found; what could run code, or is damaged, is one sentence and runs nothing."""

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lightning_snn._foreign_weights import read_state_dicts
from lightning_snn.errors import ArtifactError

WEIGHTS = {"fc.weight": torch.tensor([[1.0, 2.0]]), "fc.bias": torch.tensor([3.0])}
MOMENTA = {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def saved(folder: Path, content: Any, name: str = "a.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def refusal(file: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        read_state_dicts(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (WEIGHTS, [""]),
        ({"net": WEIGHTS, "optimizer": MOMENTA, "epoch": 3, "max_test_acc": np.float64(0.9)}, ["net"]),
        ({"model": WEIGHTS, "args": argparse.Namespace(lr=0.1, device="cuda")}, ["model"]),
        ({"state_dict": WEIGHTS, "hyper_parameters": {"loss": "tet"}, "loops": {"fit": {}}}, ["state_dict"]),
        ({"model": WEIGHTS, "model_ema": WEIGHTS}, ["model", "model_ema"]),
        ({"student": {"weights": WEIGHTS}}, ["student.weights"]),
        ({**WEIGHTS, "epoch": 3}, [""]),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_are_found_by_place(content: Any, places: list[str], zipped: bool, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_state_dicts(tmp_path / "a.pth")
    assert list(found) == places
    for tensors in found.values():
        assert tensors.keys() == WEIGHTS.keys()
        assert torch.equal(tensors["fc.weight"], WEIGHTS["fc.weight"])


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    assert read_state_dicts(tmp_path / "a.safetensors")[""]["fc.bias"].tolist() == [3.0]


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (lambda mark: Hostile(mark), "found posix.mkdir"),
        (lambda mark: {"state_dict": WEIGHTS, "callbacks": [Hostile(mark)]}, "found posix.mkdir"),
        (lambda mark: {"net": WEIGHTS, "args": argparse.Namespace(hook=Hostile(mark))}, "found posix.mkdir"),
        (lambda mark: nn.Linear(2, 1), "found torch.nn.modules.linear.Linear"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_could_run_code_is_refused_and_runs_nothing(
    content: Callable[[Path], Any], found: str, zipped: bool, tmp_path: Path
) -> None:
    torch.save(content(tmp_path / "mark"), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    message = refusal(tmp_path / "a.pth")
    assert found in message
    assert "which could run code: it is not opened. Where you trust it, save the tensors alone" in message
    assert not (tmp_path / "mark").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Hostile(tmp_path / "mark")))
    assert "a.pth" in refusal(tmp_path / "a.pth")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", ["a.pth", "a.ckpt", "a.safetensors"])
def test_a_cut_file_is_one_sentence(name: str, share: float, tmp_path: Path) -> None:
    if name.endswith("safetensors"):
        save_file(WEIGHTS, tmp_path / name)
    else:
        saved(tmp_path, WEIGHTS, name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    assert "it is cut, damaged or of another kind" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "found"),
    [([1, 2], "found a list"), ({"epoch": 1}, "with 'epoch'"), ({}, "nothing in it"), (torch.zeros(2), "a Tensor")],
)
def test_a_file_without_a_state_dict_says_what_it_has(content: Any, found: str, tmp_path: Path) -> None:
    assert found in refusal(saved(tmp_path, content))


def test_other_files_are_named(tmp_path: Path) -> None:
    assert "found No such file or directory at" in refusal(tmp_path / "nowhere.pth")
    assert "needs no import: name its folder" in refusal(tmp_path)
    (tmp_path / "page.pth").write_text("<html>404 Not Found</html>")
    assert "of another kind" in refusal(tmp_path / "page.pth")
