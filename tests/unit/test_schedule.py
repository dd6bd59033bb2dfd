"""The intervals: growing, bounded, and within what SQS takes."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.jobs import schedule
from afterthought.domain.models.model import Effort
from tests.simulator import stack
from tests.simulator.queues import MOST_DELAY_SECONDS

EFFORTS: tuple[str, ...] = get_args(Effort)
efforts = st.none() | st.sampled_from(EFFORTS) | st.text(max_size=10)
many = st.integers(min_value=0, max_value=10**9)


@given(efforts, many)
def test_a_check_comes_within_nine_minutes(effort: str | None, checks: int) -> None:
    assert 1 <= schedule.poll_seconds(effort, checks) <= schedule.MAX_POLL_SECONDS


@given(efforts, many)
def test_a_check_never_comes_sooner_than_the_one_before(effort: str | None, checks: int) -> None:
    assert schedule.poll_seconds(effort, checks) <= schedule.poll_seconds(effort, checks + 1)


def test_more_effort_is_given_more_time() -> None:
    first = [schedule.poll_seconds(effort, 0) for effort in EFFORTS]
    assert first == sorted(first)
    assert first[0] < first[-1]


def test_an_hour_of_thinking_takes_about_fifteen_looks() -> None:
    seconds, checks = 0, 0
    while seconds < 3600:
        seconds += schedule.poll_seconds("high", checks)
        checks += 1
    assert 12 <= checks <= 18


@given(many, st.none() | st.floats(min_value=0, max_value=1e12))
def test_a_busy_provider_is_asked_again_within_an_hour_and_a_quarter(refusals: int, retry_after: float | None) -> None:
    assert 1 <= schedule.busy_seconds(refusals, retry_after) <= 3600
    assert 1 <= schedule.busy_seconds(refusals, retry_after, random=1) <= 4500


def test_calls_refused_together_do_not_come_back_together() -> None:
    assert [schedule.busy_seconds(4, None, random) for random in (0, 0.5, 1)] == [32, 36, 40]
    assert [schedule.busy_seconds(0, 300, random) for random in (0, 1)] == [300, 375]


@pytest.mark.parametrize(
    ("asked", "given_back"), [(0, 1), (0.2, 1), (1, 1), (1.01, 2), (30, 30), (539.5, 540), (9e9, 3600)]
)
def test_a_provider_is_never_asked_sooner_than_it_said(asked: float, given_back: int) -> None:
    assert schedule.busy_seconds(0, asked) == given_back


def test_the_wait_for_a_busy_provider_doubles() -> None:
    assert [schedule.busy_seconds(refusals, None) for refusals in range(10)] == [
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


def test_every_interval_is_one_that_the_queue_takes() -> None:
    assert schedule.MAX_POLL_SECONDS < MOST_DELAY_SECONDS
    assert schedule.CALL_LEASE.total_seconds() < MOST_DELAY_SECONDS


def test_the_lease_outlives_the_worker() -> None:
    """Two workers could call at once if it did not."""
    assert schedule.CALL_LEASE.total_seconds() > stack.properties("WorkerFunction")["Timeout"]


def test_sweeps_of_one_job_grow_from_a_minute_to_an_hour() -> None:
    minutes = [schedule.sweep_delay(sweeps).total_seconds() / 60 for sweeps in range(1, 10)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_job_without_steps_is_given_up_within_a_day() -> None:
    minutes = sum(schedule.sweep_delay(n).total_seconds() / 60 for n in range(1, schedule.SWEEPS_BEFORE_FAILURE))
    assert 12 * 60 < minutes < 24 * 60


def test_webhooks_are_sent_again_for_about_a_day() -> None:
    waits = [schedule.delivery_seconds(sends) for sends in range(1, schedule.MAX_DELIVERIES)]
    assert waits == sorted(waits)
    assert 20 * 3600 < sum(waits) < 30 * 3600


@given(many)
def test_a_webhooks_wait_is_one_that_sqs_takes(attempts: int) -> None:
    assert 5 <= schedule.delivery_seconds(attempts) <= 43_200


def test_the_template_sends_webhooks_as_often_as_the_schedule_says() -> None:
    assert stack.most_receives("WebhookQueue") == schedule.MAX_DELIVERIES


def test_the_template_keeps_a_webhook_until_its_last_send() -> None:
    waits = sum(schedule.delivery_seconds(sends) for sends in range(1, schedule.MAX_DELIVERIES + 1))
    assert stack.properties("WebhookQueue")["MessageRetentionPeriod"] > waits
