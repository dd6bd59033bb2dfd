"""The line that every call out of the process goes over: numbered, so that a test can cut it at any place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple, TypeVar

from tests.simulator.clock import Clock

CALL_SECONDS = 0.005

Result = TypeVar("Result")


class Fault(Enum):
    """What can become of one call.

    The process dies before it or after it; it fails before it took effect or after (the answer is lost); or it takes
    effect, its answer is lost, and the transport's own repeat meets the condition that the first try has changed.
    """

    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"
    FAILS_BEFORE = "fails before"
    FAILS_AFTER = "fails after"
    MEETS_ITSELF = "meets itself"


class ProcessDied(BaseException):
    """No code of the process runs after this: it is no Exception, so that nothing of the service can catch it."""


class TransportFailed(Exception):
    """What a transport raises that no port names: a throttled table, a lost connection."""


class Call(NamedTuple):
    process: str
    name: str


def _transport_failed(done: bool) -> Exception:
    return TransportFailed("after the call took effect" if done else "before the call took effect")


@dataclass
class Line:
    """`faults` and `meanwhile` go by the number of the call: what becomes of it, and what somebody else does just
    before it. `calls` is what was called, in order: its length is how many places there are to cut a run. The calling
    process ends at `killed_at`, as a function ends at its timeout."""

    clock: Clock
    faults: Mapping[int, Fault] = field(default_factory=dict)
    meanwhile: dict[int, Callable[[], object]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    process: str = "test"
    killed_at: datetime | None = None

    def call(
        self,
        name: str,
        do: Callable[[], Result],
        *,
        failure: Callable[[bool], Exception] = _transport_failed,
        meets_itself: Callable[[], Exception] | None = None,
    ) -> Result:
        """`failure` gives the error of a failed call by whether it took effect; `meets_itself` that of a conditional
        write repeated by its transport (other calls can be repeated unseen)."""
        number = len(self.calls)
        self.calls.append(Call(self.process, name))
        self.clock.pass_by(CALL_SECONDS)
        if (other := self.meanwhile.pop(number, None)) is not None:
            other()
        if self.killed_at is not None and self.clock() > self.killed_at:
            raise ProcessDied(f"{self.process} ran out of time at {name}")
        fault = self.faults.get(number)
        if fault is Fault.DIES_BEFORE:
            raise ProcessDied(name)
        if fault is Fault.FAILS_BEFORE:
            raise failure(False)
        result = do()
        if fault is Fault.DIES_AFTER:
            raise ProcessDied(name)
        if fault is Fault.FAILS_AFTER:
            raise failure(True)
        if fault is Fault.MEETS_ITSELF and meets_itself is not None:
            raise meets_itself()
        return result

    def place(self, process: str, name: str, turn: int = 1) -> int:
        """The number of the `turn`-th such call, in the run so far. Raises LookupError when there was none."""
        numbers = [number for number, call in enumerate(self.calls) if call == Call(process, name)]
        if len(numbers) < turn:
            raise LookupError(f"{process} called {name} {len(numbers)} times")
        return numbers[turn - 1]
