"""One part is down, slow or has unreadable data: jobs wait or end, and none is lost."""

from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest

from afterthought.domain.errors import ProviderBusy
from afterthought.domain.jobs.schedule import CONTENT_RETENTION, MAX_DELIVERIES, delivery_seconds
from tests.simulator.calls import Fault, TransportFailed
from tests.simulator.laws import broken
from tests.simulator.provider import ProviderPlan
from tests.simulator.runs import always, failure_code, run_to_end, run_without_faults
from tests.simulator.world import World, a_request


@pytest.mark.parametrize("status", [None, 500, 404, 302])
def test_receiver_gets_webhook_after_its_outage(status: int | None) -> None:
    world = World()
    world.receiver.status = status
    world.submit()
    world.run_for(hours=6)
    assert world.receiver.accepted == []
    world.receiver.status = 200
    assert run_to_end(world).status == "completed"
    assert len(world.receiver.accepted) == 1


def test_undeliverable_webhook_becomes_dead_letter() -> None:
    world = World()
    world.receiver.status = 500
    world.submit()
    run_to_end(world)
    assert len(world.receiver.received) == MAX_DELIVERIES
    assert len(world.webhook_messages.dead_letters) == 1


def test_webhook_retries_follow_the_schedule() -> None:
    world = World()
    world.receiver.status = 500
    world.submit()
    run_to_end(world)
    times = [each.at for each in world.receiver.received]
    intervals = [round((later - earlier).total_seconds()) for earlier, later in pairwise(times)]
    assert intervals == [delivery_seconds(sends) for sends in range(1, MAX_DELIVERIES)]


def test_busy_provider_is_retried_for_hours() -> None:
    world = World()
    world.provider.plan = ProviderPlan(default_answer="busy")
    job_id = world.submit().job.id
    world.run_for(hours=9)
    assert world.job(job_id).status == "queued"
    assert len(world.job(job_id).attempts) == 1
    world.provider.plan = ProviderPlan()
    assert run_to_end(world).status == "completed"
    assert len(world.provider.runs) == 1


def test_retry_after_of_busy_provider_is_respected() -> None:
    world = World()
    world.provider.plan = ProviderPlan(default_answer="busy", retry_after_seconds=300)
    world.submit()
    world.run_for(minutes=60)
    # Random delays of up to a quarter more spread the jobs that were refused together.
    assert 60 // 6.25 <= world.provider.creates <= 12


def test_busy_provider_uses_up_no_receives() -> None:
    world = World()
    world.provider.plan = ProviderPlan(default_answer="busy")
    world.submit()
    world.run_for(hours=9)
    assert world.job_messages.dead_letters == []
    assert all(message.receives == 0 for message in world.job_messages.messages)


def test_queued_job_ends_at_its_deadline() -> None:
    world = World()
    world.provider.plan = ProviderPlan(default_answer="busy")
    world.submit()
    job = run_to_end(world)
    assert failure_code(job) == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at < timedelta(seconds=5)
    assert world.provider.runs == {}


def test_running_job_is_cancelled_at_its_deadline() -> None:
    world = World()
    world.provider.plan = ProviderPlan(endings=["never"])
    world.submit()
    job = run_to_end(world)
    assert (job.status, failure_code(job)) == ("failed", "deadline_exceeded")
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at < timedelta(seconds=5)
    assert all(run.cancelled for run in world.provider.runs.values())


def test_job_of_unreachable_provider_ends_at_deadline() -> None:
    world = World()
    world.provider.poll_error = ProviderBusy("too many requests")
    world.submit()
    assert failure_code(run_to_end(world)) == "deadline_exceeded"


def test_answer_read_after_deadline_is_kept() -> None:
    world = World()
    job_id = world.submit(a_request("high")).job.id
    world.step(job_id)
    world.down.worker = world.down.sweeper = True
    world.run_for(hours=25)
    world.down.worker = world.down.sweeper = False
    assert run_to_end(world).status == "completed"


def test_job_with_expired_request_ends() -> None:
    world = World()
    job_id = world.submit(a_request(webhook=False)).job.id
    world.contents.items.clear()
    assert failure_code(run_to_end(world)) == "internal_error"
    assert [event.job_id for event in world.topic.published] == [job_id]
    assert world.provider.creates == 0


def test_webhook_with_expired_request_is_dropped() -> None:
    world = World()
    world.down.webhooks = True
    world.submit()
    world.run_for(days=CONTENT_RETENTION.days + 1)
    world.down.webhooks = False
    run_to_end(world, check_laws=False)
    assert world.receiver.received == []
    assert world.webhook_messages.dead_letters == []


def test_unreadable_job_ends_at_its_deadline() -> None:
    world = World()
    submitted = world.submit().job
    content = (submitted.id, f"INPUT#{submitted.body_hash}")
    world.contents.items[content] = (b"\xff not JSON", world.clock() + CONTENT_RETENTION)
    world.submit(a_request(webhook=False), tenant="globex")
    world.run_until(lambda: world.job(submitted.id).terminal, timedelta(days=2))
    job = world.job(submitted.id)
    assert failure_code(job) == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at <= timedelta(minutes=2)
    assert job.held_usd == job.spent_usd == 0
    assert world.provider.runs_of(job.id) == []
    world.run()
    assert broken(world) == []


def test_sweeper_and_notifier_publish_one_event() -> None:
    """The notifier runs at every call of a sweep, and a sweep at every call of the notifier."""
    for interrupting, interrupted in (("notifier", "sweeper"), ("sweeper", "notifier")):
        for offset in range(6):
            world = World()
            setattr(world.down, interrupting, True)
            setattr(world.down, interrupted, True)
            job_id = world.submit().job.id
            world.run_for(minutes=5)
            assert world.job(job_id).terminal
            setattr(world.down, interrupted, False)
            run = (
                partial(world.notifier.publish, job_id)
                if interrupting == "notifier"
                else partial(world.sweeper.sweep, enough_time=always)
            )
            world.calls.before_call[len(world.calls.recorded) + offset] = run
            world.down.notifier = world.down.sweeper = False
            world.run()
            assert broken(world) == []
            assert len({event.id for event in world.topic.published}) == 1


@pytest.mark.parametrize("function", ["worker", "notifier", "webhooks"])
def test_function_down_for_hours_loses_nothing(function: str) -> None:
    world = World()
    setattr(world.down, function, True)
    for _ in range(3):
        world.submit()
    world.run_for(hours=10)
    setattr(world.down, function, False)
    world.run()
    assert broken(world) == []
    assert {job.status for job in world.jobs.items.values()} == {"completed"}


def test_sweeper_replaces_a_lost_stream() -> None:
    world = World()
    world.down.notifier = True
    world.submit()
    world.run_for(minutes=5)
    world.jobs.stream.clear()
    assert run_to_end(world).status == "completed"
    assert len(world.topic.published) == 1


def test_sweeper_publishes_a_discarded_record() -> None:
    first = run_without_faults().calls.index_of("notifier", "jobs.get")
    world = World(faults=dict.fromkeys(range(first, first + 9), Fault.TIMEOUT_BEFORE))
    world.submit()
    assert run_to_end(world).status == "completed"
    assert len(world.discarded_records) == 1
    assert all(isinstance(error, TransportFailed) for error in world.errors)
    assert len(world.receiver.accepted) == 1


def test_deadline_is_the_reason_despite_earlier_event() -> None:
    """The answer to the cancel is lost, and the event of the cancelled run comes before the next poll."""
    world = World(events=True)
    world.provider.plan = ProviderPlan(endings=["never"])
    world.submit()
    world.run_until(lambda: any(call.name == "provider.cancel" for call in world.calls.recorded), timedelta(hours=25))
    world = World(events=True, faults={world.calls.index_of("worker", "provider.cancel"): Fault.TIMEOUT_AFTER})
    world.provider.plan = ProviderPlan(endings=["never"])
    world.submit()
    job = run_to_end(world)
    assert (job.status, failure_code(job)) == ("failed", "deadline_exceeded")
