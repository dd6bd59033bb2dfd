"""`Notifier.publish`: the event is published first and marked second, so that a crash between them loses nothing."""

import pytest

from tests.simulator.calls import Fault, TransportFailed
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    """One ended job whose event is not published."""
    world = World()
    world.down.notifier = world.down.sweeper = True
    world.submit()
    world.run_for(minutes=5)
    world.jobs.stream.clear()
    return world


def only_job(world: World) -> str:
    (job_id,) = world.jobs.items
    return job_id


def test_ended_job_is_published(world: World) -> None:
    """The job is then no longer overdue."""
    job_id = only_job(world)
    event = world.notifier.publish(job_id)
    assert world.topic.published == [event]
    assert world.job(job_id).overdue_at is None


def test_job_is_published_once(world: World) -> None:
    job_id = only_job(world)
    world.notifier.publish(job_id)
    assert world.notifier.publish(job_id) is None
    assert len(world.topic.published) == 1


def test_failed_publish_leaves_job_overdue(world: World) -> None:
    job_id = only_job(world)
    world.calls.faults = {len(world.calls.recorded) + 1: Fault.TIMEOUT_BEFORE}
    with pytest.raises(TransportFailed):
        world.notifier.publish(job_id)
    assert world.topic.published == []
    assert world.job(job_id).overdue_at is not None


def test_repeat_after_failed_mark_is_same_event(world: World) -> None:
    job_id = only_job(world)
    world.calls.faults = {len(world.calls.recorded) + 2: Fault.TIMEOUT_BEFORE}
    with pytest.raises(TransportFailed):
        world.notifier.publish(job_id)
    world.notifier.publish(job_id)
    first, second = world.topic.published
    assert first == second
    assert first.payload() == second.payload()


def test_running_or_missing_job_is_not_published() -> None:
    world = World()
    job_id = world.submit(a_request("high")).job.id
    assert world.notifier.publish(job_id) is None
    world.jobs.delete(job_id)
    assert world.notifier.publish(job_id) is None
    assert world.topic.published == []


def test_job_without_webhook_reaches_only_the_topic() -> None:
    world = World()
    world.submit(a_request(webhook=False))
    world.run()
    assert len(world.topic.published) == 1
    assert world.receiver.received == []
