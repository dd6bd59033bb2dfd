"""Duplicate messages, concurrent workers, crashes, failed writes: no second paid call, no lost job or event."""

import json
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest

from afterthought.domain.jobs.schedule import CALL_LEASE
from tests.simulator.calls import Fault, ProcessDied
from tests.simulator.queues import QueueFaults
from tests.simulator.runs import failure_code, run_to_end, run_without_faults, with_fault
from tests.simulator.tables import StreamRecord
from tests.simulator.world import World, a_request


def test_duplicate_message_makes_no_second_call() -> None:
    world = World(queue_faults=QueueFaults(duplicates=1.0))
    world.submit()
    assert run_to_end(world).status == "completed"
    assert world.provider.creates == 1


def test_duplicate_messages_do_not_multiply() -> None:
    world = World()
    job_id = world.submit(a_request("high")).job.id
    for _ in range(1000):
        world.job_messages.put(json.dumps({"job_id": job_id}))
    world.run_for(seconds=20)
    assert len(world.job_messages.messages) <= 1
    assert run_to_end(world).status == "completed"
    assert world.provider.creates == 1


def test_only_one_worker_makes_the_call() -> None:
    """The second worker makes its whole step between two calls of the first."""
    calls = run_without_faults().calls
    for index in range(calls.index_of("worker", "jobs.get"), len(calls.recorded)):
        world = World()
        job_id = world.submit().job.id
        world.calls.before_call[index] = partial(world.run_worker, job_id)
        assert run_to_end(world).status == "completed"
        assert world.provider.creates == 1


def test_worker_with_conflict_sends_no_message() -> None:
    world = World()
    job_id = world.submit().job.id
    world.job_messages.messages.clear()
    world.calls.before_call[len(world.calls.recorded) + 1] = partial(world.run_worker, job_id)
    assert world.step(job_id).outcome == "conflict"
    assert len(world.job_messages.messages) == 1


def test_stalled_worker_dies_before_its_lease_ends() -> None:
    calls = run_without_faults().calls
    for index in range(calls.index_of("worker", "jobs.get"), calls.index_of("worker", "provider.create") + 3):
        world = World()
        world.submit()
        world.calls.before_call[index] = partial(world.run_for, seconds=CALL_LEASE.total_seconds() + 200)
        run_to_end(world)
        assert world.provider.creates <= 1


@pytest.mark.parametrize("has_existed", [True, False])
def test_message_for_missing_job_is_ignored(has_existed: bool) -> None:
    world = World()
    job_id = world.submit().job.id
    world.jobs.delete(job_id)
    assert world.step(job_id if has_existed else "resp_" + "0" * 48).outcome == "ignored"
    world.run()
    assert world.provider.creates == 0
    assert world.errors == []


def test_message_for_ended_job_is_ignored() -> None:
    world = World()
    world.submit()
    job = run_to_end(world)
    assert world.step(job.id).outcome == "ignored"
    assert world.job(job.id) == job


def test_early_message_changes_nothing() -> None:
    world = World()
    job_id = world.submit(a_request("high")).job.id
    world.step(job_id)
    before = world.job(job_id)
    assert world.step(job_id).outcome == "not_due"
    assert world.job(job_id) == before


def test_duplicate_stream_record_is_published_once() -> None:
    world = World()
    world.submit()
    job = run_to_end(world)
    world.jobs.stream.append(StreamRecord(job.model_copy(update={"status": "in_progress"}), job))
    world.run()
    assert len(world.topic.published) == 1
    assert len(world.receiver.received) == 1


def test_duplicate_completion_event_is_delivered_once() -> None:
    world = World()
    world.submit()
    world.run_until(lambda: bool(world.topic.published), timedelta(hours=1))
    world.topic.publish(world.topic.published[0])
    world.run()
    assert len(world.receiver.received) == 1


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.TIMEOUT_BEFORE])
def test_job_without_first_message_completes(fault: Fault) -> None:
    world = with_fault("api", "queue.send", fault)
    with suppress(ProcessDied):
        submitted = world.submit()
        assert not submitted.enqueued
    assert world.job_messages.messages == []
    assert run_to_end(world).status == "completed"


def test_job_without_message_starts_within_minutes() -> None:
    world = World()
    world.submit()
    world.job_messages.messages.clear()
    assert world.run_until(lambda: world.provider.creates == 1, timedelta(minutes=4.5))


def test_repeated_create_is_accepted() -> None:
    """The transport repeats a write whose answer was lost, and the second write finds the job."""
    world = with_fault("api", "jobs.create", Fault.REPEATED)
    submitted = world.submit()
    assert not submitted.repeated
    assert len(world.job_messages.messages) == 1


def test_repeated_save_is_followed_by_the_call() -> None:
    world = with_fault("worker", "jobs.save", Fault.REPEATED)
    world.submit()
    assert run_to_end(world).status == "completed"
    assert world.provider.creates == 1


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("provider.create", Fault.CRASH_BEFORE),
        ("provider.create", Fault.CRASH_AFTER),
        ("provider.create", Fault.TIMEOUT_BEFORE),
        ("provider.create", Fault.TIMEOUT_AFTER),
        ("provider.create", Fault.SERVER_ERROR_BEFORE),
        ("provider.create", Fault.SERVER_ERROR_AFTER),
        ("jobs.save", Fault.CRASH_AFTER),
    ],
)
def test_call_with_unknown_outcome_is_not_repeated(call: str, fault: Fault) -> None:
    world = with_fault("worker", call, fault)
    world.submit()
    job = run_to_end(world)
    assert (job.status, failure_code(job)) == ("failed", "outcome_unknown")
    assert job.attempt is not None
    assert (job.attempt.estimated, job.attempt.cost_usd) == (True, job.attempt.hold_usd)
    assert len(world.provider.runs) <= 1
    assert len(world.receiver.accepted) == 1


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.TIMEOUT_BEFORE])
def test_unrecorded_call_is_not_repeated(fault: Fault) -> None:
    world = with_fault("worker", "jobs.save", fault, occurrence=2)
    world.submit()
    assert failure_code(run_to_end(world)) == "outcome_unknown"
    assert world.provider.creates == 1


def test_calling_attempt_is_kept_during_its_lease() -> None:
    world = with_fault("worker", "provider.create", Fault.CRASH_BEFORE)
    job_id = world.submit().job.id
    world.run_for(seconds=CALL_LEASE.total_seconds() - 2)
    assert world.step(job_id).outcome == "not_due"
    assert world.job(job_id).status == "in_progress"


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.THROTTLED])
def test_unsent_or_throttled_call_is_repeated(fault: Fault) -> None:
    world = with_fault("worker", "provider.create", fault)
    world.submit()
    job = run_to_end(world)
    assert job.status == "completed"
    assert [(attempt.number, attempt.state) for attempt in job.attempts] == [(1, "settled")]
