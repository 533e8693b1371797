"""Spiking networks by name: one family per file, or any class of the user's own."""

import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from typing import Final

from torch import nn

from lightning_snn._options import as_meant
from lightning_snn._options import wrong_option
from lightning_snn.errors import NetworkError
from lightning_snn.errors import nearest
from lightning_snn.networks._own import build_own_network

NETWORKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vgg_small": "lightning_snn.networks.vgg:build",
        "vgg_compact": "lightning_snn.networks.vgg:build",
        "vgg11": "lightning_snn.networks.vgg:build",
        "vgg16": "lightning_snn.networks.vgg:build",
        "resnet_small": "lightning_snn.networks.resnet:build",
        "resnet18": "lightning_snn.networks.resnet:build",
        "resnet19": "lightning_snn.networks.resnet:build",
        "resnet20": "lightning_snn.networks.resnet:build",
        "conv6_fc2": "lightning_snn.networks.conv6_fc2:build",
        "dvs_compact": "lightning_snn.networks.dvs:build",
        "conv5_fc1": "lightning_snn.networks.dvs:build",
        "vggsnn": "lightning_snn.networks.dvs:build",
    }
)
"""Family name -> import path of its builder, called with the name and the arguments of ``build_network``."""

__all__ = ["NETWORKS", "build_network", "build_own_network"]


def build_network(name: str, *, num_classes: int, in_channels: int, **options: Any) -> nn.Module:
    """Build the network that ``conf/network`` calls ``name``, in step mode ``"m"``.

    The name and arguments are kept on the network as ``architecture``, so that an artifact can name them.

    Args:
        name: One of :data:`NETWORKS`.
        num_classes: Outputs of the classifier.
        in_channels: Channels of the input.
        options: Further arguments of the family, such as ``image_size`` or ``tau``.

    Raises:
        NetworkError: If the name or an option is unknown, an option is out of its range, or the network so large
            that there is no memory for it.
    """
    if name not in NETWORKS:
        raise NetworkError(f"No network is called {name!r}. {nearest(name, NETWORKS)}")
    build = pkgutil.resolve_name(NETWORKS[name])
    wrong = wrong_option(f"Network {name!r}", build, options, ("name", "num_classes", "in_channels"))
    if wrong is not None:
        raise NetworkError(wrong)
    options = as_meant(build, options)
    try:
        network: nn.Module = build(name, num_classes=num_classes, in_channels=in_channels, **options)
    except (RuntimeError, MemoryError, OverflowError) as error:  # all that PyTorch can find wrong here
        raise NetworkError(
            f"Network {name!r} needs more memory than there is, with {options or 'its defaults'}. Choose a smaller "
            "plan or image_size, or another network."
        ) from error
    arguments = {"num_classes": num_classes, "in_channels": in_channels, **options}
    network.architecture = {"family": name, "arguments": arguments}  # type: ignore[assignment]  # modules hold tensors, mypy says
    return network
