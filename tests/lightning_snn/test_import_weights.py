"""``python -m lightning_snn.import_weights``: from files made elsewhere to a search and a measurement."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from conf.loading import later_wins
from datamodules.digits import DigitsDataModule
from lightning_snn import import_weights
from lightning_snn import measure
from lightning_snn.artifact import load_artifact
from lightning_snn.artifact import save_artifact
from lightning_snn.forward import run_network
from lightning_snn.networks import build_network
from search.cli import main as search
from tests.lightning_snn.own_network import WithDropout
from tests.lightning_snn.tiny import classifier
from tests.lightning_snn.tiny import quiet_trainer

DIGITS = ["--data", "digits", "--network.time_steps", "2", "trainer.accelerator=cpu"]
VGG = [*DIGITS, "--network", "vgg_small", "--network.options.plan", "[8,M,12,M]"]
OWN = [*DIGITS, "--network._target_", "tests.lightning_snn.own_network.WithDropout"]
IMAGES = torch.rand(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def vgg(seed: int = 1) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network("vgg_small", num_classes=10, in_channels=1, image_size=8, plan=(8, "M", 12, "M"))


def own() -> WithDropout:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return WithDropout(10, 1)


def logits(network: nn.Module) -> Tensor:
    with torch.no_grad():
        return run_network(network.eval(), IMAGES)


def saved(content: Any, file: Path) -> Path:
    torch.save(content, file)
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a loop of plain PyTorch and SpikingJelly, with what such scripts keep beside the weights."""
    data = DigitsDataModule(seed=0)
    data.prepare_data()
    data.setup("fit")
    network = own().train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(2):
        for x_BCHW, y_B in data.train_dataloader():
            functional.reset_net(network)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x_BCHW.expand(2, *x_BCHW.shape)).mean(0), y_B)
            torch.autograd.backward(loss)
            optimizer.step()
    checkpoint = {
        "net": nn.DataParallel(network).state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 2,
        "args": argparse.Namespace(lr=0.01, T=2),
    }
    return saved(checkpoint, tmp_path_factory.mktemp("elsewhere") / "checkpoint_max.pth")


def test_weights_trained_elsewhere_are_measured_pruned_and_measured_again(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert import_weights.main([str(trained), *OWN]) == 0
    out = tmp_path / "imported" / "checkpoint_max"
    said = capsys.readouterr().out
    assert "| read from " in said
    assert "net.module |" in said
    assert "no better than chance" not in said
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["validation_accuracy"] > 0.6
    figures = ["--json", "figures.json"]
    assert measure.main([str(out), *OWN, "--seed", "0", "--split", "validation", *figures]) == 0
    assert json.loads(Path("figures.json").read_text())["accuracy"] == metrics["validation_accuracy"]
    tiny = "training.epochs=1 finetuning.epochs=1 estimator.min_samples=3 estimator.max_samples=3 strategy=l1"
    command = [*OWN, *tiny.split(), "--baseline.artifact", str(out), "--name", "pruned"]
    assert search(command) in (0, 3)
    result = json.loads(Path("runs/pruned/result.json").read_text())
    assert result["baseline"]["validation_accuracy"] == metrics["validation_accuracy"]
    dense = next(Path("runs/_shared").glob("*/network/model.safetensors"))
    content = load_file(dense)
    assert torch.equal(content["body.0.weight"], load_file(out / "model.safetensors")["body.0.weight"])


def test_a_checkpoint_of_lightning_is_taken(tmp_path: Path) -> None:
    network = vgg()
    module = classifier(network, num_classes=10, time_steps=2)
    trainer = quiet_trainer(max_epochs=1)
    x_NCHW, y_N = torch.rand(20, 1, 8, 8), torch.arange(20) % 10
    trainer.fit(module, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x_NCHW, y_N), 10))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert import_weights.main([str(tmp_path / "last.ckpt"), *VGG, "--out", str(tmp_path / "out")]) == 0
    assert torch.equal(logits(load_artifact(tmp_path / "out")), logits(network))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["part"] == "state_dict.network"


def test_weights_at_chance_are_imported_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(vgg().state_dict(), tmp_path / "a.pth")
    assert import_weights.main([str(file), *VGG, "--out", str(tmp_path / "out")]) == 0
    assert "no better than chance (the largest class has" in capsys.readouterr().out
    assert torch.equal(logits(load_artifact(tmp_path / "out")), logits(vgg()))


def test_an_import_is_repeated_and_replaces_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(vgg().state_dict(), tmp_path / "a.pth")
    command = [str(file), *VGG, "--out", str(tmp_path / "out")]
    assert import_weights.main(command) == 0
    saved(vgg(2).state_dict(), file)
    assert import_weights.main(command) == 0
    assert torch.equal(logits(load_artifact(tmp_path / "out")), logits(vgg(2)))
    save_artifact(tmp_path / "mine", vgg(3), IMAGES[:, :1])
    capsys.readouterr()
    assert import_weights.main([str(file), *VGG, "--out", str(tmp_path / "mine")]) == 2
    assert "found something else at" in capsys.readouterr().err
    assert torch.equal(logits(load_artifact(tmp_path / "mine")), logits(vgg(3)))


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "No file of weights was named."),
        (["a.pth", "--network", "vgg_small"], "does not say what data it is for. Say it with --data NAME."),
        (
            ["a.pth", "--data", "digits"],
            "not say what network it is for. Say it with --network NAME or --network._target_",
        ),
        (["nowhere.pth", *VGG], "No such file or directory at nowhere.pth"),
        (["hostile.pth", *VGG], "found posix.mkdir, which could run code: it is not opened"),
        (["cut.pth", *VGG], "it is cut, damaged or of another kind"),
        (["a.pth", *OWN], "None of the network's"),
        (["a.pth", *VGG, "--network.options.plan", "[8,M,16,M]"], "is [12, 8, 3, 3] in the file, [16, 8, 3, 3] in the"),
        (["seven.pth", *VGG], "The weights are for 7 classes, the data have 10"),
        (["a.pth", *VGG, "--part", "ema"], "The file has no part 'ema'. Known parts: file."),
        (["a.pth", *VGG, "--dorp_unexpected", "true"], "Did you mean 'drop_unexpected'?"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence_and_leaves_nothing(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = saved(vgg().state_dict(), tmp_path / "a.pth")
    (tmp_path / "cut.pth").write_bytes(file.read_bytes()[:-1000])
    saved({"state_dict": vgg().state_dict(), "x": Hostile(tmp_path / "mark")}, tmp_path / "hostile.pth")
    seven = vgg().state_dict() | {"classifier.weight": torch.ones(7, 48), "classifier.bias": torch.ones(7)}
    saved(seven, tmp_path / "seven.pth")
    before = sorted(tmp_path.iterdir())
    assert import_weights.main([*arguments[:1], *later_wins(arguments[1:])]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert expected in error
    assert sorted(tmp_path.iterdir()) == before


def test_help_tells_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert import_weights.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "--baseline.artifact imported/vgg16" in said
    assert "drop_unexpected=False" in said
