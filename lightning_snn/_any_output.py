"""One forward pass for those who look at layers, not at logits: the output may have any shape.

SpikingJelly's MS-ResNet, say, averages its logits over time itself. It can be cut and measured as it is; only
training and accuracy need logits of every step, and go through ``forward.run_network``.

Axes: T time steps, B batch, C channels, H rows, W columns.
"""

import torch
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._step_mode import step_mode
from lightning_snn.errors import NetworkError


def run_any_output(network: nn.Module, x_TBCHW: Tensor) -> Tensor:
    """Reset the neurons, show the network all T steps, and return what it returns (single-step: stacked over T).

    Args:
        network: SpikingJelly layers in either step mode.
        x_TBCHW: Input of every step, ``[T, B, C, H, W]``.

    Raises:
        NetworkError: If the output is no tensor.
    """
    functional.reset_net(network)
    single = step_mode(network) == "s"
    outputs = [network(x) for x in (x_TBCHW if single else [x_TBCHW])]
    for output in outputs:
        if not isinstance(output, Tensor):
            raise NetworkError(
                f"A network must return one tensor, found a {type(output).__name__} from {type(network).__name__}. "
                "Return the logits of every step, [T, B, classes], and nothing else."
            )
    return torch.stack(outputs) if single else outputs[0]
