"""When to look again: every interval of the service, as pure functions of what happened so far. All in seconds."""

from datetime import timedelta

MOST_SECONDS_BETWEEN_CHECKS = 540
"""SQS delays a message by 900 s at most; nine minutes leave room for a slow queue."""

_FIRST_CHECK_SECONDS = {"none": 1, "minimal": 1, "low": 2, "medium": 3, "high": 5, "xhigh": 10, "max": 15}
_CHECK_GROWTH = 1.5

NET = timedelta(seconds=60)
"""How long after a wanted step the sweeper calls it overdue."""

SWEEPS_BEFORE_FAILURE = 20
_MOST_MINUTES_BETWEEN_SWEEPS = 60

LATE_ANSWER_SECONDS = 900
"""How long after an estimate the provider is asked once more what was really used."""

_DELIVERY_SECONDS = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 42_000)


def check_seconds(effort: str | None, checks: int) -> int:
    """Seconds until the next look at a thinking model, after `checks` looks: longer for more effort, growing by half
    each time, never over nine minutes. A job that thinks for an hour is looked at about fifteen times."""
    first = _FIRST_CHECK_SECONDS.get(effort or "none", 3)
    # The exponent is bounded so that a job checked for days cannot overflow a float.
    return min(MOST_SECONDS_BETWEEN_CHECKS, round(first * _CHECK_GROWTH ** min(checks, 40)))


def busy_seconds(refusals: int, retry_after_seconds: float | None) -> int:
    """Seconds until a call refused for now is tried again: what the provider asked for, else 2, 4, 8 … up to nine
    minutes."""
    if retry_after_seconds is not None:
        return max(1, min(MOST_SECONDS_BETWEEN_CHECKS, -int(-retry_after_seconds // 1)))
    return min(MOST_SECONDS_BETWEEN_CHECKS, 2 << min(refusals, 9))


def sweep_delay(sweeps: int) -> timedelta:
    """How long a swept job may stay without a step before it is swept again: 1, 2, 4 … 60 minutes."""
    return timedelta(minutes=min(_MOST_MINUTES_BETWEEN_SWEEPS, 2 ** min(max(sweeps - 1, 0), 6)))


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
