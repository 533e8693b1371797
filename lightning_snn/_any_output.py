"""One forward pass for those who look at layers, not at logits: the output may have any shape.

SpikingJelly's MS-ResNet, say, averages its logits over time itself. It can be cut and measured as it is; only
training and accuracy need logits of every step, and go through ``forward.run_network``.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn.errors import NetworkError
from lightning_snn.forward import step_mode


def run_any_output(network: nn.Module, x_TBCHW: Tensor) -> Tensor:
    """Reset the neurons, show the network all T steps, and return what it returns (single-step: stacked over T).

    Args:
        network: SpikingJelly layers in either step mode.
        x_TBCHW: Input of every step, ``[T, B, C, H, W]``.

    Raises:
        NetworkError: If the output is no tensor.
    """
    functional.reset_net(network)
    steps = [x_TBCHW] if step_mode(network) == "m" else list(x_TBCHW)
    found = [network(x) for x in steps]
    if not all(isinstance(each, Tensor) for each in found):
        raise NetworkError(
            f"A network must return one tensor, found a {type(found[0]).__name__} from {type(network).__name__}. "
            "Return the logits of every step, [T, B, classes], and nothing else."
        )
    return found[0] if step_mode(network) == "m" else torch.stack(found)
