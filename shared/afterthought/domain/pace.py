"""How fast a provider may be called for one model, and how tenants share that pace.

A minute is cut into windows of equal length: six, or fewer where the limit is so small that a sixth of it would be less
than one. Each window has its part of the limit, rounded so that a minute's windows together have the limit exactly.

- A call takes from the window that it is made in, as long as less than the window's part is taken. The one that passes
  the end of the window's tokens books what is too much for it in the windows after. So a request may be larger than a
  window, and nothing of the pace is lost where sizes do not fit together.
- A tenant may have taken less than its share: half of the window at its beginning, growing to all of it at its end. One
  that is alone, and comes as evenly as its line makes it come, never feels that.
- A job that finds no room takes a place in its tenant's line, and tries again then. A line runs a little faster than
  the pace, so that a late message leaves no gap.
- A place is not given back: who it was for may have been cancelled, or wait for something else. So a line that goes far
  beyond a window in which its tenant hardly called begins anew.
- Tenants that have a line stop together at three quarters of the window at its beginning, growing likewise: a fourth of
  what is to come is kept for those who have none, however many wait.

What a minute sees. Requests: no more than the limit in a minute that begins with a window, and in any other one
window's part more (a sixth of the limit). Tokens: likewise, and less than the largest request more, since the rest of
the minute's last call may be booked beyond it. OpenAI's own limit is a bucket of a minute's worth that refills evenly
(the waiting times in its errors are what is missing, at that rate): six windows a minute never empty it, unless a
request is larger than two thirds of a minute's tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = 60_000_000
_MOST_WINDOWS = 6
_KEPT = timedelta(minutes=5)

_LINE_SPEED_PERCENT = 105
_SOONEST = timedelta(seconds=1)
"""Nothing is told to come back sooner: queues count in whole seconds."""
_HEAD_SPREAD = timedelta(seconds=1)

_FAR_WINDOWS = 2
_TELLING_CALLS = 8
"""Of so many calls that a line would make in a window, fewer than a fourth are hardly ever made by chance."""

_Limit = Annotated[int, Field(gt=0)]


class PaceLimits(BaseModel):
    """What a provider takes for one model in a minute. None: it sets no such limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: _Limit | None = None
    tokens_per_minute: _Limit | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise ValueError("needs requests_per_minute, tokens_per_minute or both")
        return self


class Room(NamedTuple):
    """Less than this must have been taken before a call. `requests` and `tokens`, where they are limited, count for
    all; `share` is in microseconds of the pace, and counts for the tenant that calls."""

    requests: int | None
    tokens: int | None
    share: int


class Charge(NamedTuple):
    """What one call takes: a request, so many tokens, and `share` microseconds of the whole pace."""

    tokens: int
    share: int


class TenantLine(NamedTuple):
    """The first place of a line, by which it is told from the tenant's lines before and after it, and its end."""

    begins: datetime
    end: datetime


@dataclass(frozen=True)
class Taken:
    """What was taken of a window, or booked in it; `shares` by tenant. It only ever grows."""

    requests: int = 0
    tokens: int = 0
    shares: Mapping[str, int] = field(default_factory=dict)

    def full(self, room: Room) -> bool:
        """Whether the window has no room for anybody."""
        return (room.requests is not None and self.requests >= room.requests) or (
            room.tokens is not None and self.tokens >= room.tokens
        )

    def fits(self, tenant: str, room: Room) -> bool:
        return not self.full(room) and self.shares.get(tenant, 0) < room.share

    def with_call(self, tenant: str, charge: Charge) -> "Taken":
        shares = {**self.shares, tenant: self.shares.get(tenant, 0) + charge.share}
        return Taken(self.requests + 1, self.tokens + charge.tokens, shares)


@dataclass(frozen=True)
class Pacing:
    """The windows of one limit, by number, and what they have."""

    limits: PaceLimits

    def number(self, at: datetime) -> int:
        """The window that a moment falls into, counted from 1970."""
        return _microseconds(at) // self._length

    def start(self, number: int) -> datetime:
        return _EPOCH + timedelta(microseconds=number * self._length)

    def expires_at(self, number: int) -> datetime:
        """When nobody will ask for the window any more."""
        return self.start(number + 1) + _KEPT

    def charge(self, tokens: int) -> Charge:
        """A request larger than a whole minute's tokens counts as a minute's: whether it is taken at all is then for
        the provider to say."""
        limit = self.limits.tokens_per_minute
        counted = tokens if limit is None else min(tokens, limit)
        parts = [1]
        if self.limits.requests_per_minute is not None:
            parts.append(-(-_MINUTE // self.limits.requests_per_minute))
        if limit is not None:
            parts.append(-(-_MINUTE * counted // limit))
        return Charge(counted, max(parts))

    def room(self, at: datetime, *, lined_up: bool) -> Room:
        """What there is at that moment for a tenant, by whether it has a line."""
        number = self.number(at)
        passed = _microseconds(at) - number * self._length
        requests, tokens = self._part(self.limits.requests_per_minute, number), self.window_tokens(number)
        if lined_up:
            # Rounded up: where a window has one request, there is nothing to keep back.
            requests, tokens = (
                None if part is None else -(-part * (3 * self._length + passed) // (4 * self._length))
                for part in (requests, tokens)
            )
        return Room(requests, tokens, (self._length + passed) // 2)

    def window_tokens(self, number: int) -> int | None:
        return self._part(self.limits.tokens_per_minute, number)

    def again(self, taken: Taken, tenant: str, at: datetime) -> datetime:
        """When it may first help to ask again, of a call that found no room at `at`."""
        number = self.number(at)
        if taken.full(self.room(at, lined_up=False)):
            moment = self.start(number + self._windows_taken(taken, number))
        else:
            # The share grows to all of the window: it comes to what the tenant has taken at this moment of it.
            grown = self.start(number) + timedelta(microseconds=2 * taken.shares.get(tenant, 0) - self._length)
            moment = min(grown, self.start(number + 1))
        return max(moment, at + _SOONEST)

    def interval(self, charge: Charge, *, alone: bool) -> timedelta:
        """What a job takes of its tenant's line. Where others call as well it is the job's part of the pace, so that
        all lines press alike. One tenant alone asks more often where calls are few: with one to a window or fewer, a
        look that comes a little too early would leave as long a gap as a call is to take."""
        even = charge.share * 100 // _LINE_SPEED_PERCENT
        often = max(self._length // 2, charge.share // 3)
        return timedelta(microseconds=max(1, min(even, often) if alone else even))

    def tells(self, line: TenantLine, at: datetime) -> bool:
        """Whether the window before shows if anybody stands in the line: it goes far, and went through all of it."""
        return line.end - at > _FAR_WINDOWS * self._duration and line.begins <= self.start(self.number(at) - 1)

    def deserted(self, number: int, taken: Taken, tenant: str, charge: Charge) -> bool:
        """Whether the tenant made so few such calls in a window that nobody can have stood in its line. What a window
        takes later never makes it deserted."""
        parts = (
            (taken.requests, self._part(self.limits.requests_per_minute, number)),
            (taken.tokens, self.window_tokens(number)),
        )
        filled = max(count * self._length // part for count, part in parts if part is not None)
        # Booked from windows before, by whomever: nobody in the line could have had that.
        booked = max(0, filled - sum(taken.shares.values()), filled - self._length)
        even = (self._length - booked) // len({*taken.shares, tenant})
        if even < _TELLING_CALLS * charge.share:
            return filled == 0
        return taken.shares.get(tenant, 0) * 4 < even

    def _windows_taken(self, taken: Taken, number: int) -> int:
        """After how many windows there is room again: a window into which more was booked than it has keeps the whole
        of it on its item, and what is too much stands in the next as well."""
        over, windows, part = taken.tokens, 0, self.window_tokens(number) or 0
        while over >= part > 0:
            over, windows = over - part, windows + 1
            part = self.window_tokens(number + windows) or 0
        return max(1, windows)

    @property
    def _duration(self) -> timedelta:
        return timedelta(microseconds=self._length)

    @property
    def _length(self) -> int:
        limits = (self.limits.requests_per_minute, self.limits.tokens_per_minute)
        return _MINUTE // min(_MOST_WINDOWS, *(limit for limit in limits if limit is not None))

    def _part(self, limit: int | None, number: int) -> int | None:
        windows = _MINUTE // self._length
        return None if limit is None else (number + 1) * limit // windows - number * limit // windows


def head_place(first: datetime, chance: float) -> datetime:
    """When the first of a line comes back, from the moment at which it first may help. `chance` (0 to 1) parts those
    of several tenants that wait for the same window."""
    return first + _HEAD_SPREAD * chance


def line_place(line_end: datetime, interval: timedelta, chance: float, *, alone: bool) -> datetime:
    """When one comes back that ends its line. Two lines in step would always meet in the same order, so where others
    call as well any moment of its interval will do; alone, evenness counts for more."""
    return line_end - interval + interval * (chance / 4 if alone else chance)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
