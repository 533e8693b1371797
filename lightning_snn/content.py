"""What data and networks are, beyond what they are called: whatever is reused is keyed by it."""

from pathlib import Path

from torch import Tensor
from torch import nn

from conf.identity import digest
from conf.schema import ContentConfig
from conf.schema import NetworkConfig
from conf.schema import RunConfig
from lightning_snn._own_code import digest_of_own_code
from lightning_snn.artifact import digest_of_artifact
from lightning_snn.fingerprint import fingerprint
from lightning_snn.fingerprint import fingerprint_of_start


def find_content(config: RunConfig, samples: str, network: nn.Module, example: Tensor) -> ContentConfig:
    """Return the digests of what a run starts from.

    Args:
        config: Names a dense network, where one is given.
        samples: Digest of the data (``BaseDataModule.contents``).
        network: The dense network with its fresh weights.
        example: One input ``[T, B, C, H, W]``.

    Raises:
        ArtifactError: If a dense network is given that cannot be read.
    """
    artifact = config.baseline.artifact
    return ContentConfig(
        data=samples,
        network=digest_of_network(config.network, network, example),
        baseline=None if artifact is None else digest_of_artifact(Path(artifact)),
    )


def digest_of_network(config: NetworkConfig, network: nn.Module, example: Tensor) -> str:
    """Return the digest of what a network computes, starts from, and is written like where it is a user's own.

    Args:
        config: Names it.
        network: With its fresh weights.
        example: One input ``[T, B, C, H, W]``.
    """
    target = config._target_
    code = None if target is None else digest_of_own_code(network, target.partition(":")[0].rpartition(".")[0])
    return digest([fingerprint(network, example), fingerprint_of_start(network), code])
