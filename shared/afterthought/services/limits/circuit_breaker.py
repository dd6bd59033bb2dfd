"""Stops calls to a provider that refuses all of them, and detects when it accepts calls again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from afterthought.domain.limits.circuit_breaker import CircuitBreakerUnavailable, CircuitState

_CACHE_TTL = timedelta(seconds=10)


class CircuitBreakerStore(Protocol):
    """The circuits of the providers, shared by all processes."""

    def get(self, provider: str) -> CircuitState | None:
        """Eventually consistent."""

    def replace(self, provider: str, before: CircuitState | None, after: CircuitState) -> CircuitState | None:
        """Writes `after` if `before` (None: no circuit) is stored. Returns what is stored then. Raises
        CircuitBreakerUnavailable."""

    def close(self, provider: str, probe: CircuitState, closed: CircuitState) -> None:
        """Writes `closed` if the stored circuit awaits the same probe (CircuitState.awaits_same_probe). The item may
        expire at `closed.expires_at`. Raises CircuitBreakerUnavailable."""


class _Cached(NamedTuple):
    read_at: datetime
    circuit: CircuitState | None


@dataclass
class CircuitBreaker:
    """`random` returns numbers from 0 to 1. A process caches a circuit for ten seconds, so it may see another process's
    change that much later."""

    store: CircuitBreakerStore
    clock: Callable[[], datetime]
    random: Callable[[], float]
    _cache: dict[str, _Cached] = field(default_factory=dict, init=False)
    _probes: dict[str, CircuitState] = field(default_factory=dict, init=False)

    def retry_at(self, provider_name: str) -> datetime | None:
        """None: call now. Otherwise when to try again.

        When a wait is over, one caller of all processes gets None. It must report the outcome by `close` or `open`. If
        it does not, another caller gets None two minutes later.

        Raises the store's errors. The call must then not be made.
        """
        now = self.clock()
        cached = self._cache.get(provider_name)
        if cached is None or now - cached.read_at >= _CACHE_TTL:
            cached = self._remember(provider_name, now, self.store.get(provider_name))
        circuit = cached.circuit
        if circuit is None or circuit.state == "closed":
            return None
        if circuit.is_over(now):
            probe = circuit.half_opened(now, self.random())
            circuit = self._remember(provider_name, now, self.store.replace(provider_name, circuit, probe)).circuit
            if circuit == probe:
                self._probes[provider_name] = probe
                return None
            if circuit is None or circuit.state == "closed":
                return None
        return circuit.next_try(now, self.random())

    def open(self, provider_name: str, reason: str) -> datetime:
        """The provider refused a call with this code. Returns when to try again.

        Of many calls that are refused at once, only the probe extends the wait. Raises nothing: if the store fails,
        only this process waits.
        """
        now, probe = self.clock(), self._probes.pop(provider_name, None)
        opened = self._opened(probe, reason, now)
        stored: CircuitState | None
        try:
            stored = self.store.replace(provider_name, probe, opened)
            if stored is not None and (stored.is_over(now) or (probe is not None and stored.awaits_same_probe(probe))):
                # The call was made before the wait and ended after it, or another process has made a later probe.
                opened = self._opened(stored, reason, now)
                stored = self.store.replace(provider_name, stored, opened)
        except CircuitBreakerUnavailable:
            stored = opened
        self._remember(provider_name, now, stored)
        # None if the circuit has expired. If it was closed just now, this call still waits.
        return (stored or opened).next_try(now, self.random())

    def close(self, provider_name: str) -> None:
        """The provider accepted a call. If it was a probe, the outage ends, even if there was a later probe, but not if
        a call was refused since. Raises nothing: if the store fails, another probe follows.
        """
        if (probe := self._probes.pop(provider_name, None)) is None:
            return
        try:
            self.store.close(provider_name, probe, probe.closed(self.clock()))
        except CircuitBreakerUnavailable:
            return
        self._cache.pop(provider_name, None)

    def _opened(self, before: CircuitState | None, reason: str, now: datetime) -> CircuitState:
        random = self.random()
        return CircuitState.opened(reason, now, random) if before is None else before.reopened(reason, now, random)

    def _remember(self, provider_name: str, now: datetime, circuit: CircuitState | None) -> _Cached:
        cached = self._cache[provider_name] = _Cached(now, circuit)
        return cached
