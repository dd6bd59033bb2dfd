"""Announcing: published, then noted; in that order, or a crash between would lose the news."""

import pytest

from tests.simulator.calls import Fault, TransportFailed
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    """With a job that has ended and nobody has announced."""
    world = World()
    world.down.notifier = world.down.sweeper = True
    world.submit()
    world.run_for(minutes=5)
    world.jobs.stream.clear()
    return world


def only_job(world: World) -> str:
    (job_id,) = world.jobs.items
    return job_id


def test_an_ended_job_is_published_and_due_no_more(world: World) -> None:
    job_id = only_job(world)
    event = world.announce(job_id)
    assert world.topic.published == [event]
    assert world.job(job_id).overdue_at is None


def test_an_announced_job_is_not_announced_again(world: World) -> None:
    job_id = only_job(world)
    world.announce(job_id)
    assert world.announce(job_id) is None
    assert len(world.topic.published) == 1


def test_what_was_not_published_stays_due(world: World) -> None:
    job_id = only_job(world)
    world.calls.faults = {len(world.calls.recorded) + 1: Fault.TIMEOUT_BEFORE}
    with pytest.raises(TransportFailed):
        world.announce(job_id)
    assert world.topic.published == []
    assert world.job(job_id).overdue_at is not None


def test_what_was_published_and_not_noted_is_published_again_as_the_same(world: World) -> None:
    job_id = only_job(world)
    world.calls.faults = {len(world.calls.recorded) + 2: Fault.TIMEOUT_BEFORE}
    with pytest.raises(TransportFailed):
        world.announce(job_id)
    world.announce(job_id)
    first, second = world.topic.published
    assert first == second
    assert first.payload() == second.payload()


def test_a_job_that_is_gone_or_has_not_ended_is_not_announced() -> None:
    world = World()
    job_id = world.submit(a_request("high")).job.id
    assert world.announce(job_id) is None
    world.jobs.delete(job_id)
    assert world.announce(job_id) is None
    assert world.topic.published == []


def test_an_event_that_nobody_asked_a_webhook_for_reaches_the_topic_alone() -> None:
    world = World()
    world.submit(a_request(webhook=False))
    world.run()
    assert len(world.topic.published) == 1
    assert world.receiver.received == []
