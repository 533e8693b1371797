"""Saved and loaded is bit-equal, pruned or not; writing is whole or not at all; what does not fit is one sentence."""

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save_file
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from torch import Tensor
from torch import nn

from lightning_snn import artifact
from lightning_snn.artifact import digest_of_artifact
from lightning_snn.artifact import load_artifact
from lightning_snn.artifact import save_artifact
from lightning_snn.errors import ArtifactError
from lightning_snn.forward import run_network
from lightning_snn.networks import build_network
from lightning_snn.surgery import shrink
from tests.lightning_snn.tiny import Residual
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

EXAMPLE = torch.rand(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2
KEEP = {"features.0": [1, 3], "features.3": [0, 2, 3]}
RESIDUAL_KEEP = {"conv1": [0, 2, 3], "conv3": [1]}


def weights(network: nn.Module) -> dict[str, list[Any]]:
    return {name: value.tolist() for name, value in network.state_dict().items()}


def used(network: nn.Module) -> nn.Module:
    """Give statistics, and gradients in the neurons' state, as a training leaves them."""
    torch.autograd.backward(run_network(network.train(), EXAMPLE).sum())
    return network


def logits(network: nn.Module) -> Tensor:
    logits_TBK = run_network(network.eval(), EXAMPLE)
    assert logits_TBK.std() > 0
    return logits_TBK


@pytest.mark.parametrize("keep", [{}, KEEP], ids=["dense", "pruned"])
def test_a_registered_family_comes_back_bit_equal(keep: dict[str, list[int]], tmp_path: Path) -> None:
    network = used(shrink(tiny_vgg(tau=3.0), keep, EXAMPLE))
    save_artifact(tmp_path / "a" / "saved", network, EXAMPLE, {"accuracy": 0.5})
    loaded = load_artifact(str(tmp_path / "a" / "saved"))
    assert torch.equal(logits(loaded), logits(network))
    assert weights(loaded) == weights(network)
    assert not any(module.training for module in load_artifact(tmp_path / "a" / "saved").modules())


def test_a_family_of_natural_size_comes_back_bit_equal(tmp_path: Path) -> None:
    network = build_network("vgg_small", num_classes=10, in_channels=1)
    example = torch.rand(2, 1, 1, 8, 8)
    save_artifact(tmp_path / "saved", shrink(network, {"features.7": range(0, 32, 3)}, example), example)
    assert load_artifact(tmp_path / "saved").get_submodule("features.10").in_channels == 11


def test_pruned_loaded_and_pruned_again_comes_back_bit_equal(tmp_path: Path) -> None:
    save_artifact(tmp_path / "once", shrink(tiny_vgg(), KEEP, EXAMPLE), EXAMPLE)
    network = shrink(load_artifact(tmp_path / "once"), {"features.3": [0, 2]}, EXAMPLE)
    save_artifact(tmp_path / "twice", network, EXAMPLE)
    assert torch.equal(logits(load_artifact(tmp_path / "twice")), logits(network))


@pytest.mark.parametrize("keep", [{}, RESIDUAL_KEEP], ids=["dense", "pruned"])
def test_a_class_of_ones_own_is_loaded_into_the_dense_network_given(keep: dict[str, list[int]], tmp_path: Path) -> None:
    network = used(shrink(residual(), keep, EXAMPLE))
    save_artifact(tmp_path / "saved", network, EXAMPLE)
    dense = used(residual(seed=1))
    before = weights(dense)
    loaded = load_artifact(tmp_path / "saved", dense)
    assert torch.equal(logits(loaded), logits(network))
    assert weights(dense) == before
    assert loaded is not dense
    assert all(module.training for module in dense.modules())


def test_a_class_with_an_attribute_called_architecture_of_its_own_is_not_taken_for_a_family(tmp_path: Path) -> None:
    network = residual()
    network.architecture = {"layers": 3}  # type: ignore[assignment]  # a user's own attribute
    save_artifact(tmp_path / "saved", network, EXAMPLE)
    assert torch.equal(logits(load_artifact(tmp_path / "saved", residual(seed=1))), logits(network))


def test_weights_under_two_names_are_saved(tmp_path: Path) -> None:
    def shared() -> nn.Module:
        twice = neuron.ParametricLIFNode(step_mode="m")
        convolution, head = layer.Conv2d(1, 2, 3, padding=1, step_mode="m"), layer.Linear(32, 2, step_mode="m")
        return nn.Sequential(convolution, twice, twice, layer.Flatten(step_mode="m"), head)

    network = shared()
    save_artifact(tmp_path / "saved", network, EXAMPLE)
    assert weights(load_artifact(tmp_path / "saved", shared())) == weights(network)


def test_a_folder_holds_json_and_safetensors_only(tmp_path: Path) -> None:
    network = shrink(tiny_vgg(), KEEP, EXAMPLE)
    save_artifact(tmp_path / "saved", network, EXAMPLE, {"accuracy": 0.5})
    files = sorted(file.name for file in (tmp_path / "saved").iterdir())
    assert files == ["architecture.json", "metrics.json", "model.safetensors"]
    assert json.loads((tmp_path / "saved" / "metrics.json").read_text()) == {"accuracy": 0.5}
    architecture = json.loads((tmp_path / "saved" / "architecture.json").read_text())
    assert re.fullmatch("[0-9a-f]{64}", architecture.pop("fingerprint"))
    assert architecture == {
        "format": 1,
        "family": "vgg_small",
        "arguments": {"num_classes": 3, "in_channels": 1, "image_size": 4, "plan": [4, 4, "M"]},
        "widths": {"features.0": 2, "features.3": 3},
        "example_shape": [2, 3, 1, 4, 4],
    }
    loaded = load_file(tmp_path / "saved" / "model.safetensors")
    assert {name: value.tolist() for name, value in loaded.items()} == weights(network)


def test_loading_never_unpickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_artifact(tmp_path / "saved", tiny_vgg(), EXAMPLE)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("unpickled")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    load_artifact(tmp_path / "saved")


def test_an_artifact_is_replaced_without_a_trace_of_the_old_one(tmp_path: Path) -> None:
    save_artifact(tmp_path / "saved", residual(), EXAMPLE)
    (tmp_path / "saved" / "notes.txt").touch()
    save_artifact(tmp_path / "saved", tiny_vgg(), EXAMPLE)
    assert weights(load_artifact(tmp_path / "saved")) == weights(tiny_vgg())
    assert [file.name for file in tmp_path.iterdir()] == ["saved"]
    assert len(list((tmp_path / "saved").iterdir())) == 3


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("broken", ["save_file", "_write_json"])
def test_an_interrupted_save_leaves_what_was_there(
    replacing: bool, broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if replacing:
        save_artifact(tmp_path / "saved", tiny_vgg(), EXAMPLE)
    before = {file.name: file.read_bytes() for file in (tmp_path / "saved").glob("*")}

    def interrupt(*arguments: Any) -> None:
        next(each for each in arguments if isinstance(each, Path)).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_artifact(tmp_path / "saved", tiny_vgg(seed=1), EXAMPLE)
    assert [file.name for file in tmp_path.iterdir()] == (["saved"] if replacing else [])
    assert {file.name: file.read_bytes() for file in (tmp_path / "saved").glob("*")} == before


def test_metrics_that_json_cannot_hold_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_artifact(tmp_path / "saved", tiny_vgg(), EXAMPLE, {"accuracy": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    for place in (tmp_path / "thesis", tmp_path / "thesis" / "chapter"):
        with pytest.raises(ArtifactError, match=f"found something else at {place}. Name a new folder"):
            save_artifact(place, tiny_vgg(), EXAMPLE)
    assert (tmp_path / "thesis" / "chapter").read_text() == "years of work"


def test_saving_changes_no_weight(tmp_path: Path) -> None:
    network = used(tiny_vgg())
    before = weights(network)
    save_artifact(tmp_path / "saved", network, EXAMPLE)
    assert weights(network) == before
    assert all(module.training for module in network.modules())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "saved", shrink(tiny_vgg(), KEEP, EXAMPLE), EXAMPLE)
    return tmp_path / "saved"


def refused(folder: Path, network: nn.Module | None = None) -> str:
    with pytest.raises(ArtifactError) as error:
        load_artifact(folder, network)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert "there is no such folder. Name one written by save_artifact" in refused(tmp_path / "nowhere")


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    assert "architecture.json is missing. Name a folder written by save_artifact" in refused(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    assert "README.md: it is no folder. Name one written by save_artifact" in refused(tmp_path / "README.md")


@pytest.mark.parametrize("place", ["network", "best"])
def test_the_network_of_a_run_is_hinted_at(place: str, tmp_path: Path) -> None:
    (tmp_path / "network").mkdir()  # of something else, where the place is "best"
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "architecture.json").touch()
    message = refused(tmp_path)
    assert (
        message
        == f"No network is saved in {tmp_path} itself, but there is one in {tmp_path / place}. Name that folder."
    )


def test_missing_weights_are_named(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    assert "No such file" in refused(saved)


@pytest.mark.parametrize("length", [0, 7, 300, -1])
def test_truncated_weights_are_refused(length: int, saved: Path) -> None:
    whole = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(whole[:length])
    assert "model.safetensors" in refused(saved)


def test_a_pickle_in_the_place_of_weights_is_refused_not_executed(saved: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (saved / "executed",)

    torch.save(Hostile(), saved / "model.safetensors")
    refused(saved)
    (saved / "model.safetensors").write_bytes(pickle.dumps(Hostile()))
    refused(saved)
    assert not (saved / "executed").exists()


def test_weights_that_lack_or_exceed_a_tensor_are_refused(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    save_file({**tensors, "more": torch.zeros(1)}, saved / "model.safetensors")
    assert "more" in refused(saved)
    save_file({k: v for k, v in tensors.items() if k != "classifier.bias"}, saved / "model.safetensors")
    assert "classifier.bias" in refused(saved)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read"),
        ("[1, 2]", "format 1"),
        ("null", "format 1"),
        ('{"name": "resnet"}', "format 1"),
        ('{"format": 1}', "format 1"),
        ('{"format": 2, "family": null, "arguments": {}, "widths": {}, "example_shape": []}', "format 1"),
    ],
)
def test_json_from_elsewhere_is_refused(text: str, reason: str, saved: Path) -> None:
    (saved / "architecture.json").write_text(text)
    assert reason in refused(saved)


def test_json_that_is_no_text_is_refused(saved: Path) -> None:
    (saved / "architecture.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused(saved)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("family", "resnet99", "No network is called 'resnet99'"),
        ("family", ["vgg_small"], "unhashable"),
        ("family", "os:system", "No network is called 'os:system'"),
        ("arguments", [1], "mapping"),
        ("arguments", {"num_classes": 3, "in_channels": 1, "imagesize": 4}, "Did you mean 'image_size'"),
        ("arguments", {"num_classes": 3}, "in_channels"),
        ("widths", {"features.0": 2}, "features.3"),
        ("widths", {"features.0": 2, "features.3": 3, "features.9": 1}, "features.9"),
        ("widths", {"features.0": 2, "features.3": 4}, "features.3"),
        ("widths", {"features.0": 2, "features.3": 9}, "features.3"),
        ("widths", {"features.0": 2, "features.3": 0}, "features.3"),
        ("widths", {"features.0": 2, "features.3": "x"}, "integer"),
        ("widths", 5, "int"),
        ("widths", ["features.0", "features.3"], "items"),
        ("example_shape", [3, 4], r"\[T, B, C, H, W\]"),
        ("example_shape", "abc", ""),
    ],
)
def test_every_field_is_checked(field: str, value: Any, reason: str, saved: Path) -> None:
    architecture = json.loads((saved / "architecture.json").read_text())
    (saved / "architecture.json").write_text(json.dumps({**architecture, field: value}))
    message = refused(saved)
    assert reason.replace("\\", "") in message


def test_a_class_of_ones_own_must_be_given(tmp_path: Path) -> None:
    save_artifact(tmp_path / "saved", residual(), EXAMPLE)
    message = refused(tmp_path / "saved")
    assert "Name it with --network._target_ my_package.MyNet." in message
    assert "call load_artifact(folder, network=MyNet(...))" in message


@pytest.mark.parametrize("network", [tiny_vgg(), Residual(width=3), nn.Linear(2, 2)], ids=["class", "narrow", "linear"])
def test_a_wrong_network_is_refused(network: nn.Module, tmp_path: Path) -> None:
    save_artifact(tmp_path / "saved", shrink(residual(), {"conv3": [1]}, EXAMPLE), EXAMPLE)
    refused(tmp_path / "saved", network)


def test_a_moved_folder_still_loads(saved: Path, tmp_path: Path) -> None:
    shutil.move(saved, tmp_path / "elsewhere")
    assert weights(load_artifact(tmp_path / "elsewhere")) == weights(shrink(tiny_vgg(), KEEP, EXAMPLE))


class Changed(Residual):
    """Has the parameters of the other one, and does something else with them."""

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        return super().forward(x_TBCHW).flip(0)


def test_a_network_of_changed_code_is_refused(tmp_path: Path) -> None:
    network = shrink(residual(), {"conv3": [1]}, EXAMPLE)
    save_artifact(tmp_path / "saved", network, EXAMPLE)
    load_artifact(tmp_path / "saved", residual(seed=1))
    other = residual()
    other.lif1.v_threshold = 0.3
    for changed in (Changed(), other):
        with pytest.raises(ArtifactError, match=r"the weights of another network: what \w+ computes is not"):
            load_artifact(tmp_path / "saved", changed)


def test_what_an_earlier_version_saved_of_ones_own_class_is_loaded_with_a_word(tmp_path: Path) -> None:
    for network, dense in ((residual(), residual(seed=1)), (tiny_vgg(), None)):
        save_artifact(tmp_path / "saved", network, EXAMPLE)
        file = tmp_path / "saved" / "architecture.json"
        architecture = json.loads(file.read_text())
        del architecture["fingerprint"]
        file.write_text(json.dumps(architecture))
        if dense is None:
            load_artifact(tmp_path / "saved")
            continue
        with pytest.warns(UserWarning, match="whether Residual is still the same cannot be known"):
            load_artifact(tmp_path / "saved", dense)


def test_the_digest_is_of_the_network_and_not_of_its_figures_or_place(tmp_path: Path) -> None:
    for name, seed, figures in (("one", 0, {"a": 1}), ("two", 0, {"a": 2}), ("three", 1, {"a": 1})):
        save_artifact(tmp_path / name, tiny_vgg(seed), EXAMPLE, figures)
    found = [digest_of_artifact(tmp_path / name) for name in ("one", "two", "three")]
    assert found[0] == found[1] != found[2]
    with pytest.raises(ArtifactError, match="No network is saved in"):
        digest_of_artifact(tmp_path / "four")


def test_a_network_whose_channels_cannot_be_followed_is_saved_as_it_is(tmp_path: Path) -> None:
    def weight_normed(seed: int) -> nn.Module:
        network = residual(seed)
        nn.utils.parametrizations.weight_norm(network.conv2)
        return network

    network, other = weight_normed(0), weight_normed(1)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    save_artifact(tmp_path / "saved", network, EXAMPLE)
    loaded = load_artifact(tmp_path / "saved", other)
    x_TBCHW = torch.rand(2, 3, 1, 4, 4)
    assert torch.equal(run_network(loaded, x_TBCHW), run_network(network.eval(), x_TBCHW))
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
