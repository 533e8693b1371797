"""Errors about data that a user can cause and mend: shown by the command line without a traceback."""


class DataError(ValueError):
    """A data set is missing, unreadable or damaged, or cannot be divided the way it was asked for."""
