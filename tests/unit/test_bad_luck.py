"""Bad luck with messages, workers and writes: no second paid call, no lost job, no news lost."""

import json
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest

from afterthought.domain.jobs.schedule import CALL_LEASE, FIRST_MARGIN
from tests.simulator.line import Fault, ProcessDied
from tests.simulator.queues import Luck
from tests.simulator.runs import cut, failure_code, finished, plain
from tests.simulator.tables import StreamRecord
from tests.simulator.world import World, question


def test_a_message_handed_out_twice_makes_no_second_call() -> None:
    world = World(luck=Luck(duplicates=1.0))
    world.submit()
    assert finished(world).status == "completed"
    assert world.provider.creates == 1


def test_a_thousand_messages_for_one_job_do_not_breed() -> None:
    world = World()
    job_id = world.submit(question("high")).job.id
    for _ in range(1000):
        world.job_messages.put(json.dumps({"job_id": job_id}))
    world.run_for(seconds=20)
    assert len(world.job_messages.messages) <= 1
    assert finished(world).status == "completed"
    assert world.provider.creates == 1


def test_of_two_workers_that_read_the_same_job_one_calls() -> None:
    """The second runs whole between the first one's read and its write."""
    line = plain().line
    for number in range(line.place("worker", "jobs.get"), len(line.calls)):
        world = World()
        job_id = world.submit().job.id
        world.line.meanwhile[number] = partial(world.look, job_id)
        assert finished(world).status == "completed"
        assert world.provider.creates == 1


def test_the_worker_that_lost_the_write_sends_no_message() -> None:
    world = World()
    job_id = world.submit().job.id
    world.job_messages.messages.clear()
    world.line.meanwhile[len(world.line.calls) + 1] = partial(world.look, job_id)
    assert world.step(job_id).outcome == "conflict"
    assert len(world.job_messages.messages) == 1


def test_a_worker_that_stalls_past_its_time_is_dead_before_another_takes_the_job() -> None:
    line = plain().line
    for number in range(line.place("worker", "jobs.get"), line.place("worker", "provider.create") + 3):
        world = World()
        world.submit()
        world.line.meanwhile[number] = partial(world.run_for, seconds=CALL_LEASE.total_seconds() + 200)
        finished(world)
        assert world.provider.creates <= 1


@pytest.mark.parametrize("outcome", ["gone", "never was"])
def test_a_message_for_a_job_that_is_not_there_is_dropped(outcome: str) -> None:
    world = World()
    job_id = world.submit().job.id
    world.jobs.delete(job_id)
    assert world.step(job_id if outcome == "gone" else "resp_" + "0" * 48).outcome == "ignored"
    world.run()
    assert world.provider.creates == 0
    assert world.errors == []


def test_a_message_after_the_end_is_dropped() -> None:
    world = World()
    world.submit()
    job = finished(world)
    assert world.step(job.id).outcome == "ignored"
    assert world.job(job.id) == job


def test_a_message_before_its_time_is_dropped_and_changes_nothing() -> None:
    world = World()
    job_id = world.submit(question("high")).job.id
    world.step(job_id)
    before = world.job(job_id)
    assert world.step(job_id).outcome == "not_due"
    assert world.job(job_id) == before


def test_a_stream_record_twice_is_announced_once() -> None:
    world = World()
    world.submit()
    job = finished(world)
    world.jobs.stream.append(StreamRecord(job.model_copy(update={"status": "in_progress"}), job))
    world.run()
    assert len(world.topic.published) == 1
    assert len(world.receiver.received) == 1


def test_an_event_published_twice_is_delivered_once() -> None:
    world = World()
    world.submit()
    world.run_until(lambda: bool(world.topic.published), timedelta(hours=1))
    world.topic.publish(world.topic.published[0])
    world.run()
    assert len(world.receiver.received) == 1


@pytest.mark.parametrize("fault", [Fault.DIES_BEFORE, Fault.FAILS_BEFORE])
def test_a_job_whose_first_message_was_never_sent_is_found(fault: Fault) -> None:
    world = cut("api", "queue.send", fault)
    with suppress(ProcessDied):
        submitted = world.submit()
        assert not submitted.enqueued
    assert world.job_messages.messages == []
    assert finished(world).status == "completed"


def test_job_without_message_starts_within_minutes() -> None:
    world = World()
    world.submit()
    world.job_messages.messages.clear()
    assert world.run_until(lambda: world.provider.creates == 1, FIRST_MARGIN + timedelta(minutes=1.5))


def test_a_write_that_meets_itself_is_accepted_and_has_its_message() -> None:
    """A transport repeats a write whose answer was lost; the repeat finds the job there already."""
    world = cut("api", "jobs.create", Fault.MEETS_ITSELF)
    submitted = world.submit()
    assert not submitted.repeated
    assert len(world.job_messages.messages) == 1


def test_a_ledger_entry_that_meets_itself_is_followed_by_its_call() -> None:
    world = cut("worker", "jobs.save", Fault.MEETS_ITSELF)
    world.submit()
    assert finished(world).status == "completed"
    assert world.provider.creates == 1


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("provider.create", Fault.DIES_BEFORE),
        ("provider.create", Fault.DIES_AFTER),
        ("provider.create", Fault.FAILS_BEFORE),
        ("provider.create", Fault.FAILS_AFTER),
        ("provider.create", Fault.SERVER_FAILS),
        ("provider.create", Fault.SERVER_FAILS_AFTER),
        ("jobs.save", Fault.DIES_AFTER),
    ],
)
def test_a_call_whose_outcome_is_unknown_is_not_repeated(place: str, fault: Fault) -> None:
    world = cut("worker", place, fault)
    world.submit()
    job = finished(world)
    assert (job.status, failure_code(job)) == ("failed", "outcome_unknown")
    assert job.attempt is not None
    assert (job.attempt.estimated, job.attempt.cost_usd) == (True, job.attempt.hold_usd)
    assert len(world.provider.runs) <= 1
    assert len(world.receiver.accepted) == 1


@pytest.mark.parametrize("fault", [Fault.DIES_BEFORE, Fault.FAILS_BEFORE])
def test_a_call_that_was_made_and_not_written_down_is_not_repeated(fault: Fault) -> None:
    world = cut("worker", "jobs.save", fault, turn=2)
    world.submit()
    assert failure_code(finished(world)) == "outcome_unknown"
    assert world.provider.creates == 1


def test_nobody_judges_a_submission_before_its_lease_is_over() -> None:
    world = cut("worker", "provider.create", Fault.DIES_BEFORE)
    job_id = world.submit().job.id
    world.run_for(seconds=CALL_LEASE.total_seconds() - 2)
    assert world.step(job_id).outcome == "not_due"
    assert world.job(job_id).status == "in_progress"


@pytest.mark.parametrize("fault", [Fault.NOT_REACHED, Fault.THROTTLED])
def test_a_call_that_could_not_be_sent_or_was_throttled_is_made_again(fault: Fault) -> None:
    world = cut("worker", "provider.create", fault)
    world.submit()
    job = finished(world)
    assert job.status == "completed"
    assert [(entry.number, entry.state) for entry in job.attempts] == [(1, "settled")]
