"""Records every call out of a process, and injects faults at chosen calls."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from tests.simulator.clock import Clock
from tests.simulator.faults import (
    BEFORE_EFFECT,
    SECONDS,
    STALL_SECONDS,
    FailureModes,
    Fault,
    ProcessDied,
    TransportFailed,
    failure_modes_of,
)

__all__ = ["Call", "CallRecorder", "Fault", "ProcessDied", "TransportFailed"]

CALL_SECONDS = 0.005

Result = TypeVar("Result")


class Call(NamedTuple):
    process: str
    name: str


@dataclass
class CallRecorder:
    """`recorded` are all calls, in order, and `failure_modes` those of each.

    `faults` and `before_call` have the index of a call as key: the fault to inject, and an action that runs just before
    the call. A fault that is not among the call's failure modes is ignored; `injected` are the others. `run_workers`
    runs the other workers before a call with a concurrent write; `run_others` runs everything else for some seconds.
    The current process dies at `dies_at`, as a function does at its timeout.
    """

    clock: Clock
    faults: Mapping[int, Fault] = field(default_factory=dict)
    before_call: dict[int, Callable[[], object]] = field(default_factory=dict)
    recorded: list[Call] = field(default_factory=list)
    failure_modes: list[FailureModes] = field(default_factory=list)
    injected: list[tuple[Call, Fault]] = field(default_factory=list)
    run_workers: Callable[[], object] | None = None
    run_others: Callable[[float], object] | None = None
    process: str = "test"
    dies_at: datetime | None = None

    def call(self, name: str, effect: Callable[[], Result], *, kind: str | None = None) -> Result:
        """`kind` selects the failure modes where the name alone does not."""
        modes, fault = self._before(name, kind or name)
        result = effect()
        if fault is Fault.REPEATED:
            # The answer was lost, and the transport sends the request again.
            result = effect()
        self._after(name, modes, fault)
        return result

    async def call_awaited(self, name: str, effect: Callable[[], Awaitable[Result]]) -> Result:
        """Like `call`, for a call on an event loop."""
        modes, fault = self._before(name, name)
        result = await effect()
        self._after(name, modes, fault)
        return result

    def index_of(self, process: str, name: str, occurrence: int = 1) -> int:
        """The index of such a call. Raises LookupError when there were fewer."""
        indexes = [index for index, call in enumerate(self.recorded) if call == Call(process, name)]
        if len(indexes) < occurrence:
            raise LookupError(f"{process} called {name} {len(indexes)} times")
        return indexes[occurrence - 1]

    def clear(self) -> None:
        self.recorded.clear()
        self.failure_modes.clear()

    def _before(self, name: str, kind: str) -> tuple[FailureModes, Fault | None]:
        index, modes = len(self.recorded), failure_modes_of(kind)
        self.recorded.append(Call(self.process, name))
        self.failure_modes.append(modes)
        self.clock.pass_by(CALL_SECONDS)
        fault = self.faults.get(index)
        if fault not in modes.faults:
            fault = None
        if fault is not None:
            self.injected.append((self.recorded[index], fault))
        if (action := self.before_call.pop(index, None)) is not None:
            action()
        if fault is Fault.STALL and self.run_others is not None:
            self.run_others(STALL_SECONDS)
        if self.dies_at is not None and self.clock() > self.dies_at:
            raise ProcessDied(f"{self.process} reached its timeout at {name}")
        if fault is Fault.CONCURRENT_WRITE and self.run_workers is not None:
            self.run_workers()
        if fault is Fault.CRASH_BEFORE:
            raise ProcessDied(name)
        if fault is not None and fault in BEFORE_EFFECT:
            raise self._error(modes, fault)
        return modes, fault

    def _after(self, name: str, modes: FailureModes, fault: Fault | None) -> None:
        if fault is Fault.CRASH_AFTER:
            raise ProcessDied(name)
        if fault is Fault.TIMEOUT_AFTER or fault is Fault.SERVER_ERROR_AFTER:
            raise self._error(modes, fault)

    def _error(self, modes: FailureModes, fault: Fault) -> Exception:
        self.clock.pass_by(SECONDS.get(fault, 0.0))
        return modes.error(fault)
