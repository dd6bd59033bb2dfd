"""Every interval of the service, as pure functions. Names that end in `_seconds` are in seconds."""

import math
from datetime import datetime, timedelta

RECORD_RETENTION = timedelta(days=400)
CONTENT_RETENTION = timedelta(days=30)

MAX_DELAY_SECONDS = 900
"""The longest delay of an SQS message. The sweeper starts later steps."""

# ---- overdue jobs ----------------------------------------------------------------------------------------------------

OVERDUE_MARGIN = timedelta(seconds=30)
"""How long after the time of the next step a job counts as overdue."""

OVERDUE_TOLERANCE = timedelta(minutes=4)
"""`overdue_at` is kept if it is at most this much later than the next step: a change writes the index twice."""

ENDED_TOLERANCE = timedelta(minutes=17)
"""The same for an ended job, which the stream publishes. Longer than the lease of a direct call, so that the end of the
call does not change it."""

SWEEP_AHEAD = timedelta(minutes=2)
"""How long before the end of a wait longer than MAX_DELAY_SECONDS the sweeper sends its message."""

SWEEPS_BEFORE_FAILURE = 20
SWEEPER_ENDS_AFTER, SWEEPS_BEFORE_END = timedelta(minutes=30), 4
"""The sweeper ends a job with an open call this long after its deadline and after this many sweeps."""

_MAX_SWEEP_MINUTES = 60


def overdue_at(next_step_at: datetime, stored: datetime | None, *, ended: bool) -> datetime:
    """When the sweeper checks whether the next step happened."""
    tolerance = ENDED_TOLERANCE if ended else OVERDUE_TOLERANCE
    if stored is not None and next_step_at <= stored <= next_step_at + tolerance:
        return stored
    return next_step_at + OVERDUE_MARGIN


def sweep_delay(sweeps: int) -> timedelta:
    """The time until the next sweep of an overdue job, by the number of sweeps: 1, 2, 4 … 60 minutes."""
    return timedelta(minutes=min(_MAX_SWEEP_MINUTES, 2 ** min(max(sweeps - 1, 0), 6)))


# ---- calls -----------------------------------------------------------------------------------------------------------

CALL_LEASE = timedelta(seconds=180)
"""How long a `calling` attempt belongs to the worker that recorded it. It is longer than the worker function's timeout,
so that the worker cannot return after its lease."""

DIRECT_CALL_LEASE = timedelta(seconds=960)
"""The same in the direct function."""

OUTCOME_UNKNOWN_WAIT = timedelta(minutes=60)
"""How long a call with an unknown outcome waits for a provider event."""

FIRST_MARGIN = CALL_LEASE + timedelta(seconds=10)
"""How long after its creation a job counts as overdue: longer than a call's lease, so that the lease does not change
`overdue_at`."""

_MAX_RETRY_AFTER_SECONDS = 3600.0


def busy_seconds(busy_retries: int, retry_after_seconds: float | None, random: float = 0.0) -> int:
    """The delay before a refused call is retried: the provider's Retry-After, at most an hour, otherwise 2, 4, 8 …
    540 s. `random` (0 to 1) adds up to a quarter, so that calls refused together spread out."""
    if retry_after_seconds is not None:
        seconds = min(_MAX_RETRY_AFTER_SECONDS, max(1.0, retry_after_seconds))
    else:
        seconds = float(min(MAX_POLL_SECONDS, 2 << min(busy_retries, 9)))
    return math.ceil(seconds * (1 + random / 4))


# ---- polls -----------------------------------------------------------------------------------------------------------

MAX_POLL_SECONDS = 540
"""Nine minutes leave room below MAX_DELAY_SECONDS for a slow queue."""

LATE = timedelta(minutes=1)
"""The longest interval between polls of a job that is past its deadline."""

_FIRST_POLL_SECONDS = {"none": 1, "minimal": 1, "low": 2, "medium": 3, "high": 5, "xhigh": 10, "max": 15}
_POLL_GROWTH = 1.5
_FIRST_FALLBACK_POLL_SECONDS = {"high": 1080, "xhigh": 2400, "max": 4800}
_MIN_FALLBACK_POLL_SECONDS, _MAX_FALLBACK_POLL_SECONDS = 600, 4800


def poll_seconds(effort: str | None, polls: int) -> int:
    """The delay before the next poll, by the number of polls: longer for more effort, growing by half, at most nine
    minutes. A job of one hour is polled about fifteen times."""
    first = _FIRST_POLL_SECONDS.get(effort or "none", 3)
    # The exponent is limited so that it cannot overflow a float.
    return min(MAX_POLL_SECONDS, round(first * _POLL_GROWTH ** min(polls, 40)))


def fallback_poll_seconds(effort: str | None, polls: int) -> int:
    """As `poll_seconds`, if the provider sends events: from 10 minutes, longer for more effort, doubling up to 80."""
    first = _FIRST_FALLBACK_POLL_SECONDS.get(effort or "none", _MIN_FALLBACK_POLL_SECONDS)
    return min(_MAX_FALLBACK_POLL_SECONDS, first << min(polls, 8))


def stop_seconds(since: timedelta) -> int:
    """The delay before a run is cancelled again, by the time since the first cancel: 2, 4, 8 … 60 s."""
    return min(60, max(2, int(since.total_seconds())))


# ---- after the end ---------------------------------------------------------------------------------------------------

LATE_USAGE_SECONDS = 900
"""How long after an estimate the provider is asked for the real usage."""

_EVENT_SECONDS = (30, 120, 600, 2700)
_DELIVERY_SECONDS = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 42_000)

MAX_DELIVERIES = len(_DELIVERY_SECONDS) + 1
"""Deliveries of a webhook before it goes to the dead-letter queue: the queue's `maxReceiveCount`."""


def event_seconds(receives: int) -> int | None:
    """The delay before a failed provider event is retried, by the number of receives of its message. None: drop it."""
    return _EVENT_SECONDS[receives - 1] if receives <= len(_EVENT_SECONDS) else None


def delivery_seconds(attempts: int) -> int:
    """The delay before a failed webhook is retried, by the number of attempts: 5 s to nearly 12 h, about a day in
    total, as standardwebhooks.com recommends. SQS limits a message's visibility to 12 h from its receipt."""
    return _DELIVERY_SECONDS[min(max(attempts, 1), len(_DELIVERY_SECONDS)) - 1]


# ---- transactions ----------------------------------------------------------------------------------------------------

TRANSACTION_TRIES = 14
"""Tries of a transaction that conflicts with others. They take about four seconds in total, at most eight."""

_MAX_CONFLICT_SECONDS = 1.0


def conflict_seconds(tries: int, random: float) -> float:
    """The delay before a transaction is tried again: uniformly up to 20 ms, 40 ms … 1 s (`random` is 0 to 1)."""
    return random * min(_MAX_CONFLICT_SECONDS, 0.01 * (1 << min(tries, 10)))
