"""An event loop in virtual time: whoever sleeps is woken at once, and by the loop's clock the time has passed."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tests.simulator.clock import START

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: what it was to wait, it puts on the clock."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for somebody, and nobody for a time")
        self.passed += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """What is asked of a thread is done on the spot: a thread's time could not be virtual."""

    def __init__(self) -> None:
        self._selector_in_use = _Selector()
        super().__init__(self._selector_in_use)
        self.set_default_executor(_OnTheSpot())

    def time(self) -> float:
        return self._selector_in_use.passed

    def now(self) -> datetime:
        """The time of day."""
        return START + timedelta(seconds=self.time())


class _OnTheSpot(ThreadPoolExecutor):
    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - it is handed to whoever waits, as a thread's would be
            done.set_exception(error)
        return done


def in_virtual_time(main: Callable[[VirtualLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Runs to the end, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
