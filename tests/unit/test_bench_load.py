"""The simulation of an hour of rising load, and of what runs while models think: that they play what they say."""

from dataclasses import replace

import pytest

from bench import thinking
from bench.studies import load
from bench.studies.capacity import STEPS, Demand
from bench.studies.load import RAISED_BY, Met, Stack, hour, limits_met, rate

DEMAND = Demand(
    seconds={"api": 0.05, "worker": 0.5, "provider_events": 0.02, "notifier": 0.05, "webhooks": 0.4},
    job_units=dict.fromkeys(STEPS, 3.0),
    account_units=dict.fromkeys(STEPS, 2.0),
    key_units={},
    swept_seconds=0.02,
)
PLENTY = Stack(
    DEMAND,
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


def met(stack: Stack, *lifted: str) -> Met:
    found = hour(stack, frozenset(lifted))
    assert found is not None
    return found


def test_the_load_rises_evenly_from_one_job_a_second_to_the_most() -> None:
    assert rate(0) == 1
    assert rate(load.HOUR_SECONDS) == load.MOST_PER_SECOND
    assert rate(1800) == pytest.approx((1 + load.MOST_PER_SECOND) / 2)


def test_a_queue_is_full_when_more_comes_than_its_concurrency_serves_and_felt_a_minute_of_waiting_later() -> None:
    found = met(replace(PLENTY, worker_concurrency=20))
    # Each job brings two messages, of half a second each; and those that are settled came a minute ago.
    assert (found.limit, found.waits) == ("worker", True)
    assert 20 < found.full < 27
    assert found.felt > found.full + 10


def test_more_concurrency_bears_more() -> None:
    fewer, more = (met(replace(PLENTY, webhooks_concurrency=n)).full for n in (10, 40))
    assert fewer == pytest.approx(10 / 0.4, rel=0.4)
    assert more == pytest.approx(40 / 0.4, rel=0.1)


def test_the_gateway_refuses_what_is_above_its_rate_at_once() -> None:
    found = met(replace(PLENTY, gateway_per_second=100))
    assert (found.limit, found.waits) == ("gateway", False)
    assert 100 < found.full < found.felt < 105


def test_one_tenant_meets_its_budget_first_and_many_do_not() -> None:
    assert met(replace(PLENTY, tenants=1)).limit == "budget"
    assert "budget" not in {each.limit for each in limits_met(PLENTY)}


def test_a_table_on_demand_bears_four_thousand_units_a_second_or_twice_the_peak_of_half_an_hour_ago() -> None:
    found = met(PLENTY, "notifier", "account table")
    # Fifteen units a job; twice the peak of half an hour ago is less than four thousand until minute 47.
    assert (found.limit, found.waits) == ("job table", False)
    assert found.full == pytest.approx(4000 / 15, rel=0.1)
    slow = replace(PLENTY, demand=replace(DEMAND, job_units=dict.fromkeys(STEPS, 0.5)))
    assert hour(slow, frozenset({"notifier", "account table"})) is None


def test_each_limit_is_met_once_and_somebody_says_what_raises_it() -> None:
    tight = replace(PLENTY, worker_concurrency=20, webhooks_concurrency=10, gateway_per_second=100, tenants=1)
    found = [each.limit for each in limits_met(tight)]
    assert len(found) == len(set(found))
    assert {"worker", "webhooks", "gateway", "budget", "job table"} <= set(found)
    assert set(found) <= set(RAISED_BY)


def test_no_function_runs_while_models_think_that_are_waited_for_by_events() -> None:
    woken = thinking.watch(20, events=True)
    assert woken.seconds > 60
    assert woken.running == 0


def test_a_model_that_is_looked_at_has_functions_run_meanwhile() -> None:
    assert thinking.watch(20, events=False).calls["worker"] > 20
