"""A network of one's own, as a user would name it on the command line."""

from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor
from torch import nn


class WithDropout(nn.Module):
    """One convolution, batch norm, LIF neurons, and dropout before the readout; 8 x 8 pixels."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(in_channels, width, 3, padding=1),
            layer.BatchNorm2d(width),
            neuron.LIFNode(v_threshold=0.5, detach_reset=True, surrogate_function=surrogate.ATan()),
            layer.MaxPool2d(2),
            layer.Flatten(),
            layer.Dropout(0.5),
            layer.Linear(16 * width, num_classes),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x_TBCHW: Tensor) -> Tensor:
        logits_TBK: Tensor = self.body(x_TBCHW)
        return logits_TBK
