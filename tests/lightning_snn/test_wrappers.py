"""What holds a network is saved and measured as that network, or refused: never as something else."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

from lightning_snn._wrappers import unwrapped
from lightning_snn.artifact import load_artifact
from lightning_snn.artifact import save_artifact
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import NetworkError
from lightning_snn.forward import run_network
from lightning_snn.networks import build_own_network
from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import measure_synops
from tests.lightning_snn.tiny import classifier
from tests.lightning_snn.tiny import residual
from tests.lightning_snn.tiny import tiny_vgg

EXAMPLE = 2.0 * torch.rand(3, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
"""As many time steps as samples: exchanged axes have the same shape."""


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, AveragedModel, torch.compile, lambda network: nn.DataParallel(torch.compile(network))],
    ids=["DataParallel", "AveragedModel", "compile", "both"],
)
def test_a_wrapped_network_is_saved_and_measured_as_what_it_is(
    wrap: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    network = tiny_vgg().eval()
    wrapped = wrap(network)
    save_artifact(tmp_path / "saved", wrapped, EXAMPLE)
    loaded = load_artifact(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(run_network(loaded, EXAMPLE), run_network(network, EXAMPLE))
    assert measure_synops(wrapped, [EXAMPLE]) == measure_synops(network, [EXAMPLE])


def test_a_network_of_ones_own_is_unwrapped_too(tmp_path: Path) -> None:
    network = residual().eval()
    save_artifact(tmp_path / "saved", nn.DataParallel(network), EXAMPLE)
    for dense in (residual(seed=1), nn.DataParallel(residual(seed=1))):
        loaded = load_artifact(tmp_path / "saved", dense)
        with torch.no_grad():
            assert torch.equal(run_network(loaded, EXAMPLE), run_network(network, EXAMPLE))
    assert unwrapped(network) is network


def wrapped_residual() -> nn.Module:
    return nn.DataParallel(residual())


def test_a_network_that_is_built_in_a_wrapper_is_taken_out_of_it() -> None:
    built = build_own_network("tests.lightning_snn.test_wrappers.wrapped_residual", num_classes=3, in_channels=1)
    assert type(built).__name__ == "Residual"


@pytest.mark.parametrize(
    "use",
    [
        lambda module, folder: run_network(module, EXAMPLE),
        lambda module, folder: measure_synops(module, [EXAMPLE]),
        lambda module, folder: ChannelPlan.trace(module, EXAMPLE),
        lambda module, folder: save_artifact(folder, module, EXAMPLE),
    ],
    ids=["run_network", "measure_synops", "trace", "save_artifact"],
)
def test_a_classifier_is_refused_by_name(use: Callable[[nn.Module, Path], object], tmp_path: Path) -> None:
    """It takes [B, T, ...]: with as many samples as steps it would run, and give other figures."""
    with pytest.raises(NetworkError, match=r"found a SpikingClassifier.*: classifier\.network\.$"):
        use(classifier(), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_time_is_not_split_among_devices() -> None:
    network = nn.DataParallel(tiny_vgg())
    network.device_ids, network.dim = [0, 1], 0  # as it is on a machine with two
    with pytest.raises(NetworkError, match=r"splits the first axis among 2 devices, which is time\. Give"):
        run_network(network, EXAMPLE)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda network: setattr(network, "features", nn.DataParallel(network.features)), "features.module.0.weight"),
        (lambda network: setattr(network, "features", torch.compile(network.features)), "features._orig_mod.0.weight"),
        (
            lambda network: parametrizations.weight_norm(network.features[3]),
            "features.3.parametrizations.weight.original0",
        ),
        (lambda network: setattr(network.features[1], "bias", None), "features.1.bias"),
    ],
)
def test_a_family_that_could_not_be_loaded_again_is_not_saved(
    change: Callable[[nn.Module], object], name: str, tmp_path: Path
) -> None:
    network = tiny_vgg()
    change(network)
    with pytest.raises(ArtifactError, match=f"by the names of its tensors, found '{name}' only in "):
        save_artifact(tmp_path / "saved", network, EXAMPLE)
    assert not (tmp_path / "saved").exists()
