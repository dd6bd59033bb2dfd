"""The sweeper handles every overdue job, and no job stops it from handling the others."""

from datetime import timedelta

import pytest

from afterthought.domain.jobs.job import Job
from afterthought.services.run.sweep import SweepReport
from tests.simulator.calls import Fault
from tests.simulator.runs import always, failure_code
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    return World()


def overdue_jobs(world: World, number: int = 1) -> list[str]:
    """Jobs whose messages were lost an hour ago."""
    ids = [world.submit(a_request(webhook=False)).job.id for _ in range(number)]
    world.job_messages.messages.clear()
    world.clock.pass_by(3600)
    return ids


def unpublished_jobs(world: World, number: int = 1) -> list[str]:
    """Jobs that ended while neither the notifier nor the sweeper ran."""
    world.down.notifier = world.down.sweeper = True
    ids = [world.submit(a_request(webhook=False)).job.id for _ in range(number)]
    world.run_for(hours=1)
    world.jobs.stream.clear()
    assert all(world.job(job_id).terminal for job_id in ids)
    return ids


def sweep(world: World) -> SweepReport:
    return world.sweeper.sweep(enough_time=always)


def ids_of(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def test_overdue_job_gets_a_message(world: World) -> None:
    (job_id,) = overdue_jobs(world)
    assert ids_of(sweep(world).woken) == [job_id]
    assert len(world.job_messages.messages) == 1


def test_ended_job_is_published(world: World) -> None:
    (job_id,) = unpublished_jobs(world)
    assert ids_of(sweep(world).published) == [job_id]
    assert [event.job_id for event in world.topic.published] == [job_id]
    assert world.job(job_id).overdue_at is None


def test_job_not_overdue_is_skipped(world: World) -> None:
    job = world.submit().job
    assert sweep(world) == SweepReport()
    assert world.job(job.id) == job


def test_swept_job_is_not_swept_again_at_once(world: World) -> None:
    overdue_jobs(world)
    sweep(world)
    assert sweep(world) == SweepReport()


def test_job_changed_meanwhile_is_skipped(world: World) -> None:
    (job_id,) = overdue_jobs(world)
    # Between the sweeper's read and its write.
    world.calls.before_call[len(world.calls.recorded) + 2] = lambda: world.run_worker(job_id)
    assert sweep(world) == SweepReport()
    assert world.job(job_id).sweeps == 0


def test_failed_send_leaves_the_job_overdue(world: World) -> None:
    (job_id,) = overdue_jobs(world)
    world.calls.faults = {len(world.calls.recorded) + 3: Fault.TIMEOUT_BEFORE}
    report = sweep(world)
    assert report.woken == []
    assert [failed for failed, _ in report.errors] == [job_id]
    assert world.job(job_id).overdue_at is not None
    world.run()
    assert world.job(job_id).status == "completed"


def test_failed_publish_does_not_stop_the_sweep(world: World) -> None:
    ended = unpublished_jobs(world, 3)
    waiting = overdue_jobs(world, 2)
    world.topic.down = True
    report = sweep(world)
    assert {job_id for job_id, _ in report.errors} == {*ended}
    assert {*ids_of(report.woken)} == {*waiting}
    world.topic.down = False
    world.down.notifier = world.down.sweeper = False
    world.run()
    assert {event.job_id for event in world.topic.published} == {*ended, *waiting}


def test_failed_read_does_not_stop_the_sweep(world: World) -> None:
    first, second, third = overdue_jobs(world, 3)
    world.calls.faults = {len(world.calls.recorded) + 1: Fault.TIMEOUT_BEFORE}
    report = sweep(world)
    assert [job_id for job_id, _ in report.errors] == [first]
    assert ids_of(report.woken) == [second, third]
    world.calls.faults = {}
    assert ids_of(sweep(world).woken) == [first]


def test_next_sweep_continues_after_timeout(world: World) -> None:
    ids = overdue_jobs(world, 5)
    enough_time = iter([True, True, False])
    assert ids_of(world.sweeper.sweep(enough_time=lambda: next(enough_time)).woken) == ids[:2]
    assert ids_of(sweep(world).woken) == ids[2:]


def test_job_swept_too_often_fails(world: World) -> None:
    """No worker takes the sweeper's messages. The stream publishes the end."""
    job_id = world.submit(a_request(webhook=False)).job.id
    world.step(job_id)
    world.down.worker = world.down.notifier = True
    world.run_until(lambda: world.job(job_id).terminal, timedelta(days=1))
    job = world.job(job_id)
    assert (failure_code(job), job.sweeps) == ("internal_error", 0)
    assert world.clock() < job.deadline_at
    assert world.topic.published == []
    world.down.notifier = False
    world.run_for(minutes=1)
    assert [event.type for event in world.topic.published] == ["response.failed"]
