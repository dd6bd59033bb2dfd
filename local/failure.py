"""An error of the local commands, printed without a traceback."""


class LocalFailure(Exception):
    """The message says what is wrong and what to do."""
