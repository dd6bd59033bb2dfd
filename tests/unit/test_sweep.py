"""The sweeper: whatever is overdue is looked at, and no job keeps another from its turn."""

from datetime import timedelta

import pytest

from afterthought.domain.jobs.job import CONTENT_RETENTION, Job
from afterthought.services.run.sweep import SweepReport
from tests.simulator.line import Fault
from tests.simulator.world import World, question


def always() -> bool:
    return True


@pytest.fixture
def world() -> World:
    return World()


def forgotten(world: World, number: int = 1) -> list[str]:
    """Jobs whose messages were lost, an hour ago."""
    ids = [world.submit(question(webhook=False)).job.id for _ in range(number)]
    world.job_messages.messages.clear()
    world.clock.pass_by(3600)
    return ids


def ended_unannounced(world: World, number: int = 1) -> list[str]:
    """Jobs that ended while neither notifier nor sweeper ran."""
    world.down.notifier = world.down.sweeper = True
    ids = [world.submit(question(webhook=False)).job.id for _ in range(number)]
    world.run_for(hours=1)
    world.jobs.stream.clear()
    assert all(world.job(job_id).terminal for job_id in ids)
    return ids


def sweep(world: World) -> SweepReport:
    return world.sweeper.sweep(enough_time=always)


def ids_of(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def test_a_forgotten_job_gets_its_message(world: World) -> None:
    (job_id,) = forgotten(world)
    assert ids_of(sweep(world).woken) == [job_id]
    assert len(world.job_messages.messages) == 1


def test_an_ended_job_is_announced(world: World) -> None:
    (job_id,) = ended_unannounced(world)
    assert ids_of(sweep(world).published) == [job_id]
    assert [event.job_id for event in world.topic.published] == [job_id]
    assert world.job(job_id).overdue_at is None


def test_what_is_not_overdue_is_let_alone(world: World) -> None:
    job = world.submit().job
    assert sweep(world) == SweepReport()
    assert world.job(job.id) == job


def test_a_swept_job_is_not_swept_again_at_once(world: World) -> None:
    forgotten(world)
    sweep(world)
    assert sweep(world) == SweepReport()


def test_a_job_that_moved_meanwhile_is_let_alone(world: World) -> None:
    (job_id,) = forgotten(world)
    # After the sweeper's read and before its write.
    world.line.meanwhile[len(world.line.calls) + 2] = lambda: world.look(job_id)
    assert sweep(world) == SweepReport()
    assert world.job(job_id).sweeps == 0


def test_a_queue_that_is_down_leaves_the_job_due(world: World) -> None:
    (job_id,) = forgotten(world)
    world.line.faults = {len(world.line.calls) + 3: Fault.FAILS_BEFORE}
    swept = sweep(world)
    assert swept.woken == []
    assert [troubled for troubled, _ in swept.errors] == [job_id]
    assert world.job(job_id).overdue_at is not None
    world.run()
    assert world.job(job_id).status == "completed"


def test_a_topic_that_is_down_keeps_no_other_job_from_its_turn(world: World) -> None:
    ended = ended_unannounced(world, 3)
    waiting = forgotten(world, 2)
    world.topic.down = True
    swept = sweep(world)
    assert {job_id for job_id, _ in swept.errors} == {*ended}
    assert {*ids_of(swept.woken)} == {*waiting}
    world.topic.down = False
    world.down.notifier = world.down.sweeper = False
    world.run()
    assert {event.job_id for event in world.topic.published} == {*ended, *waiting}


def test_a_job_that_cannot_be_read_keeps_no_other_from_its_turn(world: World) -> None:
    first, second, third = forgotten(world, 3)
    world.line.faults = {len(world.line.calls) + 1: Fault.FAILS_BEFORE}
    swept = sweep(world)
    assert [job_id for job_id, _ in swept.errors] == [first]
    assert ids_of(swept.woken) == [second, third]
    world.line.faults = {}
    assert ids_of(sweep(world).woken) == [first]


def test_a_sweep_stops_when_its_time_is_over_and_the_next_goes_on(world: World) -> None:
    ids = forgotten(world, 5)
    left = iter([True, True, False])
    assert ids_of(world.sweeper.sweep(enough_time=lambda: next(left)).woken) == ids[:2]
    assert ids_of(sweep(world).woken) == ids[2:]


def test_a_job_swept_too_often_is_given_up_and_the_stream_tells(world: World) -> None:
    submitted = world.submit(question(webhook=False))
    world.contents.items[submitted.job.id, f"INPUT#{submitted.job.body_hash}"] = (
        b"{",
        world.clock() + CONTENT_RETENTION,
    )
    world.run_until(lambda: world.job(submitted.job.id).terminal, timedelta(days=2))
    assert world.topic.published == []
    world.run()
    assert [event.type for event in world.topic.published] == ["response.failed"]
