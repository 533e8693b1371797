"""The user's own code counts as it is written: every statement, in every file that it takes names from; no layout."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from lightning_snn._own_code import digest_of_own_code
from lightning_snn.networks import build_network

NET = '''
from torch import nn

from own_code_helper import capped


class Net(nn.Linear):
    """A layer."""

    def __init__(self):
        super().__init__(2, 2)

    def forward(self, x):
        return super().forward(capped(x))
'''
HELPER = """
def capped(x):
    return x.clamp(max=1e6)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    forget()


def forget() -> None:
    for name in ("own_code_net", "own_code_helper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def digest(folder: Path, net: str = NET, helper: str = HELPER) -> str:
    forget()
    (folder / "own_code_net.py").write_text(net)
    (folder / "own_code_helper.py").write_text(helper)
    network: nn.Module = importlib.import_module("own_code_net").Net()
    return digest_of_own_code(network, "own_code_net")


def test_layout_comments_and_docstrings_do_not_count(folder: Path) -> None:
    other = NET.replace('"""A layer."""', "# a comment\n").replace("(2, 2)", "(  2,\n  2 )")
    assert digest(folder, other) == digest(folder)


@pytest.mark.parametrize(
    ("net", "helper"),
    [
        (NET.replace("capped(x)", "capped(-x)"), HELPER),
        (NET, HELPER.replace("1e6", "1e7")),
        (NET.replace("(2, 2)", "(2, 2, bias=True)"), HELPER),
    ],
)
def test_every_statement_counts_also_of_files_that_it_takes_names_from(folder: Path, net: str, helper: str) -> None:
    assert digest(folder, net, helper) != digest(folder)


def test_networks_of_libraries_and_ours_have_none_of_it() -> None:
    ours = build_network("vgg_small", num_classes=3, in_channels=1)
    assert digest_of_own_code(ours) == digest_of_own_code(nn.Linear(2, 2))
