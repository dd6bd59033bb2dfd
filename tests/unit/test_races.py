"""Cancels, provider events, deadlines and the ends of waits that happen at the same time."""

from datetime import timedelta
from functools import partial

import pytest

from afterthought.domain.errors import OutcomeUnknown, ProviderBusy, VersionConflict
from afterthought.domain.jobs.call import Call
from afterthought.domain.jobs.outcome import Unwanted
from afterthought.domain.jobs.schedule import OUTCOME_UNKNOWN_WAIT, SWEEPS_BEFORE_FAILURE
from tests.simulator.faults import Fault
from tests.simulator.laws import broken
from tests.simulator.provider import ProviderPlan
from tests.simulator.runs import failure_code
from tests.simulator.world import World, a_request
from tests.sweep.journeys import BEFORE_SHUTDOWN, RETIRING


def lost_call(**options: object) -> tuple[World, str]:
    """A world with events in which the answer to a call was lost. The run takes 8 seconds."""
    world = World(events=True)
    world.provider.plan = ProviderPlan(answers=["lost after"])
    body = a_request()
    body["afterthought"] |= options
    job_id = world.submit(body).job.id
    world.step(job_id)
    assert world.job(job_id).called_attempt.state == "outcome_unknown"
    return world, job_id


@pytest.mark.parametrize(("answer", "retry_after"), [("busy", 3600.0), ("no money", None)])
def test_cancel_during_busy_call_ends_the_job(answer: str, retry_after: float | None) -> None:
    world = World()
    world.provider.plan = ProviderPlan(default_answer=answer, retry_after_seconds=retry_after)  # type: ignore[arg-type]
    job_id = world.submit().job.id
    first = len(world.calls.recorded)
    for index in range(first, first + 12):
        world.calls.before_call[index] = partial(_cancel_while_calling, world, job_id)
    world.run_for(seconds=30)
    job = world.job(job_id)
    assert job.status == "cancelled"
    assert job.held_usd == job.spent_usd == 0
    world.run()
    assert broken(world) == []


def _cancel_while_calling(world: World, job_id: str) -> None:
    attempt = world.job(job_id).open_attempt
    if attempt is not None and attempt.state == "calling" and world.job(job_id).cancel_requested_at is None:
        world.cancel(job_id)


def test_second_cancel_ends_a_requeued_job() -> None:
    world = World()
    job = world.submit().job
    world.jobs.items[job.id] = job.model_copy(update={"cancel_requested_at": world.clock()})
    assert world.cancel(job.id).status == "cancelled"


def test_provider_error_code_is_not_our_deadline() -> None:
    """A gateway's 504 may carry the code `deadline_exceeded`."""
    world = World(events=True)
    job_id = world.submit().job.id
    call = world.runner.start(job_id)
    assert isinstance(call, Call)
    world.runner.record_result(call, OutcomeUnknown("504", code="deadline_exceeded"))
    assert world.job(job_id).called_attempt.state == "outcome_unknown"


def test_job_without_worker_ends_at_its_deadline() -> None:
    world = World()
    world.down.worker = True
    long, short = (world.submit(a_request(webhook=False)).job.id for _ in range(2))
    job = world.job(short)
    world.jobs.items[short] = job.model_copy(update={"deadline_at": job.created_at + timedelta(minutes=1)})
    world.run_for(minutes=6)
    assert failure_code(world.job(short)) == "deadline_exceeded"
    world.run_for(hours=23)
    assert world.job(long).status == "queued"
    assert world.job(long).sweeps > SWEEPS_BEFORE_FAILURE / 2
    world.run_for(hours=2)
    assert failure_code(world.job(long)) == "deadline_exceeded"
    assert world.job(long).spent_usd == 0


def test_event_before_response_ends_resolves_the_call() -> None:
    world, job_id = lost_call(on_unknown="retry")
    (run,) = world.provider.runs_of(job_id)
    world.provider.pending_events = [(run.ends_at - timedelta(seconds=1), run.response_id)]
    world.run()
    job = world.job(job_id)
    assert (job.status, len(job.attempts)) == ("completed", 1)
    assert job.finished_at is not None
    assert job.finished_at - run.ends_at < timedelta(seconds=30)
    assert broken(world) == []


def test_event_before_response_ends_wakes_running_job() -> None:
    world = World(events=True)
    job_id = world.submit().job.id
    world.step(job_id)
    (run,) = world.provider.runs_of(job_id)
    world.provider.pending_events = [(run.ends_at - timedelta(seconds=1), run.response_id)]
    world.run_for(minutes=1)
    assert world.job(job_id).status == "completed"


def test_event_is_retried_through_a_provider_outage() -> None:
    world, job_id = lost_call(on_unknown="retry")
    world.provider.poll_error = ProviderBusy("unreachable")
    world.run_for(minutes=50)
    world.provider.poll_error = None
    world.run()
    job = world.job(job_id)
    assert (job.status, len(world.provider.runs_of(job_id))) == ("completed", 1)


def test_event_at_end_of_wait_corrects_the_cost() -> None:
    world, job_id = lost_call()
    (run,) = world.provider.runs_of(job_id)
    world.provider.pending_events.clear()
    world.down.worker = world.down.sweeper = True
    world.run_for(hours=OUTCOME_UNKNOWN_WAIT.total_seconds() / 3600 + 0.1)
    # The handler calls secret.get, provider.retrieve, jobs.get, contents.put. The wait ends before the fourth.
    world.calls.before_call[len(world.calls.recorded) + 3] = partial(world.run_worker, job_id)
    handled = world.event_handler.handle("standin", run.response_id)
    assert handled.step.outcome == "corrected"
    job = world.job(job_id)
    assert (failure_code(job), job.estimated) == ("outcome_unknown", False)
    assert job.spent_usd < job.attempts[0].hold_usd


def test_two_workers_retire_a_model_once() -> None:
    world = World()
    body = a_request(model="o3")
    body["afterthought"]["model_policy"] = "successor"
    job_id = world.submit(body).job.id
    standin = world.catalogue.providers["standin"].model_copy(update={"shutdown": {"o3": world.clock().date()}})
    retired = world.catalogue.model_copy(update={"providers": {**world.catalogue.providers, "standin": standin}})
    other = World(catalogue=retired)
    other.jobs.items[job_id] = world.job(job_id)
    other.jobs.history[job_id] = [world.job(job_id)]
    other.contents.items |= world.contents.items
    other.ledger.months |= world.ledger.months
    # The step calls jobs.get, contents.get, accounts.tenant, jobs.save. The other worker runs before the fourth.
    other.calls.before_call[len(other.calls.recorded) + 3] = partial(other.run_worker, job_id)
    assert other.step(job_id).outcome == "conflict"
    states = [attempt.state for attempt in other.job(job_id).attempts]
    assert states.count("voided") == 1
    assert len(states) == 2


def test_cancel_of_busy_provider_is_repeated_soon() -> None:
    world = World()
    job_id = world.submit(a_request("max", model="gpt-5.6-sol")).job.id
    world.run_for(minutes=50)
    assert world.job(job_id).called_attempt.polls > 8
    world.cancel(job_id)
    world.provider.poll_error = ProviderBusy("busy")
    world.run_for(seconds=20)
    world.provider.poll_error = None
    world.run_for(seconds=60)
    assert world.job(job_id).status == "cancelled"


def test_run_is_stopped_when_late_usage_is_fetched() -> None:
    world = World()
    world.provider.plan = ProviderPlan(endings=["never"])
    job_id = world.submit(a_request("max", model="gpt-5.6-sol")).job.id
    world.run_for(minutes=5)
    world.cancel(job_id)
    world.provider.poll_error = ProviderBusy("busy")
    world.run_for(minutes=15)
    assert world.job(job_id).status == "cancelled"
    world.provider.poll_error = None
    world.run()
    assert all(run.cancelled for run in world.provider.runs_of(job_id))


def test_lost_call_is_repeated_once_across_models() -> None:
    """The model retires between the calls, so its successor is called the second time."""
    world = World(catalogue=RETIRING, start=BEFORE_SHUTDOWN)
    world.provider.plan = ProviderPlan(answers=["lost after"] * 4)
    body = a_request()
    body["afterthought"] |= {"on_unknown": "retry", "model_policy": "successor"}
    job_id = world.submit(body).job.id
    world.run_for(minutes=10)
    world.run()
    assert len(world.provider.runs_of(job_id)) == 2
    assert failure_code(world.job(job_id)) == "outcome_unknown"
    assert broken(world) == []


@pytest.mark.parametrize("seconds", [120, 500, 600, 890])
@pytest.mark.parametrize("effort", ["low", "high"])
def test_near_deadline_is_exact_with_events(seconds: int, effort: str) -> None:
    world = World(events=True)
    world.provider.plan = ProviderPlan(endings=["never"])
    body = a_request(effort)
    body["afterthought"]["deadline_seconds"] = seconds
    job_id = world.submit(body).job.id
    world.run_until(lambda: world.job(job_id).terminal, timedelta(hours=1))
    job = world.job(job_id)
    assert failure_code(job) == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta() <= job.finished_at - job.deadline_at < timedelta(seconds=2)


@pytest.mark.parametrize(("effort", "after_seconds"), [("low", 30), ("high", 120), ("high", 400)])
def test_cancel_without_its_message_takes_minutes(effort: str, after_seconds: int) -> None:
    """The sweeper sends the message that the queue did not take."""
    world = World(events=True)
    world.provider.plan = ProviderPlan(endings=["never"])
    job_id = world.submit(a_request(effort)).job.id
    world.run_for(seconds=after_seconds)
    # The calls of the cancel: read the job, save it, send the message.
    world.calls.faults = {len(world.calls.recorded) + 2: Fault.TIMEOUT_BEFORE}
    world.cancel(job_id)
    assert world.calls.recorded[-1].name == "queue.send"
    world.run_for(minutes=3)
    assert world.job(job_id).status == "cancelled"


def test_event_that_races_the_workers_write_is_applied() -> None:
    """The event reads the attempt as `calling`, and the worker records it as `running` before the event is written."""
    world = World(events=True)
    job_id = world.submit().job.id
    call = world.runner.start(job_id)
    assert isinstance(call, Call)
    generation = world.provider.create(call.provider, call.request)
    job = world.job(job_id)
    world.calls.before_call[len(world.calls.recorded)] = lambda: world.runner.record_result(call, generation)
    step = world.runner.handle_event(job, job.called_attempt, generation)
    assert step.outcome == "moved"
    job = world.job(job_id)
    assert (job.called_attempt.state, job.called_attempt.polls) == ("running", 1)
    assert job.next_step_at - world.clock() < timedelta(seconds=5)


def test_poll_that_gives_up_does_not_win_over_an_event() -> None:
    world = World(events=True)
    world.provider.plan = ProviderPlan(endings=["never"])
    job_id = world.submit().job.id
    world.step(job_id)
    job = world.job(job_id)
    stored = job.record_poll(poll_seconds=1, now=world.clock())
    world.calls.before_call[len(world.calls.recorded)] = lambda: world.jobs.save(job, stored)
    with pytest.raises(VersionConflict):
        world.runner.recorder.record(job, world.catalogue.providers["standin"], Unwanted())
    assert world.job(job_id) == stored
