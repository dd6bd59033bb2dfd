"""AccountTable's pauses of providers."""

from dataclasses import dataclass, field

from afterthought.domain.breaker import Pause
from tests.simulator.calls import CallRecorder


@dataclass
class SimulatedBreakers:
    """The port `Breakers`. `behind` is what a read still sees where it is not what stands (None: no pause)."""

    calls: CallRecorder
    items: dict[str, Pause] = field(default_factory=dict)
    behind: dict[str, Pause | None] = field(default_factory=dict)

    def get(self, provider: str) -> Pause | None:
        return self.calls.call("breakers.get", lambda: {**self.items, **self.behind}.get(provider))

    def swap(self, provider: str, before: Pause | None, after: Pause) -> Pause | None:
        def write() -> Pause | None:
            stands = self.items.get(provider)
            if _end(stands) != _end(before):
                return stands
            self.items[provider] = after
            return after

        return self.calls.call("breakers.swap", write)

    def clear(self, provider: str, probe: Pause, healed: Pause) -> None:
        def write() -> None:
            stands = self.items.get(provider)
            if stands is not None and stands.same_wait(probe):
                self.items[provider] = healed

        self.calls.call("breakers.clear", write)


def _end(pause: Pause | None) -> object:
    return None if pause is None else pause.paused_until
