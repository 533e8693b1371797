"""Networks of SpikingJelly's zoo, as ``network._target_`` takes them: functions that build one.

Axes: T time steps, B batch, C channels, H rows, W columns, K classes.
"""

from typing import Any

from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.model import ms_resnet as ms
from spikingjelly.activation_based.model import sew_resnet as sew
from torch import Tensor
from torch import nn


def sew_resnet18(num_classes: int, in_channels: int, tau: float = 2.0) -> nn.Module:
    """Build SEW-ResNet18 (Fang et al., 2021), with a stem for images of 32 pixels in place of ImageNet's."""
    network: nn.Module = sew.sew_resnet18(
        cnf="ADD", spiking_neuron=neuron.LIFNode, num_classes=num_classes, **_neuron(tau)
    )
    network.conv1 = layer.Conv2d(in_channels, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    functional.set_step_mode(network, "m")  # SpikingJelly builds it single-step
    return network


def ms_resnet(num_classes: int, in_channels: int, width: int = 8, tau: float = 2.0) -> nn.Module:
    """Build a small MS-ResNet (Hu et al., 2021) of three stages, for images of 8 pixels and more."""
    network = ms.MSResNet(
        in_channels=in_channels,
        num_classes=num_classes,
        layers=(1, 1, 1),
        base_channels=width,
        stem_kernel_size=3,
        stem_stride=1,
        spiking_neuron=neuron.LIFNode,
        **_neuron(tau),
    )
    return EveryStep(network, "head")


def _neuron(tau: float) -> dict[str, Any]:
    return {"tau": tau, "surrogate_function": surrogate.ATan(), "detach_reset": True}


class EveryStep(nn.Module):
    """Gives the logits of every step ``[T, B, K]``, of a network that averages them over time itself.

    SpikingJelly's MS-ResNet, QKFormer, Max-Former and Spike-Driven Transformer do so.
    """

    def __init__(self, network: nn.Module, head: str) -> None:
        """Listen to the layer called ``head``, the last one."""
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        """Run the network, and return what its last layer said before the average."""
        logits: list[Tensor] = []
        hook = self.network.get_submodule(self.head).register_forward_hook(lambda _, __, y_TBK: logits.append(y_TBK))
        try:
            self.network(x_TBCHW)
        finally:
            hook.remove()
        return logits[-1]
