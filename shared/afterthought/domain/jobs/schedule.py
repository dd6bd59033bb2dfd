"""Every interval of the service, as pure functions. Names that end in `_seconds` are in seconds."""

import math
from datetime import datetime, timedelta

RECORD_RETENTION = timedelta(days=400)
CONTENT_RETENTION = timedelta(days=30)

MAX_DELAY_SECONDS = 900
"""The longest delay of an SQS message. The sweeper starts a step that is further away."""

# ---- overdue jobs ----------------------------------------------------------------------------------------------------

OVERDUE_MARGIN = timedelta(seconds=30)
"""How long after the time of the next step a job counts as overdue."""

OVERDUE_TOLERANCE = timedelta(minutes=17)
"""An `overdue_at` that is at most so much later than the next step is kept: moving it writes the index twice.
Longer than the lease of a direct call, so that the end of the call does not move it."""

SWEEP_AHEAD = timedelta(minutes=2)
"""How long before the end of a wait beyond MAX_DELAY_SECONDS the sweeper sends the message for it."""

SWEEPS_BEFORE_FAILURE = 20
SWEEPER_ENDS_AFTER, SWEEPS_BEFORE_END = timedelta(minutes=30), 4
"""So long after its deadline, and after so many sweeps, the sweeper ends a job whose call no worker has ended."""

_MAX_SWEEP_MINUTES = 60


def overdue_at(next_step_at: datetime, stored: datetime | None) -> datetime:
    """When the sweeper checks whether the next step happened."""
    if stored is not None and next_step_at <= stored <= next_step_at + OVERDUE_TOLERANCE:
        return stored
    return next_step_at + OVERDUE_MARGIN


def sweep_delay(sweeps: int) -> timedelta:
    """How long an overdue job is left alone after so many sweeps: 1, 2, 4 … 60 minutes."""
    return timedelta(minutes=min(_MAX_SWEEP_MINUTES, 2 ** min(max(sweeps - 1, 0), 6)))


# ---- calls -----------------------------------------------------------------------------------------------------------

CALL_LEASE = timedelta(seconds=180)
"""How long a `calling` attempt belongs to the worker that recorded it: longer than the worker function's timeout, so
that afterwards its process is dead and the call cannot return any more."""

DIRECT_CALL_LEASE = timedelta(seconds=960)
"""The same in the direct function."""

OUTCOME_UNKNOWN_WAIT = timedelta(minutes=60)
"""How long a provider event may resolve a call without an answer."""

FIRST_MARGIN = CALL_LEASE + timedelta(seconds=10)
"""How long after its creation a job counts as overdue: long enough that the call's lease does not move `overdue_at`."""

_MAX_RETRY_AFTER_SECONDS = 3600.0


def busy_seconds(busy_retries: int, retry_after_seconds: float | None, random: float = 0.0) -> int:
    """The delay before a call that was refused for now is made again: what the provider requested, at most an hour,
    else 2, 4, 8 … 540 s; plus up to a quarter by `random` (0 to 1), so that calls refused together are spread."""
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
_MAX_FALLBACK_POLL_SECONDS = 4800


def poll_seconds(effort: str | None, polls: int) -> int:
    """The delay before the next poll after so many: longer for more effort, growing by half, at most nine minutes. A
    job of one hour is polled about fifteen times."""
    first = _FIRST_POLL_SECONDS.get(effort or "none", 3)
    # The exponent is limited so that it cannot overflow a float.
    return min(MAX_POLL_SECONDS, round(first * _POLL_GROWTH ** min(polls, 40)))


def fallback_poll_seconds(effort: str | None, polls: int) -> int:
    """The same for a job that a provider event should wake: 9 minutes, more for more effort, doubling up to 80."""
    first = _FIRST_FALLBACK_POLL_SECONDS.get(effort or "none", MAX_POLL_SECONDS)
    return min(_MAX_FALLBACK_POLL_SECONDS, first << min(polls, 8))


def stop_seconds(since: timedelta) -> int:
    """The delay before a provider is again asked to cancel a run, so long after the first time: 2, 4, 8 … 60 s."""
    return min(60, max(2, int(since.total_seconds())))


# ---- after the end ---------------------------------------------------------------------------------------------------

LATE_USAGE_SECONDS = 900
"""How long after an estimate the provider is asked for the real usage."""

_EVENT_SECONDS = (30, 120, 600, 2700)
_DELIVERY_SECONDS = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 42_000)

MAX_DELIVERIES = len(_DELIVERY_SECONDS) + 1
"""Sends of one webhook before it goes to the dead-letter queue: the queue's `maxReceiveCount`."""


def event_seconds(receives: int) -> int | None:
    """The delay before a provider event that could not be handled is handled again, after so many receives of its
    message; None when it is given up."""
    return _EVENT_SECONDS[receives - 1] if receives <= len(_EVENT_SECONDS) else None


def delivery_seconds(attempts: int) -> int:
    """The delay before a webhook that failed so many times is sent again: 5 s to nearly 12 h, about a day in total, as
    standardwebhooks.com recommends. SQS limits a message's visibility to 12 h from its receipt."""
    return _DELIVERY_SECONDS[min(max(attempts, 1), len(_DELIVERY_SECONDS)) - 1]


# ---- transactions ----------------------------------------------------------------------------------------------------

TRANSACTION_TRIES = 14
"""Tries of a transaction that conflicts with others: about four seconds in total, at most eight."""

_MAX_CONFLICT_SECONDS = 1.0


def conflict_seconds(tries: int, random: float) -> float:
    """The delay before a transaction is tried again: uniformly up to 20 ms, 40 ms … 1 s (`random` is 0 to 1)."""
    return random * min(_MAX_CONFLICT_SECONDS, 0.01 * (1 << min(tries, 10)))
