"""An event loop in virtual time: a sleep returns at once, and the loop's clock has moved on."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tests.simulator.clock import START, Clock

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Moves the clock instead of waiting."""

    def __init__(self, pass_by: Callable[[float], object]) -> None:
        super().__init__()
        self._pass_by = pass_by

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("deadlock: no task waits for a time")
        if timeout > 0:
            # At least the clock's resolution: a shorter wait would never pass.
            self._pass_by(max(timeout, 0.001))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs work for threads at once, because a real thread has no virtual time. `pass_by` moves the clock and may run
    other work."""

    def __init__(self, clock: Clock | None = None, pass_by: Callable[[float], object] | None = None) -> None:
        self.now = clock or Clock()
        super().__init__(_Selector(pass_by or self.now.pass_by))
        self.set_default_executor(_ImmediateExecutor())

    def time(self) -> float:
        return (self.now() - START).total_seconds()


class _ImmediateExecutor(ThreadPoolExecutor):
    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 the future carries it, as a thread's would
            future.set_exception(error)
        return future


def in_virtual_time(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, Result]],
    clock: Clock | None = None,
    pass_by: Callable[[float], object] | None = None,
) -> Result:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock, pass_by)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
