"""Networks of the user's own: found from the current folder, and whatever their code raises is one sentence."""

import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_snn.errors import NetworkError
from lightning_snn.networks import build_own_network

NET = """
import builtins
from spikingjelly.activation_based import neuron
from torch import nn
class Net(nn.Module):
    def __init__(self, tau: float = 2.0, width=3, scale=1.0):
        super().__init__()
        self.lif, self.width, self.scale = neuron.LIFNode(tau), width, scale
def raises(how="ValueError"):
    raise getattr(builtins, how)("no such width")
def jelly():
    return neuron.LIFNode(tau=2)
def positional(width, /):
    return nn.Linear(width, 2)
"""
MODULES = {
    "their_net": NET,
    "their_lack": "import a_package_that_is_not_there\nclass Net: ...\n",
    "their_syntax": "import torch\nclass Net(torch.nn.Module:\n    pass\n",
    "their_script": "import argparse\nargparse.ArgumentParser().parse_args(['--unknown'])\nclass Net: ...\n",
    "their_exit": "import sys\nsys.exit(3)\n",
    "their_zero": "\n\n1 / 0\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not on the path: as ``python -P`` starts."""
    (tmp_path / "their_package").mkdir()
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / "their_package" / f"{name}.py").write_text(text)
    (tmp_path / "their_package" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    for name in list(sys.modules):
        if name.startswith("their_"):
            monkeypatch.delitem(sys.modules, name)
    return tmp_path


def build(target: str, **options: Any) -> Any:
    return build_own_network(target, num_classes=4, in_channels=2, **options)


@pytest.mark.parametrize("target", ["their_net.Net", "their_net:Net", "their_package.their_net.Net"])
def test_the_current_folder_comes_last(target: str, folder: Path) -> None:
    before = list(sys.path)
    assert type(build(target)).__name__ == "Net"
    assert sys.path == [*before, str(folder)]


def test_whole_numbers_are_numbers_where_the_signature_means_numbers() -> None:
    network = build("their_net.Net", tau=3, width=2, scale=4)
    assert network.lif.tau == 3.0
    assert [type(each) for each in (network.lif.tau, network.width, network.scale)] == [float, int, float]


@pytest.mark.parametrize("package", ["", "their_package."])
@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "their_lack.Net",
            "raised ModuleNotFoundError in {}their_lack.py, line 1: No module named 'a_package_that_is_no",
        ),
        ("their_syntax.Net", "raised SyntaxError in {}their_syntax.py, line 2: "),
        ("their_script.Net", "raised SystemExit in {}their_script.py, line 2: 2."),
        ("their_exit.Net", "raised SystemExit in {}their_exit.py, line 2: 3."),
        ("their_zero.Net", "raised ZeroDivisionError in {}their_zero.py, line 3: division by zero."),
        (
            "their_net.jelly",
            "raised AssertionError in {}their_net.py, line 12: assert isinstance(tau, float) and tau > 1.0.",
        ),
        ("their_net.Nett", "must be an import path such as my_package.MyNet, found "),
        ("their_net.Net.x.y", "has no 'x'"),
        ("their_nett.Net", "must be an import path such as my_package.MyNet, found "),
        ("their_net.neuron", "could not be built: it is no class or function, found <module"),
        ("their_net.positional", "could not be built: "),
    ],
)
def test_what_cannot_be_imported_or_built_is_one_sentence_with_the_line(package: str, target: str, said: str) -> None:
    with pytest.raises(NetworkError) as caught:
        build(package + target)
    assert said.format(package.replace(".", "/")) in str(caught.value)
    assert package + target in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "how", ["ValueError", "TypeError", "KeyError", "AttributeError", "ImportError", "OSError", "AssertionError"]
)
def test_every_type_is_treated_alike(how: str) -> None:
    with pytest.raises(NetworkError) as caught:
        build("their_net.raises", how=how)
    text = repr("no such width") if how == "KeyError" else "no such width"
    assert str(caught.value) == f"their_net.raises raised {how} in their_net.py, line 10: {text}."


@pytest.mark.parametrize("how", ["MemoryError", "KeyboardInterrupt"])
def test_what_is_no_mistake_passes(how: str) -> None:
    with pytest.raises(BaseException, match="no such width") as caught:
        build("their_net.raises", how=how)
    assert type(caught.value).__name__ == how
