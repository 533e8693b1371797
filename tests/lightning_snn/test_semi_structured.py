"""The matrix of a 2:4 layer times its unfolded input is the layer's output; on a GPU in PyTorch's own format too."""

import pytest
import torch
from torch import Tensor
from torch import nn

from lightning_snn.errors import PruningError
from lightning_snn.pruners._blocks import Pattern
from lightning_snn.pruners._blocks import top_n
from lightning_snn.semi_structured import semi_structured
from lightning_snn.semi_structured import unfolded
from lightning_snn.semi_structured import weight_matrix


def two_of_four(layer: nn.Conv2d | nn.Linear, blocks: str) -> nn.Conv2d | nn.Linear:
    pattern = Pattern(2, 4, blocks)
    with torch.no_grad():
        mask = pattern.join(top_n(pattern.split(layer.weight.abs()), 2), layer.weight.shape)
        layer.weight.mul_(mask)
    return layer


def as_matrix(output_BOHW: Tensor) -> Tensor:
    return output_BOHW.flatten(2).movedim(1, 0).flatten(1) if output_BOHW.ndim == 4 else output_BOHW.T


@pytest.mark.parametrize("blocks", ["channels", "flat"])
@pytest.mark.parametrize("stride", [1, 2])
def test_matrix_times_unfolded_is_the_convolution(blocks: str, stride: int) -> None:
    torch.manual_seed(0)
    conv = two_of_four(nn.Conv2d(8, 6, 3, stride=stride, padding=1, bias=False), blocks)
    x_BCHW = torch.randn(2, 8, 5, 7)
    matrix_OK = weight_matrix(conv, blocks)
    assert matrix_OK.shape == (6, 72)
    assert (matrix_OK.view(6, 18, 4).count_nonzero(-1) == 2).all()  # neighbours: what the format needs
    assert torch.allclose(matrix_OK @ unfolded(conv, x_BCHW, blocks), as_matrix(conv(x_BCHW)), atol=1e-5)


def test_matrix_times_unfolded_is_the_linear_layer() -> None:
    linear = two_of_four(nn.Linear(8, 3, bias=False), "channels")
    x_BC = torch.randn(5, 8)
    assert torch.allclose(weight_matrix(linear) @ unfolded(linear, x_BC), as_matrix(linear(x_BC)), atol=1e-6)


def test_other_layers_are_refused() -> None:
    with pytest.raises(PruningError, match="at most 2 live weights in each block of 4"):
        weight_matrix(nn.Linear(8, 3))
    with pytest.raises(PruningError, match="found 2 groups"):
        weight_matrix(nn.Conv2d(8, 8, 3, groups=2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(PruningError, match="needs an NVIDIA GPU"):
        semi_structured(two_of_four(nn.Linear(64, 64), "channels"))  # type: ignore[arg-type]  # a linear layer


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_format_gives_the_same_product() -> None:
    torch.manual_seed(0)
    conv = two_of_four(nn.Conv2d(64, 64, 3, padding=1, bias=False), "channels").cuda()
    x_BCHW = (torch.rand(4, 64, 8, 8, device="cuda") < 0.2).float()
    product = torch.mm(semi_structured(conv), unfolded(conv, x_BCHW).half().contiguous())
    assert torch.allclose(product.float(), as_matrix(conv(x_BCHW)), atol=2e-2)
