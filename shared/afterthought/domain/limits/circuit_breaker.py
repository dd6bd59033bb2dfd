"""The circuit of a provider: how long it is not called after a refusal, and when a probe is made.

The first wait is five minutes. Each further wait is five minutes longer, up to fifteen. After a wait one call, the
probe, is made, and all others wait two more minutes for its outcome. Without an outcome by then (awaited calls take
longer), another probe follows. The first probe that the provider accepts ends the outage.

A provider may accept a call and refuse it afterwards. So a closed circuit is kept for half an hour. If it opens again
within that time, the next wait is longer than the last one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from afterthought.domain.errors import AfterthoughtError

_WAIT = timedelta(minutes=5)
_MAX_WAIT = timedelta(minutes=15)
_PROBE_WAIT = timedelta(minutes=2)
_RETRY_SPREAD = timedelta(minutes=1)
_MIN_RETRY = timedelta(seconds=1)
_CLOSED_RETENTION = timedelta(minutes=30)


class CircuitBreakerUnavailable(AfterthoughtError):
    """The write of a circuit failed, or its outcome is unknown."""


@dataclass(frozen=True)
class CircuitState:
    """A provider's circuit. A provider that never refused a call has none.

    open: calls wait until `retry_at`. half_open: they wait for the outcome of a probe, until `retry_at` at most.
    closed: calls are made; `retry_at` is when the circuit was closed.

    `reason` is the code of the refusal, `opened_at` the start of the outage, `openings` how often in a row the circuit
    has opened. All times are in whole milliseconds. Successive states have different `retry_at`.
    """

    retry_at: datetime
    reason: str
    opened_at: datetime
    openings: int = 1
    state: Literal["open", "half_open", "closed"] = "open"

    @classmethod
    def opened(cls, reason: str, now: datetime, random: float) -> "CircuitState":
        return cls(now + _WAIT + _jitter(random), reason, now)

    def reopened(self, reason: str, now: datetime, random: float) -> "CircuitState":
        """The provider has refused a call again."""
        if self.state == "closed" and now >= self.expires_at:
            return CircuitState.opened(reason, now, random)
        wait = min(_WAIT * (self.openings + 1), _MAX_WAIT)
        return CircuitState(now + wait + _jitter(random), reason, self.opened_at, self.openings + 1)

    def half_opened(self, now: datetime, random: float) -> "CircuitState":
        """One call, the probe, is being made."""
        retry_at = now + _PROBE_WAIT + _jitter(random)
        return CircuitState(retry_at, self.reason, self.opened_at, self.openings, "half_open")

    def closed(self, now: datetime) -> "CircuitState":
        """The provider has accepted the probe."""
        return CircuitState(now, self.reason, self.opened_at, self.openings, "closed")

    def is_over(self, now: datetime) -> bool:
        """Whether calls can be made."""
        # A closed circuit never makes calls wait: the clock of the process that closed it may be ahead.
        return self.state == "closed" or now >= self.retry_at

    def awaits_same_probe(self, other: "CircuitState") -> bool:
        """Whether both belong to the same outage, and no call was refused between them."""
        return self.state != "closed" and (self.opened_at, self.openings) == (other.opened_at, other.openings)

    def next_try(self, now: datetime, random: float) -> datetime:
        """When a waiting call tries again: within a minute of `retry_at`, so that the calls spread out."""
        return max(self.retry_at, now + _MIN_RETRY) + _milliseconds(_RETRY_SPREAD * random)

    @property
    def expires_at(self) -> datetime:
        """When a closed circuit may be deleted."""
        return self.retry_at + _CLOSED_RETENTION


def _jitter(random: float) -> timedelta:
    """Less than a second. It makes the states of different processes distinct."""
    return _milliseconds(timedelta(seconds=1) * random)


def _milliseconds(length: timedelta) -> timedelta:
    return timedelta(milliseconds=length // timedelta(milliseconds=1))
