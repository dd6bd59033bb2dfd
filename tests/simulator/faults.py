"""What can become of a call out of the process: every fault, for which calls it is documented, and what the port then
raises. A call that is not named here can fail in every way in which a call of AWS can.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from afterthought.domain.errors import DeliveryFailed, OutcomeUnknown, ProviderBusy, QueueUnavailable, TablesBusy
from afterthought.domain.limits.circuit_breaker import CircuitBreakerUnavailable


class Fault(Enum):
    """The process dies before the call or after it; the call is throttled, never reaches anybody, times out before it
    took effect or after (the answer is lost), or is answered with a 5xx, the same two. A conditional write meets what
    its own first try has written, when its transport repeats it (a call that counts is then counted twice), or what
    another process writes just before. A transaction meets others until its tries are used up. Or it only takes long,
    and all others go on meanwhile."""

    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"
    THROTTLED = "throttled"
    NOT_REACHED = "not reached"
    FAILS_BEFORE = "timeout before"
    FAILS_AFTER = "timeout after"
    SERVER_FAILS = "5xx before"
    SERVER_FAILS_AFTER = "5xx after"
    MEETS_ITSELF = "meets itself"
    OVERTAKEN = "overtaken"
    CONFLICT = "conflict"
    STALLS = "stalls"


STRUCK_BEFORE = frozenset({Fault.THROTTLED, Fault.NOT_REACHED, Fault.FAILS_BEFORE, Fault.SERVER_FAILS, Fault.CONFLICT})
"""The call fails before it took effect."""

SECONDS: Mapping[Fault, float] = {Fault.FAILS_BEFORE: 15.0, Fault.FAILS_AFTER: 15.0, Fault.CONFLICT: 4.0}
"""How long it takes to fail, where that is long."""

STALL_SECONDS = 100.0
"""Longer than any call may take by its timeouts, and less than the worker's function lives."""

_DEATHS = frozenset({Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.STALLS})
_FAILURES = frozenset({Fault.THROTTLED, Fault.NOT_REACHED, Fault.FAILS_BEFORE, Fault.FAILS_AFTER, Fault.SERVER_FAILS})


class ProcessDied(BaseException):
    """No code of the process runs after this: it is no Exception, so that nothing of the service can catch it."""


class TransportFailed(Exception):
    """What a transport raises that no port names: a throttled table, a lost connection."""


def _transport_failed(fault: Fault) -> Exception:
    return TransportFailed(fault.value)


@dataclass(frozen=True)
class Way:
    """`faults` are those documented for the call; `error` is what its port raises."""

    faults: frozenset[Fault] = _DEATHS | _FAILURES
    error: Callable[[Fault], Exception] = _transport_failed

    def __repr__(self) -> str:
        return ", ".join(sorted(fault.value for fault in self.faults))


def named() -> frozenset[str]:
    """The calls that have something of their own documented."""
    return frozenset(name.partition(" ")[0] for name in _WAYS)


def way_of(name: str) -> Way:
    return _WAYS.get(name, _OF_AWS)


def _queue_failed(fault: Fault) -> Exception:
    return QueueUnavailable(fault.value)


def _breaker_failed(fault: Fault) -> Exception:
    return CircuitBreakerUnavailable(fault.value)


def _not_delivered(fault: Fault) -> Exception:
    return DeliveryFailed(fault.value)


def _secret_failed(fault: Fault) -> Exception:
    return ProviderBusy(fault.value, code="provider_secret")


def _write_failed(fault: Fault) -> Exception:
    """A write by itself waits for a transaction at its item; the rest is its transport's."""
    return TablesBusy(fault.value) if fault is Fault.CONFLICT else TransportFailed(fault.value)


def _transaction_failed(fault: Fault) -> Exception:
    """Throttled or in conflict, it is tried until its tries are used up."""
    busy = fault in (Fault.CONFLICT, Fault.THROTTLED)
    return TablesBusy(fault.value) if busy else TransportFailed(fault.value)


def _create_failed(fault: Fault) -> Exception:
    if fault is Fault.THROTTLED:
        return ProviderBusy("too many requests", code="rate_limit_exceeded", retry_after_seconds=20)
    if fault is Fault.NOT_REACHED:
        return ProviderBusy("the provider could not be reached", code="unreachable")
    server = fault in (Fault.SERVER_FAILS, Fault.SERVER_FAILS_AFTER)
    return OutcomeUnknown(fault.value, code="server_error" if server else "no_answer")


def _look_failed(fault: Fault) -> Exception:
    if fault is Fault.THROTTLED:
        return ProviderBusy("too many requests", code="rate_limit_exceeded", retry_after_seconds=20)
    if fault is Fault.SERVER_FAILS:
        return OutcomeUnknown(fault.value, code="server_error")
    return ProviderBusy("the provider could not be reached", code="unreachable")


_OF_AWS = Way()
_REPEATED = Way(_DEATHS | _FAILURES | {Fault.MEETS_ITSELF})
"""A write that is not conditional, or counts: its transport repeats it unseen."""
_MET = _REPEATED.faults | {Fault.OVERTAKEN}
_LOOK = Way(error=_look_failed)

_WAYS: Mapping[str, Way] = {
    "jobs.create": Way(_REPEATED.faults | {Fault.CONFLICT}, _transaction_failed),
    "jobs.save": Way(_MET | {Fault.CONFLICT}, _write_failed),
    "jobs.save with money": Way(_MET | {Fault.CONFLICT}, _transaction_failed),
    "jobs.mark_published": Way(_MET | {Fault.CONFLICT}),
    "contents.put": _REPEATED,
    "rates.take": _REPEATED,
    "rates.correct": _REPEATED,
    "throttle.take": _REPEATED,
    "throttle.add_tokens": _REPEATED,
    "throttle.join_queue": _REPEATED,
    "throttle.start_queue": _REPEATED,
    "circuit_breaker.replace": Way(_MET, _breaker_failed),
    "circuit_breaker.close": Way(_MET, _breaker_failed),
    "queue.send": Way(_REPEATED.faults, _queue_failed),
    "event_queue.send": Way(_REPEATED.faults, _queue_failed),
    "topic.publish": _REPEATED,
    "deliveries.record": _REPEATED,
    "receiver.post": Way(error=_not_delivered),
    "secret.get": Way(error=_secret_failed),
    # Its SDK's retries are off: what is paid is never repeated by a transport.
    "provider.create": Way(_DEATHS | _FAILURES | {Fault.SERVER_FAILS_AFTER}, _create_failed),
    "provider.retrieve": _LOOK,
    "provider.cancel": _LOOK,
}
