"""The intervals grow, have a maximum, and fit the limits of SQS."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.jobs import schedule
from afterthought.domain.models.model import Effort
from tests.simulator import stack
from tests.simulator.queues import MAX_DELAY_SECONDS

EFFORTS: tuple[str, ...] = get_args(Effort)
efforts = st.none() | st.sampled_from(EFFORTS) | st.text(max_size=10)
counts = st.integers(min_value=0, max_value=10**9)


@given(efforts, counts)
def test_poll_is_within_nine_minutes(effort: str | None, polls: int) -> None:
    assert 1 <= schedule.poll_seconds(effort, polls) <= schedule.MAX_POLL_SECONDS


@given(efforts, counts)
def test_poll_interval_never_shrinks(effort: str | None, polls: int) -> None:
    assert schedule.poll_seconds(effort, polls) <= schedule.poll_seconds(effort, polls + 1)


def test_first_poll_grows_with_effort() -> None:
    first = [schedule.poll_seconds(effort, 0) for effort in EFFORTS]
    assert first == sorted(first)
    assert first[0] < first[-1]


def test_one_hour_takes_about_fifteen_polls() -> None:
    seconds, polls = 0, 0
    while seconds < 3600:
        seconds += schedule.poll_seconds("high", polls)
        polls += 1
    assert 12 <= polls <= 18


@given(counts, st.none() | st.floats(min_value=0, max_value=1e12))
def test_busy_delay_is_at_most_75_minutes(busy_retries: int, retry_after: float | None) -> None:
    assert 1 <= schedule.busy_seconds(busy_retries, retry_after) <= 3600
    assert 1 <= schedule.busy_seconds(busy_retries, retry_after, random=1) <= 4500


def test_busy_delay_has_random_jitter() -> None:
    assert [schedule.busy_seconds(4, None, random) for random in (0, 0.5, 1)] == [32, 36, 40]
    assert [schedule.busy_seconds(0, 300, random) for random in (0, 1)] == [300, 375]


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(0, 1), (0.2, 1), (1, 1), (1.01, 2), (30, 30), (539.5, 540), (9e9, 3600)]
)
def test_busy_delay_respects_retry_after(retry_after: float, seconds: int) -> None:
    assert schedule.busy_seconds(0, retry_after) == seconds


def test_busy_delay_doubles() -> None:
    assert [schedule.busy_seconds(busy_retries, None) for busy_retries in range(10)] == [
        2,
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        512,
        540,
    ]


def test_intervals_fit_the_longest_sqs_delay() -> None:
    assert schedule.MAX_POLL_SECONDS < MAX_DELAY_SECONDS
    assert schedule.CALL_LEASE.total_seconds() < MAX_DELAY_SECONDS


def test_lease_is_longer_than_worker_timeout() -> None:
    """Otherwise two workers could call at once."""
    assert schedule.CALL_LEASE.total_seconds() > stack.properties("WorkerFunction")["Timeout"]


def test_sweep_delay_grows_to_an_hour() -> None:
    minutes = [schedule.sweep_delay(sweeps).total_seconds() / 60 for sweeps in range(1, 10)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_job_without_steps_fails_within_a_day() -> None:
    minutes = sum(schedule.sweep_delay(n).total_seconds() / 60 for n in range(1, schedule.SWEEPS_BEFORE_FAILURE))
    assert 12 * 60 < minutes < 24 * 60


def test_webhook_is_retried_for_about_a_day() -> None:
    delays = [schedule.delivery_seconds(deliveries) for deliveries in range(1, schedule.MAX_DELIVERIES)]
    assert delays == sorted(delays)
    assert 20 * 3600 < sum(delays) < 30 * 3600


@given(counts)
def test_webhook_delay_fits_sqs(attempts: int) -> None:
    assert 5 <= schedule.delivery_seconds(attempts) <= 43_200


def test_template_allows_all_webhook_deliveries() -> None:
    assert stack.max_receives("WebhookQueue") == schedule.MAX_DELIVERIES


def test_template_retains_webhook_for_all_deliveries() -> None:
    delays = sum(schedule.delivery_seconds(deliveries) for deliveries in range(1, schedule.MAX_DELIVERIES + 1))
    assert stack.properties("WebhookQueue")["MessageRetentionPeriod"] > delays
