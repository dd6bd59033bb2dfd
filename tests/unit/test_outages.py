"""Parts that are down, slow or poisoned, each by itself: jobs wait or end, and none is lost."""

from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest

from afterthought.domain.errors import ProviderBusy
from afterthought.domain.jobs.job import CONTENT_RETENTION
from afterthought.domain.jobs.schedule import MAX_DELIVERIES, delivery_seconds
from tests.simulator.laws import broken
from tests.simulator.line import Fault, TransportFailed
from tests.simulator.provider import Plan
from tests.simulator.runs import always, failure_code, finished, plain
from tests.simulator.world import World, question


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
    assert len(world.receiver.received) == MAX_DELIVERIES
    assert len(world.webhook_messages.dead) == 1


def test_sends_to_a_receiver_that_is_down_come_by_the_schedule() -> None:
    world = World()
    world.receiver.status = 500
    world.submit()
    finished(world)
    times = [each.at for each in world.receiver.received]
    gaps = [round((later - sooner).total_seconds()) for sooner, later in pairwise(times)]
    assert gaps == [delivery_seconds(sends) for sends in range(1, MAX_DELIVERIES)]


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
    # Up to a quarter later, so that jobs refused together do not come back together.
    assert 60 // 6.25 <= world.provider.creates <= 12


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
    world.run_for(days=CONTENT_RETENTION.days + 1)
    world.down.webhooks = False
    finished(world, lawful=False)
    assert world.receiver.received == []
    assert world.webhook_messages.dead == []


def test_a_job_that_no_worker_can_begin_is_given_up_at_its_deadline() -> None:
    world = World()
    submitted = world.submit()
    poison = (submitted.job.id, f"INPUT#{submitted.job.body_hash}")
    world.contents.items[poison] = (b"\xff not JSON", world.clock() + CONTENT_RETENTION)
    world.submit(question(webhook=False), tenant="globex")
    world.run_until(lambda: world.job(submitted.job.id).terminal, timedelta(days=2))
    job = world.job(submitted.job.id)
    assert failure_code(job) == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at <= timedelta(minutes=2)
    assert job.held_usd == job.spent_usd == 0
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
            run = (
                partial(world.notifier.publish, job_id)
                if inner == "notifier"
                else partial(world.sweeper.sweep, enough_time=always)
            )
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
    first = plain().line.place("notifier", "jobs.get")
    world = World(faults=dict.fromkeys(range(first, first + 9), Fault.FAILS_BEFORE))
    world.submit()
    assert finished(world).status == "completed"
    assert len(world.lost_records) == 1
    assert all(isinstance(error, TransportFailed) for error in world.errors)
    assert len(world.receiver.accepted) == 1


def test_a_job_cancelled_for_its_deadline_says_so_even_if_the_provider_says_it_first() -> None:
    """The answer to the cancel is lost, and the event of what it did comes before the next look."""
    world = World(events=True)
    world.provider.plan = Plan(endings=["never"])
    world.submit()
    world.run_until(lambda: any(call.name == "provider.cancel" for call in world.line.calls), timedelta(hours=25))
    world = World(events=True, faults={world.line.place("worker", "provider.cancel"): Fault.FAILS_AFTER})
    world.provider.plan = Plan(endings=["never"])
    world.submit()
    job = finished(world)
    assert (job.status, failure_code(job)) == ("failed", "deadline_exceeded")
