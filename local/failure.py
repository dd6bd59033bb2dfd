"""What a person is told, without a traceback, when the local service cannot start or go on."""


class LocalFailure(Exception):
    """The message says what is wrong and what to do about it."""
