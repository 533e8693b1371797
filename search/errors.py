"""Errors of a search that a user can cause and mend."""


class SearchError(ValueError):
    """A search that cannot start or go on: one sentence with what was wrong, what was found and what to do."""
