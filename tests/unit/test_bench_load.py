"""The simulation of an hour of rising load."""

from dataclasses import replace

import pytest

from bench.studies import load
from bench.studies.capacity import STEPS, JobCapacity
from bench.studies.load import REMEDIES, LimitReached, Limits, first_limit, limits_reached, rate

CAPACITY = JobCapacity(
    seconds={"api": 0.05, "worker": 0.5, "provider_events": 0.02, "notifier": 0.05, "webhooks": 0.4},
    job_units=dict.fromkeys(STEPS, 3.0),
    account_units=dict.fromkeys(STEPS, 2.0),
    key_units={},
    sweep_seconds=0.02,
)
HIGH = Limits(
    CAPACITY,
    tenants=1000,
    gateway_per_second=10_000,
    gateway_burst=0,
    worker_concurrency=1000,
    webhooks_concurrency=1000,
    notifier_parallel=10,
    budget_per_second=22,
    tier_per_second=470,
    provider_per_second=10_000,
)


def reached(limits: Limits, *lifted: str) -> LimitReached:
    limit = first_limit(limits, frozenset(lifted))
    assert limit is not None
    return limit


def test_load_rises_evenly() -> None:
    assert rate(0) == 1
    assert rate(load.HOUR_SECONDS) == load.MAX_PER_SECOND
    assert rate(1800) == pytest.approx((1 + load.MAX_PER_SECOND) / 2)


def test_queue_fills_at_its_concurrency() -> None:
    limit = reached(replace(HIGH, worker_concurrency=20))
    # A job has two messages, of half a second each; the second comes a minute after the first.
    assert (limit.limit, limit.delayed) == ("worker", True)
    assert 20 < limit.full < 27
    assert limit.noticed > limit.full + 10, "a wait of a minute"


def test_more_concurrency_serves_more() -> None:
    small, large = (reached(replace(HIGH, webhooks_concurrency=n)).full for n in (10, 40))
    assert small == pytest.approx(10 / 0.4, rel=0.4)
    assert large == pytest.approx(40 / 0.4, rel=0.1)


def test_gateway_refuses_at_once() -> None:
    limit = reached(replace(HIGH, gateway_per_second=100))
    assert (limit.limit, limit.delayed) == ("gateway", False)
    assert 100 < limit.full < limit.noticed < 105


def test_one_tenant_reaches_its_budget_first() -> None:
    assert reached(replace(HIGH, tenants=1)).limit == "budget"
    assert reached(HIGH).limit != "budget"


def test_table_serves_twice_its_earlier_peak() -> None:
    """4,000 units a second, or twice the peak of 30 minutes ago."""
    limit = reached(HIGH, "notifier", "account table")
    # Fifteen units a job; twice the earlier peak is less than 4,000 until minute 47.
    assert (limit.limit, limit.delayed) == ("job table", False)
    assert limit.full == pytest.approx(4000 / 15, rel=0.1)
    slow = replace(HIGH, capacity=replace(CAPACITY, job_units=dict.fromkeys(STEPS, 0.5)))
    assert first_limit(slow, frozenset({"notifier", "account table"})) is None


def test_each_limit_is_reached_once() -> None:
    """The report says how to raise each."""
    tight = replace(HIGH, worker_concurrency=20, webhooks_concurrency=10, gateway_per_second=100, tenants=1)
    names = [each.limit for each in limits_reached(tight)]
    assert len(names) == len(set(names))
    assert {"worker", "webhooks", "gateway", "budget", "job table"} <= set(names) <= set(REMEDIES)
