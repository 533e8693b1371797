"""Attention's products have no weights: they are not counted, and that is said once. Its layers are counted.

Axes: T time steps, B batch, C channels, H rows, W columns, L tokens.
"""

import warnings
from collections.abc import Callable

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor
from torch import nn
from torch.nn import functional as F

from lightning_snn.forward import run_network
from lightning_snn.synops import SynOpsMeter
from lightning_snn.synops import measure_synops

X_TBCHW = torch.rand(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
NOT_COUNTED = "Products of two activations"


@pytest.fixture(autouse=True)
def nothing_was_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SynOpsMeter, "_warned_of_products", False)


class Product(nn.Module):
    """Convolves, applies a function to the tokens ``[T, B, C, L]``, and classifies."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = layer.Conv2d(4, 4, 1, step_mode="m")
        self.fc = layer.Linear(64, 3, step_mode="m")
        self.scale = nn.Parameter(torch.eye(4))
        self.function = function

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.fc(self.function(self.conv(x_TBCHW).flatten(3)).flatten(2))
        return logits_TBK


WATCHED: dict[str, Callable[[Tensor], Tensor]] = {
    "matmul": lambda x: (x @ x.transpose(-1, -2)) @ x,
    "torch.matmul": lambda x: torch.matmul(torch.matmul(x, x.mT), x),
    "bmm": lambda x: torch.bmm(torch.bmm(x.flatten(0, 1), x.flatten(0, 1).mT), x.flatten(0, 1)).view_as(x),
    "einsum": lambda x: torch.einsum("tbcl,tbdl,tbdm->tbcm", x, x, x),
    "einsum of a list": lambda x: torch.einsum("tbcl,tbdl,tbdm->tbcm", [x, x, x]),
    "scaled dot product": lambda x: F.scaled_dot_product_attention(x, x, x),
}


@pytest.mark.parametrize("case", WATCHED)
def test_products_of_activations_are_named_once(case: str) -> None:
    network = Product(WATCHED[case])
    meter = SynOpsMeter(network, first_layer="add")
    for _ in range(2):
        with meter:
            meter.start_batch(2, 3)
            run_network(network, X_TBCHW)
    with pytest.warns(UserWarning, match=NOT_COUNTED):
        report = meter.report()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meter.report()
        measure_synops(network, [X_TBCHW])
    assert list(report.layers) == ["conv", "fc"]
    assert report.total == 2 * 64 * 4 + 2 * 64 * 3  # each input once per output channel, at two steps


def test_weights_are_no_activations() -> None:
    network = Product(lambda net_x: net_x * 2.0)
    network.function = lambda x: (network.scale @ x).relu()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure_synops(network, [X_TBCHW])


def test_a_spiking_transformer_is_counted_layer_by_layer() -> None:
    network = Spikformer(
        img_size_h=16, img_size_w=16, patch_size=4, embed_dims=16, num_heads=2, depths=1, num_classes=5
    )
    functional.set_step_mode(network, "m")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.uniform_(1.5, 2.5)  # else it would be silent
    x_TBCHW = torch.rand(2, 3, 3, 16, 16)
    with pytest.warns(UserWarning, match=NOT_COUNTED):
        report = measure_synops(network, [x_TBCHW], first_layer="add")
    weighted = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Conv1d | nn.Linear)]
    assert set(report.layers) == set(weighted)
    assert report.layers["blocks.0.mlp.fc1.0"].dense == 2 * 16 * 64 * 16  # steps, channels in and out, tokens
    assert min(figures.operations for figures in report.layers.values()) > 0.0
    assert set(report.budgeted) == set(weighted)
