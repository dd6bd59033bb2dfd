"""An event loop in virtual time: whoever sleeps is woken at once, and by the loop's clock the time has passed."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tests.simulator.clock import START, Clock

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: what it was to wait, it lets pass."""

    def __init__(self, pass_by: Callable[[float], object]) -> None:
        super().__init__()
        self._pass_by = pass_by

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for somebody, and nobody for a time")
        if timeout > 0:
            # A whole millisecond, or what is less would never pass by a clock that counts them.
            self._pass_by(max(timeout, 0.001))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """What is asked of a thread is done on the spot: a thread's time could not be virtual. `pass_by` lets time pass on
    the clock, and may do in it what others do in that time."""

    def __init__(self, clock: Clock | None = None, pass_by: Callable[[float], object] | None = None) -> None:
        self.now = clock or Clock()
        super().__init__(_Selector(pass_by or self.now.pass_by))
        self.set_default_executor(_OnTheSpot())

    def time(self) -> float:
        return (self.now() - START).total_seconds()


class _OnTheSpot(ThreadPoolExecutor):
    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - it is handed to whoever waits, as a thread's would be
            done.set_exception(error)
        return done


def in_virtual_time(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, Result]],
    clock: Clock | None = None,
    pass_by: Callable[[float], object] | None = None,
) -> Result:
    """Runs to the end, in no time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock, pass_by)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
