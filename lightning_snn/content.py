"""What data and networks are, beyond what they are called: whatever is reused is keyed by it."""

from pathlib import Path

from torch import Tensor
from torch import nn

from conf.identity import digest
from conf.schema import ContentConfig
from conf.schema import RunConfig
from lightning_snn.artifact import digest_of_artifact
from lightning_snn.fingerprint import fingerprint
from lightning_snn.fingerprint import fingerprint_of_values


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
        network=digest([fingerprint(network, example), fingerprint_of_values(network)]),
        baseline=None if artifact is None else digest_of_artifact(Path(artifact)),
    )
