"""Each piece of bad luck by itself: no second paid call, no lost job, no lost notification."""

import json
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest

from afterthought.domain.errors import ProviderBusy
from afterthought.domain.job import CONTENT_KEPT, SUBMIT_LEASE, Job
from afterthought.domain.schedule import MOST_DELIVERIES, SWEEPS_BEFORE_FAILURE, delivery_seconds
from tests.simulator.laws import broken
from tests.simulator.line import Fault, ProcessDied, TransportFailed
from tests.simulator.provider import Plan
from tests.simulator.queues import Luck
from tests.simulator.tables import StreamRecord
from tests.simulator.world import World, question


def always() -> bool:
    return True


def finished(world: World, *, lawful: bool = True) -> Job:
    """The world's one job, after all has come to rest."""
    world.run()
    if lawful:
        assert broken(world) == []
    (job,) = world.jobs.items.values()
    return job


def finished_job(world: World) -> Job:
    world.submit()
    return finished(world)


def failure_code(job: Job) -> str | None:
    return job.failure.code if job.failure else None


def cut(process: str, name: str, fault: Fault, *, turn: int = 1) -> World:
    """A world in which that call of a plain run is cut."""
    plain = World()
    plain.submit()
    plain.run()
    return World(faults={plain.line.place(process, name, turn): fault})


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
    plain = World()
    plain.submit()
    plain.run()
    for number in range(plain.line.place("worker", "jobs.get"), len(plain.line.calls)):
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
    assert world.step(job_id).outcome == "lost"
    assert len(world.job_messages.messages) == 1


def test_a_worker_that_stalls_past_its_time_is_dead_before_another_takes_the_job() -> None:
    plain = World()
    plain.submit()
    plain.run()
    for number in range(plain.line.place("worker", "jobs.get"), plain.line.place("worker", "provider.create") + 3):
        world = World()
        world.submit()
        world.line.meanwhile[number] = partial(world.run_for, seconds=SUBMIT_LEASE.total_seconds() + 200)
        finished(world)
        assert world.provider.creates <= 1


@pytest.mark.parametrize("outcome", ["gone", "never was"])
def test_a_message_for_a_job_that_is_not_there_is_dropped(outcome: str) -> None:
    world = World()
    job_id = world.submit().job.id
    world.jobs.delete(job_id)
    assert world.step(job_id if outcome == "gone" else "resp_" + "0" * 48).outcome == "dropped"
    world.run()
    assert world.provider.creates == 0
    assert world.errors == []


def test_a_message_after_the_end_is_dropped() -> None:
    world = World()
    job = finished_job(world)
    assert world.step(job.id).outcome == "dropped"
    assert world.job(job.id) == job


def test_a_message_before_its_time_is_dropped_and_changes_nothing() -> None:
    world = World()
    job_id = world.submit(question("high")).job.id
    world.step(job_id)
    before = world.job(job_id)
    assert world.step(job_id).outcome == "early"
    assert world.job(job_id) == before


def test_a_stream_record_twice_is_announced_once() -> None:
    world = World()
    job = finished_job(world)
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


def test_an_accepted_job_whose_message_was_lost_starts_within_three_minutes() -> None:
    world = World()
    job_id = world.submit().job.id
    world.job_messages.messages.clear()
    world.run_until(lambda: world.job(job_id).attempt is not None, timedelta(minutes=3))
    assert world.job(job_id).attempt is not None


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
        ("provider.create", Fault.FAILS_AFTER),
        ("jobs.save", Fault.DIES_AFTER),
    ],
)
def test_a_call_whose_outcome_is_unknown_is_not_repeated(place: str, fault: Fault) -> None:
    world = cut("worker", place, fault)
    world.submit()
    job = finished(world)
    assert (job.status, failure_code(job)) == ("failed", "outcome_unknown")
    assert job.attempt is not None
    assert job.attempt.state == "unknown"
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
    world.run_for(seconds=SUBMIT_LEASE.total_seconds() - 2)
    assert world.step(job_id).outcome == "early"
    assert world.job(job_id).status == "in_progress"


def test_a_call_that_could_not_be_sent_is_made_again() -> None:
    world = cut("worker", "provider.create", Fault.FAILS_BEFORE)
    world.submit()
    job = finished(world)
    assert job.status == "completed"
    assert [(entry.number, entry.state) for entry in job.attempts] == [(2, "settled")]


@pytest.mark.parametrize("status", [None, 500, 404, 302])
def test_a_receiver_that_is_down_gets_its_webhook_when_it_is_up(status: int | None) -> None:
    world = World()
    world.receiver.status = status
    world.submit()
    world.run_for(hours=6)
    assert world.receiver.accepted == []
    world.receiver.status = 200
    assert finished(world).status == "completed"
    assert len(world.receiver.accepted) == 1


def test_a_receiver_that_is_down_for_ever_ends_in_the_dead_letters() -> None:
    world = World()
    world.receiver.status = 500
    world.submit()
    finished(world)
    assert len(world.receiver.received) == MOST_DELIVERIES
    assert len(world.webhook_messages.dead) == 1


def test_sends_to_a_receiver_that_is_down_come_by_the_schedule() -> None:
    world = World()
    world.receiver.status = 500
    world.submit()
    finished(world)
    times = [each.at for each in world.receiver.received]
    gaps = [round((later - sooner).total_seconds()) for sooner, later in pairwise(times)]
    assert gaps == [delivery_seconds(sends) for sends in range(1, MOST_DELIVERIES)]


def test_a_provider_busy_for_hours_is_asked_until_it_is_not() -> None:
    world = World()
    world.provider.plan = Plan(answer="busy")
    job_id = world.submit().job.id
    world.run_for(hours=9)
    busy = world.job(job_id)
    assert busy.status == "queued"
    assert len(busy.attempts) == 1
    world.provider.plan = Plan()
    assert finished(world).status == "completed"
    assert len(world.provider.runs) == 1


def test_a_provider_that_says_when_is_not_asked_sooner() -> None:
    world = World()
    world.provider.plan = Plan(answer="busy", retry_after_seconds=300)
    world.submit()
    world.run_for(minutes=60)
    assert world.provider.creates == 12


def test_a_busy_provider_spends_no_receive_of_the_queue() -> None:
    world = World()
    world.provider.plan = Plan(answer="busy")
    world.submit()
    world.run_for(hours=9)
    assert world.job_messages.dead == []
    assert all(message.receives == 0 for message in world.job_messages.messages)


def test_a_job_still_queued_at_its_deadline_ends_there() -> None:
    world = World()
    world.provider.plan = Plan(answer="busy")
    world.submit()
    job = finished(world)
    assert failure_code(job) == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at < timedelta(seconds=5)
    assert world.provider.runs == {}


def test_a_job_still_thinking_at_its_deadline_is_cancelled_there() -> None:
    world = World()
    world.provider.plan = Plan(endings=["never"])
    world.submit()
    job = finished(world)
    assert (job.status, failure_code(job)) == ("failed", "deadline_exceeded")
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at < timedelta(seconds=5)
    assert all(run.cancelled for run in world.provider.runs.values())


def test_a_job_whose_provider_is_silent_at_its_deadline_ends_all_the_same() -> None:
    world = World()
    world.provider.looks = ProviderBusy("too many requests")
    world.submit()
    assert failure_code(finished(world)) == "deadline_exceeded"


def test_an_answer_found_at_the_deadline_is_not_thrown_away() -> None:
    world = World()
    job_id = world.submit(question("high")).job.id
    world.step(job_id)
    world.down.worker = world.down.sweeper = True
    world.run_for(hours=25)
    world.down.worker = world.down.sweeper = False
    assert finished(world).status == "completed"


def test_a_job_whose_request_has_expired_ends_and_is_announced() -> None:
    world = World()
    job_id = world.submit(question(webhook=False)).job.id
    world.contents.items.clear()
    assert failure_code(finished(world)) == "internal_error"
    assert [event.job_id for event in world.topic.published] == [job_id]
    assert world.provider.creates == 0


def test_a_webhook_whose_request_has_expired_is_dropped_and_stays_no_dead_letter() -> None:
    world = World()
    world.down.webhooks = True
    world.submit()
    world.run_for(days=CONTENT_KEPT.days + 1)
    world.down.webhooks = False
    finished(world, lawful=False)
    assert world.receiver.received == []
    assert world.webhook_messages.dead == []


def test_a_job_that_no_worker_can_handle_is_given_up_after_its_sweeps() -> None:
    world = World()
    submitted = world.submit()
    poison = (submitted.job.id, f"INPUT#{submitted.job.body_hash}")
    world.contents.items[poison] = (b"\xff not JSON", world.clock() + CONTENT_KEPT)
    world.submit(question(webhook=False), tenant="globex")
    world.run_until(lambda: world.job(submitted.job.id).terminal, timedelta(days=2))
    job = world.job(submitted.job.id)
    assert failure_code(job) == "internal_error"
    sweeps = [version.sweeps for version in world.jobs.history[job.id]]
    assert max(sweeps) == SWEEPS_BEFORE_FAILURE - 1
    assert world.provider.generations(job.id) == []
    world.run()
    assert broken(world) == []


def test_a_sweep_and_the_notifier_at_once_leave_one_announced_job() -> None:
    """The notifier runs whole at every place within the sweep, and the other way round."""
    for inner, outer in (("notifier", "sweeper"), ("sweeper", "notifier")):
        for offset in range(6):
            world = World()
            setattr(world.down, inner, True)
            setattr(world.down, outer, True)
            job_id = world.submit().job.id
            world.run_for(minutes=5)
            assert world.job(job_id).terminal
            setattr(world.down, outer, False)
            run = partial(world.announce, job_id) if inner == "notifier" else partial(world.sweep, enough_time=always)
            world.line.meanwhile[len(world.line.calls) + offset] = run
            world.down.notifier = world.down.sweeper = False
            world.run()
            assert broken(world) == []
            assert len({event.id for event in world.topic.published}) == 1


@pytest.mark.parametrize("part", ["worker", "notifier", "webhooks"])
def test_a_part_that_is_down_for_hours_delays_and_loses_nothing(part: str) -> None:
    world = World()
    setattr(world.down, part, True)
    for _ in range(3):
        world.submit()
    world.run_for(hours=10)
    setattr(world.down, part, False)
    world.run()
    assert broken(world) == []
    assert {job.status for job in world.jobs.items.values()} == {"completed"}


def test_a_silent_stream_is_made_up_for_by_the_sweeper() -> None:
    world = World()
    world.down.notifier = True
    world.submit()
    world.run_for(minutes=5)
    world.jobs.stream.clear()
    assert finished(world).status == "completed"
    assert len(world.topic.published) == 1


def test_a_record_that_the_notifier_cannot_handle_is_announced_by_the_sweeper() -> None:
    plain = World()
    plain.submit()
    plain.run()
    first = plain.line.place("notifier", "jobs.get")
    world = World(faults=dict.fromkeys(range(first, first + 9), Fault.FAILS_BEFORE))
    world.submit()
    assert finished(world).status == "completed"
    assert len(world.lost_records) == 1
    assert all(isinstance(error, TransportFailed) for error in world.errors)
    assert len(world.receiver.accepted) == 1
