"""Errors of a search that a user can cause and mend."""

from lightning_snn.errors import RunError


class SearchError(RunError):
    """A search that cannot start or go on: one sentence with what was wrong, what was found and what to do."""
