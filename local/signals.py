"""Stops a local command on SIGINT, SIGTERM or SIGHUP, so that its context managers clean up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The command received a signal to stop. No `except Exception` catches it."""


@contextmanager
def stop_on_signal() -> Iterator[None]:
    """The first signal raises Stopped in the block. Later ones are ignored, so that the cleanup is not interrupted."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    # SIGINT too: a shell starts background commands with SIGINT ignored.
    previous = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
