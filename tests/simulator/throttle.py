"""AccountTable's throttle items: windows and tenants' queues."""

from dataclasses import dataclass, field
from datetime import datetime

from afterthought.domain.limits.throttle import EMPTY_QUEUE, Capacity, Refusal, TenantQueue, Window, WindowUsage
from tests.simulator.calls import CallRecorder


@dataclass
class SimulatedThrottle:
    """The port `ThrottleStore`. Keys are provider and model, with the window's number or the tenant."""

    calls: CallRecorder
    windows: dict[tuple[str, str, int], WindowUsage] = field(default_factory=dict)
    queues: dict[tuple[str, str, str], TenantQueue] = field(default_factory=dict)

    def take(
        self, provider: str, model: str, window: Window, tokens: int, capacity: Capacity
    ) -> tuple[bool, WindowUsage]:
        def update() -> tuple[bool, WindowUsage]:
            key = (provider, model, window.number)
            usage = self.windows.get(key, WindowUsage())
            if not usage.allows(capacity):
                return False, usage
            self.windows[key] = WindowUsage(usage.requests + 1, usage.tokens + tokens)
            return True, self.windows[key]

        return self.calls.call("throttle.take", update)

    def add_tokens(self, provider: str, model: str, window: Window, tokens: int) -> WindowUsage:
        def update() -> WindowUsage:
            key = (provider, model, window.number)
            usage = self.windows.get(key, WindowUsage())
            self.windows[key] = usage._replace(tokens=usage.tokens + tokens)
            return self.windows[key]

        return self.calls.call("throttle.add_tokens", update)

    def join_queue(self, provider: str, model: str, tenant: str, refusal: Refusal) -> datetime | None:
        def update() -> datetime | None:
            key = (provider, model, tenant)
            queue = self.queues.get(key, EMPTY_QUEUE)
            if not queue.takes(refusal):
                return None
            self.queues[key] = TenantQueue(queue.end + refusal.interval, refusal.at)
            return queue.end

        return self.calls.call("throttle.join_queue", update)

    def start_queue(self, provider: str, model: str, tenant: str, refusal: Refusal) -> TenantQueue | None:
        def update() -> TenantQueue | None:
            key = (provider, model, tenant)
            queue = self.queues.get(key, EMPTY_QUEUE)
            if queue.takes(refusal):
                return None
            self.queues[key] = TenantQueue(refusal.earliest + refusal.interval, refusal.at)
            return queue

        return self.calls.call("throttle.start_queue", update)
