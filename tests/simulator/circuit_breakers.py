"""AccountTable's circuits of providers."""

from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.limits.circuit_breaker import CircuitState
from tests.simulator.calls import CallRecorder


@dataclass
class SimulatedCircuitBreakers:
    """The port `CircuitBreakerStore`. `stale` is what a read returns instead of `items` (None: no circuit)."""

    calls: CallRecorder
    items: dict[str, CircuitState] = field(default_factory=dict)
    stale: dict[str, CircuitState | None] = field(default_factory=dict)

    def get(self, provider: str) -> CircuitState | None:
        return self.calls.call("circuit_breaker.get", lambda: {**self.items, **self.stale}.get(provider))

    def replace(self, provider: str, before: CircuitState | None, after: CircuitState) -> CircuitState | None:
        def write() -> CircuitState | None:
            stored = self.items.get(provider)
            if _retry_at(stored) != _retry_at(before):
                return stored
            self.items[provider] = after
            return after

        return self.calls.call("circuit_breaker.replace", write)

    def close(self, provider: str, probe: CircuitState, closed: CircuitState) -> None:
        def write() -> None:
            stored = self.items.get(provider)
            if stored is not None and stored.awaits_same_probe(probe):
                self.items[provider] = closed

        self.calls.call("circuit_breaker.close", write)


def _retry_at(circuit: CircuitState | None) -> datetime | None:
    return None if circuit is None else circuit.retry_at
