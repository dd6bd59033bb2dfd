"""The faults of a call out of the process: which are possible at which call, and what the port then raises.

A call that is not listed here can fail in every way in which a call of AWS can.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from afterthought.domain.errors import DeliveryFailed, OutcomeUnknown, ProviderBusy, QueueUnavailable, TablesBusy
from afterthought.domain.limits.circuit_breaker import CircuitBreakerUnavailable


class Fault(Enum):
    """`before` and `after` say whether the call took effect. After a timeout the caller does not know.

    - `throttled`, `unreachable`: the call had no effect, and the caller knows that.
    - `repeated`: the transport sends the request a second time. A conditional write then meets its own first version,
      and a counter counts twice.
    - `concurrent write`: another process writes the item just before.
    - `conflict`: a transaction conflicts with others until its tries are used up.
    - `stall`: the call is slow, and everything else continues meanwhile.
    """

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    TIMEOUT_BEFORE = "timeout before"
    TIMEOUT_AFTER = "timeout after"
    SERVER_ERROR_BEFORE = "5xx before"
    SERVER_ERROR_AFTER = "5xx after"
    REPEATED = "repeated"
    CONCURRENT_WRITE = "concurrent write"
    CONFLICT = "conflict"
    STALL = "stall"


BEFORE_EFFECT = frozenset(
    {Fault.THROTTLED, Fault.UNREACHABLE, Fault.TIMEOUT_BEFORE, Fault.SERVER_ERROR_BEFORE, Fault.CONFLICT}
)

SECONDS: Mapping[Fault, float] = {Fault.TIMEOUT_BEFORE: 15.0, Fault.TIMEOUT_AFTER: 15.0, Fault.CONFLICT: 4.0}
"""How long a call takes to fail, where that is long."""

STALL_SECONDS = 100.0
"""Longer than the timeout of any call, and shorter than that of the worker function."""

_CRASHES = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.STALL})
_FAILURES = frozenset(
    {Fault.THROTTLED, Fault.UNREACHABLE, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.SERVER_ERROR_BEFORE}
)


class ProcessDied(BaseException):
    """No code of the process runs after this. It is not an Exception, so that the service cannot catch it."""


class TransportFailed(Exception):
    """An error that no port documents: a throttled table, a lost connection."""


def _transport_failed(fault: Fault) -> Exception:
    return TransportFailed(fault.value)


@dataclass(frozen=True)
class FailureModes:
    """The faults that are possible at a call, and the error that its port raises for one."""

    faults: frozenset[Fault] = _CRASHES | _FAILURES
    error: Callable[[Fault], Exception] = _transport_failed

    def __repr__(self) -> str:
        return ", ".join(sorted(fault.value for fault in self.faults))


def listed_calls() -> frozenset[str]:
    """The names of the calls with failure modes of their own."""
    return frozenset(name.partition(" ")[0] for name in _FAILURE_MODES)


def failure_modes_of(kind: str) -> FailureModes:
    return _FAILURE_MODES.get(kind, _OF_AWS)


def _queue_failed(fault: Fault) -> Exception:
    return QueueUnavailable(fault.value)


def _breaker_failed(fault: Fault) -> Exception:
    return CircuitBreakerUnavailable(fault.value)


def _not_delivered(fault: Fault) -> Exception:
    return DeliveryFailed(fault.value)


def _secret_failed(fault: Fault) -> Exception:
    return ProviderBusy(fault.value, code="provider_secret")


def _write_failed(fault: Fault) -> Exception:
    """A single write also fails while a transaction holds its item."""
    return TablesBusy(fault.value) if fault is Fault.CONFLICT else TransportFailed(fault.value)


def _transaction_failed(fault: Fault) -> Exception:
    """A transaction is retried where it was throttled or in conflict, until its tries are used up."""
    busy = fault in (Fault.CONFLICT, Fault.THROTTLED)
    return TablesBusy(fault.value) if busy else TransportFailed(fault.value)


def _create_failed(fault: Fault) -> Exception:
    if fault is Fault.THROTTLED:
        return ProviderBusy("too many requests", code="rate_limit_exceeded", retry_after_seconds=20)
    if fault is Fault.UNREACHABLE:
        return ProviderBusy("the provider could not be reached", code="unreachable")
    is_server_error = fault in (Fault.SERVER_ERROR_BEFORE, Fault.SERVER_ERROR_AFTER)
    return OutcomeUnknown(fault.value, code="server_error" if is_server_error else "no_answer")


def _read_failed(fault: Fault) -> Exception:
    if fault is Fault.THROTTLED:
        return ProviderBusy("too many requests", code="rate_limit_exceeded", retry_after_seconds=20)
    if fault is Fault.SERVER_ERROR_BEFORE:
        return OutcomeUnknown(fault.value, code="server_error")
    return ProviderBusy("the provider could not be reached", code="unreachable")


_OF_AWS = FailureModes()
_WRITE = FailureModes(_CRASHES | _FAILURES | {Fault.REPEATED})
_CONDITIONAL_WRITE = _WRITE.faults | {Fault.CONCURRENT_WRITE}
_READ = FailureModes(error=_read_failed)

_FAILURE_MODES: Mapping[str, FailureModes] = {
    "jobs.create": FailureModes(_WRITE.faults | {Fault.CONFLICT}, _transaction_failed),
    "jobs.save": FailureModes(_CONDITIONAL_WRITE | {Fault.CONFLICT}, _write_failed),
    "jobs.save with money": FailureModes(_CONDITIONAL_WRITE | {Fault.CONFLICT}, _transaction_failed),
    "jobs.mark_published": FailureModes(_CONDITIONAL_WRITE | {Fault.CONFLICT}),
    "contents.put": _WRITE,
    "rates.take": _WRITE,
    "rates.correct": _WRITE,
    "throttle.take": _WRITE,
    "throttle.add_tokens": _WRITE,
    "throttle.join_queue": _WRITE,
    "throttle.start_queue": _WRITE,
    "circuit_breaker.replace": FailureModes(_CONDITIONAL_WRITE, _breaker_failed),
    "circuit_breaker.close": FailureModes(_CONDITIONAL_WRITE, _breaker_failed),
    "queue.send": FailureModes(_WRITE.faults, _queue_failed),
    "event_queue.send": FailureModes(_WRITE.faults, _queue_failed),
    "topic.publish": _WRITE,
    "deliveries.record": _WRITE,
    "receiver.post": FailureModes(error=_not_delivered),
    "secret.get": FailureModes(error=_secret_failed),
    # Never repeated by the transport: the SDK's retries are off for a paid call.
    "provider.create": FailureModes(_CRASHES | _FAILURES | {Fault.SERVER_ERROR_AFTER}, _create_failed),
    "provider.retrieve": _READ,
    "provider.cancel": _READ,
}
