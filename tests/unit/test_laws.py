"""The laws hold under faults at any call, duplicates, delays, concurrent workers, functions that are down, lost or late
events, and cancels."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import MoneyRefused, TablesBusy
from tests.simulator.calls import Fault, ProcessDied, TransportFailed
from tests.simulator.laws import WITHIN, broken
from tests.simulator.provider import Answer, Ending, ProviderPlan
from tests.simulator.queues import QueueFaults
from tests.simulator.world import WEBHOOK_URL, Down, EventFault, World, a_request
from tests.sweep.journeys import DIRECT, THROTTLED, catalogue_with_standin

CALLS = 150
"""About as many as three jobs make."""

FUNCTIONS = ("worker", "direct", "provider_events", "notifier", "webhooks", "sweeper")
CATALOGUES = {
    "default": default_catalogue(),
    "direct": DIRECT,
    "throttled": THROTTLED,
    "shutdown tomorrow": catalogue_with_standin(shutdown={"o3": "2026-11-03"}),
}


@dataclass(frozen=True)
class Submission:
    effort: str
    direct: bool
    policies: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        model = "gpt-oss-20b" if self.direct else "o3"
        body = a_request(self.effort, model=model, max_output_tokens=5_000)
        return {**body, "afterthought": {"webhook_url": WEBHOOK_URL, **self.policies}}


@dataclass(frozen=True)
class Scenario:
    """The faults and requests of one run.

    `event_faults` is None if the provider sends no events. The index of a call is the key of `faults` and of `stalls`
    (seconds). At the calls in `cancels` the owner cancels every job; at those in `concurrent` another worker makes a
    step of every job. `outages` are functions and the minutes for which they are down: together less than the longest
    deadline, which only a worker can enforce. `budget` is the tenant's daily cap, in maximum costs of one job.
    """

    seed: int
    queue_faults: QueueFaults
    catalogue: str
    event_faults: Mapping[int, EventFault] | None
    submissions: tuple[Submission, ...]
    answers: tuple[Answer, ...]
    endings: tuple[Ending, ...]
    seconds: float | None
    retry_after_seconds: float | None
    cancels: frozenset[int]
    faults: dict[int, Fault]
    stalls: dict[int, float]
    concurrent: frozenset[int]
    outages: tuple[tuple[str, int], ...]
    receiver_status: int | None
    budget: float | None


calls = st.integers(0, CALLS)
policies = st.fixed_dictionaries(
    {},
    optional={
        "on_unknown": st.sampled_from(("fail", "retry")),
        "on_starved": st.sampled_from(("keep", "retry")),
        "model_policy": st.sampled_from(("exact", "successor")),
        "deadline_seconds": st.sampled_from((60, 300, 3600)),
        "max_cost_usd": st.sampled_from(("0.05", "0.1", "1")),
    },
)
submissions = st.builds(
    Submission,
    effort=st.sampled_from(("low", "medium", "high")),
    direct=st.sampled_from((False, False, True)),
    policies=policies,
)

scenarios = st.builds(
    Scenario,
    seed=st.integers(0, 2**32),
    queue_faults=st.builds(
        QueueFaults,
        duplicates=st.sampled_from((0.0, 0.3, 1.0)),
        early_seconds=st.sampled_from((0.0, 0.9, 5.0)),
        late_seconds=st.sampled_from((0.0, 3.0, 200.0)),
    ),
    catalogue=st.sampled_from(sorted(CATALOGUES)),
    event_faults=st.none() | st.dictionaries(st.integers(1, 6), st.sampled_from(get_args(EventFault)), max_size=4),
    submissions=st.lists(submissions, min_size=1, max_size=3).map(tuple),
    answers=st.lists(st.sampled_from(get_args(Answer)), max_size=4).map(tuple),
    endings=st.lists(st.sampled_from(get_args(Ending)), max_size=3).map(tuple),
    seconds=st.sampled_from((None, None, 0.0, 700.0, 5000.0)),
    retry_after_seconds=st.sampled_from((None, 1.0, 100.0, 2000.0)),
    cancels=st.frozensets(calls, max_size=2),
    faults=st.dictionaries(calls, st.sampled_from(Fault), max_size=8),
    stalls=st.dictionaries(calls, st.sampled_from((1.0, 50.0, 200.0, 1000.0)), max_size=3),
    concurrent=st.frozensets(calls, max_size=6),
    outages=st.lists(st.tuples(st.sampled_from(FUNCTIONS), st.sampled_from((1, 30, 400))), max_size=3).map(tuple),
    receiver_status=st.sampled_from((200, 200, 204, 500, 302, None)),
    budget=st.sampled_from((None, None, 1.0, 1.9, 3.0)),
)


def run_scenario(scenario: Scenario) -> World:
    world = World(
        seed=scenario.seed,
        faults=scenario.faults,
        queue_faults=scenario.queue_faults,
        events=scenario.event_faults is not None,
        event_faults=scenario.event_faults or {},
        catalogue=CATALOGUES[scenario.catalogue],
    )
    world.provider.plan = ProviderPlan(
        list(scenario.answers),
        list(scenario.endings),
        retry_after_seconds=scenario.retry_after_seconds,
        seconds=scenario.seconds,
    )
    world.receiver.status = scenario.receiver_status
    for index, seconds in scenario.stalls.items():
        world.calls.before_call[index] = partial(world.clock.pass_by, seconds)
    for index in scenario.concurrent - scenario.stalls.keys():
        world.calls.before_call[index] = partial(run_workers, world)
    for index in scenario.cancels:
        world.calls.before_call[index] = partial(cancel_all, world)
    if scenario.budget is not None:
        max_cost = world.admitter.admit(json.dumps(a_request(max_output_tokens=5_000)).encode()).max_cost.total_usd
        world.set_day_cap(day_usd=max_cost * Decimal(scenario.budget))
    for submission in scenario.submissions:
        # After an error the job may exist or not.
        with suppress(ProcessDied, TransportFailed, TablesBusy, MoneyRefused):
            world.submit(submission.body())
    for function, minutes in scenario.outages:
        setattr(world.down, function, True)
        world.run_for(minutes=minutes)
        world.down = Down()
    world.run_for(hours=1)
    world.receiver.status = 200
    world.run()
    return world


def run_workers(world: World) -> None:
    for job_id in list(world.jobs.items):
        world.run_worker(job_id)


def cancel_all(world: World) -> None:
    for job_id in list(world.jobs.items):
        with suppress(ProcessDied, TransportFailed, TablesBusy):
            world.cancel(job_id)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(scenarios)
def test_no_scenario_breaks_a_law(scenario: Scenario) -> None:
    # A function that is down ends no job meanwhile.
    down = timedelta(minutes=sum(minutes for _, minutes in scenario.outages))
    assert broken(run_scenario(scenario), within=WITHIN + down) == []


def test_run_without_faults_needs_no_sweeper() -> None:
    world = World()
    for effort in ("none", "low", "medium", "high", "xhigh"):
        world.submit(a_request(effort, model="gpt-5.2"))
    world.run()
    assert broken(world) == []
    assert {job.status for job in world.jobs.items.values()} == {"completed"}
    assert "sweeper" not in {call.process for call in world.calls.recorded}


def run_with_faults(faults: dict[int, Fault]) -> World:
    """A job with a busy provider, polls, and a receiver that fails once."""
    world = World(faults=faults)
    world.provider.plan = ProviderPlan(answers=["busy"])
    world.receiver.status = 503
    with suppress(ProcessDied, TransportFailed, TablesBusy):
        world.submit()
    world.run_until(lambda: bool(world.receiver.received), timedelta(hours=2))
    world.receiver.status = 200
    world.run()
    return world


CALL_COUNT = len(run_with_faults({}).calls.recorded)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_fault_at_any_call_breaks_no_law(fault: Fault) -> None:
    for index in range(CALL_COUNT):
        world = run_with_faults({index: fault})
        assert broken(world) == [], f"{fault.value} at call {index}, {world.calls.recorded[index]}"


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_fault_costs_no_answer_elsewhere(fault: Fault) -> None:
    """Only a fault at the paid call can lose the answer, because a call that may be paid is not repeated."""
    names = set()
    for index in range(CALL_COUNT):
        world = run_with_faults({index: fault})
        if any(job.status != "completed" for job in world.jobs.items.values()):
            names.add(world.calls.recorded[index].name)
    assert names <= {"jobs.save", "secret.get", "provider.create"}
    if fault is Fault.REPEATED:
        assert names == set()
