"""AccountTable's rate windows."""

from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.limits.rate_limit import Limits, WindowUsage, window_number
from tests.simulator.calls import CallRecorder


@dataclass
class SimulatedRateWindows:
    """The port `RateWindowStore`. The keys of `items` are tenant, model and minute."""

    calls: CallRecorder
    items: dict[tuple[str, str, int], WindowUsage] = field(default_factory=dict)

    def take(self, tenant: str, model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, WindowUsage]:
        def update() -> tuple[bool, WindowUsage]:
            key = (tenant, model, window_number(at))
            stored = self.items.get(key)
            after = (
                WindowUsage(1, tokens) if stored is None else WindowUsage(stored.requests + 1, stored.tokens + tokens)
            )
            if stored is not None and (
                after.requests > limits.requests_per_minute or after.tokens > limits.tokens_per_minute
            ):
                return False, stored
            self.items[key] = after
            return True, after

        return self.calls.call("rates.take", update)

    def peek(self, tenant: str, model: str, *, at: datetime) -> WindowUsage:
        return self.calls.call("rates.peek", lambda: self.items.get((tenant, model, window_number(at)), WindowUsage()))

    def correct(self, tenant: str, model: str, *, at: datetime, tokens: int) -> None:
        def update() -> None:
            key = (tenant, model, window_number(at))
            if (stored := self.items.get(key)) is not None:
                self.items[key] = stored._replace(tokens=stored.tokens + tokens)

        self.calls.call("rates.correct", update)
