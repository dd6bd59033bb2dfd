"""The line that every call out of the process goes over: numbered, so that a test can cut it at any place."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from tests.simulator.clock import Clock
from tests.simulator.faults import (
    SECONDS,
    STALL_SECONDS,
    STRUCK_BEFORE,
    Fault,
    ProcessDied,
    TransportFailed,
    Way,
    way_of,
)

__all__ = ["Call", "Fault", "Line", "ProcessDied", "TransportFailed"]

CALL_SECONDS = 0.005

Result = TypeVar("Result")


class Call(NamedTuple):
    process: str
    name: str


@dataclass
class Line:
    """`faults` and `meanwhile` go by the number of the call: what becomes of it, and what somebody else does just
    before it. A fault that is not documented for the call does not strike; `struck` are those that did. `calls` is what
    was called, in order: its length is how many places there are to cut a run; `ways` says of each what can become of
    it. `others` is what another process does that overtakes a call, `go_on` lets all others go on for so many seconds.
    The calling process ends at `killed_at`, as a function ends at its timeout."""

    clock: Clock
    faults: Mapping[int, Fault] = field(default_factory=dict)
    meanwhile: dict[int, Callable[[], object]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    struck: list[tuple[Call, Fault]] = field(default_factory=list)
    others: Callable[[], object] | None = None
    go_on: Callable[[float], object] | None = None
    process: str = "test"
    killed_at: datetime | None = None

    def call(self, name: str, do: Callable[[], Result], *, as_: str | None = None) -> Result:
        """`as_` names what can become of the call, where its name alone does not say it."""
        way, fault = self._before(name, as_)
        result = do()
        if fault is Fault.MEETS_ITSELF:
            # The answer of the first try was lost, and the transport repeats what it sent.
            result = do()
        self._after(name, way, fault)
        return result

    async def call_awaited(self, name: str, do: Callable[[], Awaitable[Result]]) -> Result:
        """The same of a call that others do not wait for."""
        way, fault = self._before(name, None)
        result = await do()
        self._after(name, way, fault)
        return result

    def _before(self, name: str, as_: str | None) -> tuple[Way, Fault | None]:
        number, way = len(self.calls), way_of(as_ or name)
        self.calls.append(Call(self.process, name))
        self.ways.append(way)
        self.clock.pass_by(CALL_SECONDS)
        fault = self.faults.get(number)
        if fault not in way.faults:
            fault = None
        if fault is not None:
            self.struck.append((self.calls[number], fault))
        if (other := self.meanwhile.pop(number, None)) is not None:
            other()
        if fault is Fault.STALLS and self.go_on is not None:
            self.go_on(STALL_SECONDS)
        if self.killed_at is not None and self.clock() > self.killed_at:
            raise ProcessDied(f"{self.process} ran out of time at {name}")
        if fault is Fault.OVERTAKEN and self.others is not None:
            self.others()
        if fault is Fault.DIES_BEFORE:
            raise ProcessDied(name)
        if fault is not None and fault in STRUCK_BEFORE:
            raise self._failed(way, fault)
        return way, fault

    def _after(self, name: str, way: Way, fault: Fault | None) -> None:
        if fault is Fault.DIES_AFTER:
            raise ProcessDied(name)
        if fault is Fault.FAILS_AFTER or fault is Fault.SERVER_FAILS_AFTER:
            raise self._failed(way, fault)

    def _failed(self, way: Way, fault: Fault) -> Exception:
        self.clock.pass_by(SECONDS.get(fault, 0.0))
        return way.error(fault)

    def place(self, process: str, name: str, turn: int = 1) -> int:
        """The number of the `turn`-th such call, in the run so far. Raises LookupError when there was none."""
        numbers = [number for number, call in enumerate(self.calls) if call == Call(process, name)]
        if len(numbers) < turn:
            raise LookupError(f"{process} called {name} {len(numbers)} times")
        return numbers[turn - 1]
