"""The rate at which a provider's model is called, and how tenants share it. docs/throttle.md explains the algorithm."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from afterthought.domain.models.provider import ProviderLimits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_RETENTION = timedelta(minutes=5)

MIN_RETRY = timedelta(seconds=1)
"""Queues delay messages by whole seconds."""

_MIN_SPARE, _MAX_SPARE = 0.07, 3.0
_SPARE_PLACES_PER_WINDOW = 2
_ABANDONED_AFTER_WINDOWS = 2


class Capacity(NamedTuple):
    """A call is allowed while less than this is used. None: not limited."""

    requests: int | None
    tokens: int | None


class WindowUsage(NamedTuple):
    """What the calls of a window use. It only grows."""

    requests: int = 0
    tokens: int = 0

    def allows(self, capacity: Capacity) -> bool:
        return all(limit is None or used < limit for used, limit in zip(self, capacity, strict=True))


class Cost(NamedTuple):
    """What one call uses: its tokens, and the part of a minute (`time`) that it takes of the limit."""

    tokens: int
    time: timedelta

    @classmethod
    def of(cls, limits: ProviderLimits, tokens: int) -> "Cost":
        """A request of more tokens than the limit of a minute counts as that limit. The provider may refuse it."""
        time = _MICROSECOND
        if limits.requests_per_minute is not None:
            time = max(time, _MINUTE / limits.requests_per_minute)
        if limits.tokens_per_minute is not None:
            tokens = min(tokens, limits.tokens_per_minute)
            time = max(time, _MINUTE * tokens / limits.tokens_per_minute)
        return cls(tokens, time)


@dataclass(frozen=True)
class Window:
    """A part of a minute with its part of the limits. `number` counts from 1970."""

    limits: ProviderLimits
    number: int

    @classmethod
    def at(cls, limits: ProviderLimits, now: datetime) -> "Window":
        return cls(limits, (now - _EPOCH) // (_MINUTE / limits.windows_per_minute))

    @property
    def length(self) -> timedelta:
        return _MINUTE / self.limits.windows_per_minute

    @property
    def start(self) -> datetime:
        return _EPOCH + self.length * self.number

    @property
    def expires_at(self) -> datetime:
        return self.start + self.length + _RETENTION

    @property
    def capacity(self) -> Capacity:
        """Rounded so that the windows of a minute add up to exactly the limit."""
        return Capacity(self._part_of(self.limits.requests_per_minute), self._part_of(self.limits.tokens_per_minute))

    def open_capacity(self, now: datetime) -> Capacity:
        """Half of the capacity at the start of the window, growing to all of it at the end. The rest is the reserve."""
        passed = (now - self.start) // _MICROSECOND
        length = self.length // _MICROSECOND
        # Rounded up: a window of one request has no reserve.
        return Capacity(
            *(None if limit is None else -(-limit * (length + passed) // (2 * length)) for limit in self.capacity)
        )

    def opens_at(self, usage: WindowUsage) -> datetime:
        """When the open capacity exceeds `usage`. Tokens beyond the capacity are carried over: that many windows are
        full."""
        used = max(used / limit for used, limit in zip(usage, self.capacity, strict=True) if limit is not None)
        return self.start + self.length * (int(used) if used >= 1 else max(0.0, 2 * used - 1))

    def next(self) -> "Window":
        return Window(self.limits, self.number + 1)

    def _part_of(self, limit: int | None) -> int | None:
        windows = self.limits.windows_per_minute
        return None if limit is None else (self.number + 1) * limit // windows - self.number * limit // windows


class Refusal(NamedTuple):
    """A job that found no capacity at `at`. It needs a place in its tenant's queue, at `earliest` or later.

    `interval` is the distance to the next place. `patience` is how long a live queue can be without a refusal.
    """

    at: datetime
    earliest: datetime
    interval: timedelta
    patience: timedelta

    @classmethod
    def of(cls, window: Window, usage: WindowUsage, cost: Cost, at: datetime) -> "Refusal":
        # Places are closer together than calls can be made. So a late message leaves no gap, and a live queue is
        # refused about twice per window; a queue without refusals is abandoned.
        spare = max(_MIN_SPARE, min(_SPARE_PLACES_PER_WINDOW * (cost.time / window.length), _MAX_SPARE))
        return cls(
            at,
            max(window.opens_at(usage), at + MIN_RETRY),
            max(_MICROSECOND, cost.time / (1 + spare)),
            _ABANDONED_AFTER_WINDOWS * max(window.length, cost.time),
        )

    @property
    def abandoned_before(self) -> datetime:
        """A queue whose last refusal is not after this is abandoned."""
        return self.at - self.patience


class TenantQueue(NamedTuple):
    """A tenant's jobs that wait for a model: where the next place is, and when a job was refused last."""

    end: datetime
    refused_at: datetime

    def is_abandoned(self, refusal: Refusal) -> bool:
        """Whether the jobs of its places were cancelled or wait for something else."""
        return self.refused_at <= refusal.abandoned_before

    def takes(self, refusal: Refusal) -> bool:
        """Whether the job joins this queue. Otherwise it starts a new one."""
        return self.end > refusal.earliest and not self.is_abandoned(refusal)

    def has_waiting_jobs(self, refusal: Refusal) -> bool:
        return self.end > refusal.at and not self.is_abandoned(refusal)


EMPTY_QUEUE = TenantQueue(_EPOCH, _EPOCH)
