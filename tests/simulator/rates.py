"""AccountTable's rate windows."""

from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.rate_limit import Limits, Window, window_number
from tests.simulator.calls import CallRecorder


@dataclass
class SimulatedRateWindows:
    """The port `RateWindows`. `items` goes by tenant, model and minute."""

    calls: CallRecorder
    items: dict[tuple[str, str, int], Window] = field(default_factory=dict)

    def take(self, tenant: str, model: str, *, at: datetime, tokens: int, limits: Limits) -> tuple[bool, Window]:
        def update() -> tuple[bool, Window]:
            key = (tenant, model, window_number(at))
            stands = self.items.get(key)
            after = Window(1, tokens) if stands is None else Window(stands.requests + 1, stands.tokens + tokens)
            if stands is not None and (
                after.requests > limits.requests_per_minute or after.tokens > limits.tokens_per_minute
            ):
                return False, stands
            self.items[key] = after
            return True, after

        return self.calls.call("rates.take", update)

    def peek(self, tenant: str, model: str, *, at: datetime) -> Window:
        return self.calls.call("rates.peek", lambda: self.items.get((tenant, model, window_number(at)), Window()))

    def correct(self, tenant: str, model: str, *, at: datetime, tokens: int) -> None:
        def update() -> None:
            key = (tenant, model, window_number(at))
            if (stands := self.items.get(key)) is not None:
                self.items[key] = stands._replace(tokens=stands.tokens + tokens)

        self.calls.call("rates.correct", update)
