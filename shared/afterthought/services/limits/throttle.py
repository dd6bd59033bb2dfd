"""Limits the calls of a model to the rate that its provider allows, and shares that rate fairly between tenants."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from afterthought.domain.limits.throttle import Capacity, Cost, Refusal, TenantQueue, Window, WindowUsage
from afterthought.domain.models.provider import Provider

_HEAD_SPREAD = timedelta(seconds=1)


class ThrottleStore(Protocol):
    """The windows of each provider's model and the queue of each tenant, shared by all processes. Each method is one
    atomic write."""

    def take(
        self, provider: str, model: str, window: Window, tokens: int, capacity: Capacity
    ) -> tuple[bool, WindowUsage]:
        """Adds a request and its tokens if the usage is below `capacity`. Returns whether it did, and the usage."""

    def add_tokens(self, provider: str, model: str, window: Window, tokens: int) -> WindowUsage:
        """Adds tokens without a condition, and returns the usage."""

    def join_queue(self, provider: str, model: str, tenant: str, refusal: Refusal) -> datetime | None:
        """Returns a place if the tenant's queue takes the job (TenantQueue.takes), and moves the queue's end by the
        interval. Otherwise None."""

    def start_queue(self, provider: str, model: str, tenant: str, refusal: Refusal) -> TenantQueue | None:
        """Replaces a queue that does not take the job: the first place is the job's. Returns the old queue
        (EMPTY_QUEUE if there was none), or None if another process has replaced it already."""


@dataclass
class Throttle:
    """`random` returns numbers from 0 to 1.

    Any number of processes and threads may call `take` at once. Each step is one atomic write. The cache only saves
    writes: usage never falls, so a window that refused a call keeps refusing it.
    """

    store: ThrottleStore
    clock: Callable[[], datetime]
    random: Callable[[], float]
    _usage: dict[tuple[str, str], tuple[int, WindowUsage]] = field(default_factory=dict, init=False)
    """A cache: the latest window of each model, and its usage."""

    def take(self, provider: Provider, model: str, tenant: str, tokens: int) -> datetime | None:
        """None: call the model now, once. Otherwise `retry_at`, at least a second from now.

        Taken capacity is never returned. Raises the store's errors. The call must then not be made: the write may or
        may not have been applied, and at worst capacity stays unused.
        """
        limits = provider.limits_for(model)
        if limits is None:
            return None
        now = self.clock()
        window, cost = Window.at(limits, now), Cost.of(limits, tokens)
        refused_usage = self._take_capacity(provider.name, model, window, window.open_capacity(now), cost)
        if refused_usage is None:
            return None
        refusal = Refusal.of(window, refused_usage, cost, now)
        place = self.store.join_queue(provider.name, model, tenant, refusal)
        if place is None:
            old_queue = self.store.start_queue(provider.name, model, tenant, refusal)
            if old_queue is None:
                # Another process has just started a queue.
                place = self.store.join_queue(provider.name, model, tenant, refusal) or refusal.earliest
            elif old_queue.has_waiting_jobs(refusal):
                return refusal.earliest + _HEAD_SPREAD * self.random()
            else:
                return self._take_reserve(provider.name, model, window, cost, now)
        # Random, so that of two queues with the same interval neither is always first.
        return place + refusal.interval * self.random()

    def _take_reserve(self, provider: str, model: str, window: Window, cost: Cost, now: datetime) -> datetime | None:
        """A tenant without waiting jobs may use all of the window's capacity."""
        refused_usage = self._take_capacity(provider, model, window, window.capacity, cost)
        if refused_usage is None:
            return None
        return Refusal.of(window, refused_usage, cost, now).earliest + _HEAD_SPREAD * self.random()

    def _take_capacity(
        self, provider: str, model: str, window: Window, capacity: Capacity, cost: Cost
    ) -> WindowUsage | None:
        """None: the call has its capacity. Otherwise the usage that leaves none."""
        number, usage = self._usage.get((provider, model), (window.number, WindowUsage()))
        if number == window.number and not usage.allows(capacity):
            return usage
        taken, usage = self.store.take(provider, model, window, cost.tokens, capacity)
        self._usage[provider, model] = (window.number, usage)
        if not taken:
            return usage
        self._carry_over(provider, model, window, usage, cost.tokens)
        return None

    def _carry_over(self, provider: str, model: str, window: Window, usage: WindowUsage, tokens: int) -> None:
        """Adds the call's tokens that exceed the window's capacity to the windows after it."""
        while (limit := window.capacity.tokens) is not None and (tokens := min(tokens, usage.tokens - limit)) > 0:
            window = window.next()
            usage = self.store.add_tokens(provider, model, window, tokens)
