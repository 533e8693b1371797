"""Errors that a user can cause and mend: one sentence each, shown by the command line without a traceback."""


class NetworkError(ValueError):
    """A network cannot be built, or cannot be used the way it was asked for."""


class SurgeryError(ValueError):
    """Channels cannot be removed from a network, or removing them did not have its effect."""


class ArtifactError(ValueError):
    """A saved network is missing, incomplete, or not ours."""
