"""How the local commands end: whatever asks them to, they take down what they have put up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked the command to stop. As with KeyboardInterrupt, no `except Exception` catches it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it the first SIGINT, SIGTERM or SIGHUP raises Stopped; further ones are ignored, so that the way down is
    not cut short. SIGINT is set on purpose: a shell starts background commands with it ignored."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
