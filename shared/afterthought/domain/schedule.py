"""When to look again: every interval of the service, as pure functions of what happened so far. All in seconds."""

import math
from datetime import timedelta

MOST_SECONDS_BETWEEN_CHECKS = 540
"""SQS delays a message by 900 s at most; nine minutes leave room for a slow queue."""

_MOST_RETRY_AFTER_SECONDS = 3600.0
_FIRST_CHECK_SECONDS = {"none": 1, "minimal": 1, "low": 2, "medium": 3, "high": 5, "xhigh": 10, "max": 15}
_CHECK_GROWTH = 1.5

MOST_DELAY_SECONDS = 900
"""The longest that SQS keeps a message back. What is wanted later is woken by the sweeper."""

NET = timedelta(seconds=60)
"""How long after a wanted step the sweeper calls it overdue."""

FIRST_NET = timedelta(seconds=120)
"""The same for a new job. Longer, so that a job that thinks for a minute is done before, and the index of what is due
is not written in between."""

DUE_KEPT_BEFORE = timedelta(seconds=15)
DUE_KEPT_BEYOND = timedelta(minutes=10)
"""A `due_at` that is so much after the step that is expected next, and not more beyond the one that is wanted, is left
where it is: to move it is to write the index twice."""

NOBODY_ENDS_IT, SWEEPS_BEFORE_END = timedelta(minutes=30), 4
"""So long after its deadline, and after so many sweeps, the sweeper ends a job whose call nobody has ended."""

SWEPT_AHEAD = timedelta(minutes=2)
"""So long before a far step the sweeper, who comes once a minute, sends the message for it."""

UNKNOWN_WAIT = timedelta(minutes=60)
"""How long a call of which no answer came may still be told of by the provider's event."""

_TYPICAL_SECONDS = {"high": 180, "xhigh": 600, "max": 1800}
_FIRST_NET_SECONDS = {"high": 1080, "xhigh": 2400, "max": 4800}
_MOST_NET_SECONDS = 4800

SWEEPS_BEFORE_FAILURE = 20
_MOST_MINUTES_BETWEEN_SWEEPS = 60

LATE_ANSWER_SECONDS = 900
"""How long after an estimate the provider is asked once more what was really used."""

_EVENT_SECONDS = (30, 120, 600, 2700)
_DELIVERY_SECONDS = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 42_000)


def check_seconds(effort: str | None, checks: int) -> int:
    """Seconds until the next look at a thinking model, after `checks` looks: longer for more effort, growing by half
    each time, never over nine minutes. A job that thinks for an hour is looked at about fifteen times."""
    first = _FIRST_CHECK_SECONDS.get(effort or "none", 3)
    # The exponent is bounded so that a job checked for days cannot overflow a float.
    return min(MOST_SECONDS_BETWEEN_CHECKS, round(first * _CHECK_GROWTH ** min(checks, 40)))


def typical_thinking(effort: str | None) -> timedelta:
    """How long a model is expected to think, roughly: an assumption of ours."""
    return timedelta(seconds=_TYPICAL_SECONDS.get(effort or "none", 60))


def net_seconds(effort: str | None, checks: int) -> int:
    """Seconds after which a job that the provider's event should have woken is looked at all the same: nine minutes,
    more for more effort, doubling with each look up to 80 minutes."""
    first = _FIRST_NET_SECONDS.get(effort or "none", MOST_SECONDS_BETWEEN_CHECKS)
    return min(_MOST_NET_SECONDS, first << min(checks, 8))


def stop_seconds(asked: timedelta) -> int:
    """Seconds until a provider is asked once more to cancel what nobody wants, so long after it was first: 2, 4, 8 … up
    to a minute."""
    return min(60, max(2, int(asked.total_seconds())))


def busy_seconds(refusals: int, retry_after_seconds: float | None, chance: float = 0.0) -> int:
    """Seconds until a call refused for now is tried again: what the provider asked for, up to an hour, else 2, 4, 8 …
    up to nine minutes. Up to a quarter more by `chance` (0 to 1), so that those refused together do not all come back
    together."""
    if retry_after_seconds is not None:
        wanted = min(_MOST_RETRY_AFTER_SECONDS, max(1.0, retry_after_seconds))
    else:
        wanted = float(min(MOST_SECONDS_BETWEEN_CHECKS, 2 << min(refusals, 9)))
    return math.ceil(wanted * (1 + chance / 4))


def sweep_delay(sweeps: int) -> timedelta:
    """How long a swept job may stay without a step before it is swept again: 1, 2, 4 … 60 minutes."""
    return timedelta(minutes=min(_MOST_MINUTES_BETWEEN_SWEEPS, 2 ** min(max(sweeps - 1, 0), 6)))


def event_seconds(receives: int) -> int | None:
    """Seconds until a provider that could not be asked about its event is asked again, after so many receives of the
    message; None when it has been asked often enough."""
    return _EVENT_SECONDS[receives - 1] if receives <= len(_EVENT_SECONDS) else None


def delivery_seconds(attempts: int) -> int:
    """Seconds until a webhook that failed `attempts` times is sent again: 5 s growing to nearly 12 h, about a day in
    all, as standardwebhooks.com recommends. SQS counts its limit of 12 h from the moment the message was received, so
    the last wait stays some minutes below it."""
    return _DELIVERY_SECONDS[min(max(attempts, 1), len(_DELIVERY_SECONDS)) - 1]


MOST_DELIVERIES = len(_DELIVERY_SECONDS) + 1
"""Sends of one webhook before it goes to the dead-letter queue: the queue's `maxReceiveCount`."""


TRANSACTION_TRIES = 14
"""Of one transaction that meets others on the same items: about four seconds in all, eight at most."""
_MOST_CONFLICT_SECONDS = 1.0


def conflict_seconds(tries: int, chance: float) -> float:
    """Seconds until a transaction that met another is tried again, after so many tries: any time up to 20 ms, 40 ms …
    1 s, by `chance` (0 to 1), since those that meet again would be those that waited equally long."""
    return chance * min(_MOST_CONFLICT_SECONDS, 0.01 * (1 << min(tries, 10)))
