"""Who meets whom: cancels, events and the ends of waits that come at the same moment, and what nobody serves."""

from datetime import timedelta
from functools import partial

import pytest

from afterthought.domain.errors import OutcomeUnknown, ProviderBusy
from afterthought.domain.jobs.call import Call
from afterthought.domain.jobs.schedule import OUTCOME_UNKNOWN_WAIT, SWEEPS_BEFORE_FAILURE
from tests.simulator.laws import broken
from tests.simulator.provider import Plan
from tests.simulator.runs import failure_code
from tests.simulator.world import World, question
from tests.sweep.journeys import EVE, RETIRING


def lost_call(**ours: object) -> tuple[World, str]:
    """A world with events in which a call's answer was lost; its generation thinks for 8 seconds."""
    world = World(events=True)
    world.provider.plan = Plan(answers=["lost after"])
    body = question()
    body["afterthought"] |= ours
    job_id = world.submit(body).job.id
    world.step(job_id)
    assert world.job(job_id).called_attempt.state == "outcome_unknown"
    return world, job_id


@pytest.mark.parametrize(("answer", "retry_after"), [("busy", 3600.0), ("no money", None)])
def test_a_cancel_during_a_call_that_is_refused_for_now_does_not_wait_for_the_next_try(
    answer: str, retry_after: float | None
) -> None:
    world = World()
    world.provider.plan = Plan(answer=answer, retry_after_seconds=retry_after)  # type: ignore[arg-type]
    job_id = world.submit().job.id
    calls = len(world.line.calls)
    for number in range(calls, calls + 12):
        world.line.meanwhile[number] = partial(_cancel_while_submitting, world, job_id)
    world.run_for(seconds=30)
    job = world.job(job_id)
    assert job.status == "cancelled"
    assert job.held_usd == job.spent_usd == 0
    world.run()
    assert broken(world) == []


def _cancel_while_submitting(world: World, job_id: str) -> None:
    attempt = world.job(job_id).open_attempt
    if attempt is not None and attempt.state == "calling" and world.job(job_id).cancel_requested_at is None:
        world.cancel(job_id)


def test_a_second_cancel_ends_what_has_gone_back_to_the_queue() -> None:
    world = World()
    job = world.submit().job
    held = job.model_copy(update={"cancel_requested_at": world.clock(), "version": job.version})
    world.jobs.items[job.id] = held
    assert world.cancel(job.id).status == "cancelled"


def test_a_providers_own_words_are_not_taken_for_our_deadline() -> None:
    """A gateway's 504 may carry the code `deadline_exceeded`."""
    world = World(events=True)
    job_id = world.submit().job.id
    call = world.runner.start(job_id)
    assert isinstance(call, Call)
    world.runner.record_result(call, OutcomeUnknown("504", code="deadline_exceeded"))
    assert world.job(job_id).called_attempt.state == "outcome_unknown"


def test_a_job_whose_queue_nobody_serves_waits_until_its_deadline_and_no_longer() -> None:
    world = World()
    world.down.worker = True
    day, minute = (world.submit(question(webhook=False)).job.id for _ in range(2))
    short = world.job(minute)
    at = short.created_at + timedelta(minutes=1)
    world.jobs.items[minute] = short.model_copy(update={"deadline_at": at})
    world.run_for(minutes=6)
    assert failure_code(world.job(minute)) == "deadline_exceeded"
    world.run_for(hours=23)
    assert world.job(day).status == "queued"
    assert world.job(day).sweeps > SWEEPS_BEFORE_FAILURE / 2
    world.run_for(hours=2)
    assert failure_code(world.job(day)) == "deadline_exceeded"
    assert world.job(day).spent_usd == 0


def test_an_event_ahead_of_what_can_be_read_is_not_wasted() -> None:
    world, job_id = lost_call(on_unknown="retry")
    (run,) = world.provider.generations(job_id)
    world.provider.announcements = [(run.ends_at - timedelta(seconds=1), run.response_id)]
    world.run()
    job = world.job(job_id)
    assert (job.status, len(job.attempts)) == ("completed", 1)
    assert job.finished_at is not None
    assert job.finished_at - run.ends_at < timedelta(seconds=30)
    assert broken(world) == []


def test_an_event_ahead_of_its_response_wakes_a_job_that_waits_for_it_soon() -> None:
    world = World(events=True)
    job_id = world.submit().job.id
    world.step(job_id)
    (run,) = world.provider.generations(job_id)
    world.provider.announcements = [(run.ends_at - timedelta(seconds=1), run.response_id)]
    world.run_for(minutes=1)
    assert world.job(job_id).status == "completed"


def test_an_event_outlives_an_outage_of_its_provider_as_long_as_its_call_waits() -> None:
    world, job_id = lost_call(on_unknown="retry")
    world.provider.looks = ProviderBusy("out of reach")
    world.run_for(minutes=50)
    world.provider.looks = None
    world.run()
    job = world.job(job_id)
    assert (job.status, len(world.provider.generations(job_id))) == ("completed", 1)


def test_an_event_that_meets_the_end_of_the_wait_still_puts_the_cost_right() -> None:
    world, job_id = lost_call()
    (run,) = world.provider.generations(job_id)
    world.provider.announcements.clear()
    world.down.worker = world.down.sweeper = True
    world.run_for(hours=OUTCOME_UNKNOWN_WAIT.total_seconds() / 3600 + 0.1)
    # Calls of the wake: the retrieve, the job, the answer; then the end of the wait comes in between.
    world.line.meanwhile[len(world.line.calls) + 2] = partial(world.look, job_id)
    woken = world.event_handler.handle("standin", run.response_id)
    assert woken.step.outcome == "corrected"
    job = world.job(job_id)
    assert (failure_code(job), job.estimated) == ("outcome_unknown", False)
    assert job.spent_usd < job.attempts[0].hold_usd


def test_two_workers_on_a_retired_model_take_one_step() -> None:
    world = World()
    body = question(model="o3")
    body["afterthought"]["model_policy"] = "successor"
    job_id = world.submit(body).job.id
    openai = world.catalogue.providers["standin"].model_copy(update={"shutdown": {"o3": world.clock().date()}})
    gone = world.catalogue.model_copy(update={"providers": {**world.catalogue.providers, "standin": openai}})
    other = World(catalogue=gone)
    other.jobs.items[job_id] = world.job(job_id)
    other.jobs.history[job_id] = [world.job(job_id)]
    other.contents.items |= world.contents.items
    other.ledger.months |= world.ledger.months
    save = len(other.line.calls) + 4
    for number in range(save, save + 3):
        other.line.meanwhile[number] = partial(other.look, job_id)
    other.step(job_id)
    states = [entry.state for entry in other.job(job_id).attempts]
    assert states.count("voided") == 1
    assert len(states) == 2


def test_a_cancel_that_a_busy_provider_does_not_take_is_sent_again_soon() -> None:
    world = World()
    job_id = world.submit(question("max", model="gpt-5.6-sol")).job.id
    world.run_for(minutes=50)
    assert world.job(job_id).called_attempt.polls > 8
    world.cancel(job_id)
    world.provider.looks = ProviderBusy("busy")
    world.run_for(seconds=20)
    world.provider.looks = None
    world.run_for(seconds=60)
    assert world.job(job_id).status == "cancelled"


def test_what_a_cancel_could_not_stop_in_time_is_stopped_at_the_late_look() -> None:
    world = World()
    world.provider.plan = Plan(endings=["never"])
    job_id = world.submit(question("max", model="gpt-5.6-sol")).job.id
    world.run_for(minutes=5)
    world.cancel(job_id)
    world.provider.looks = ProviderBusy("busy")
    world.run_for(minutes=15)
    assert world.job(job_id).status == "cancelled"
    world.provider.looks = None
    world.run()
    assert all(run.cancelled for run in world.provider.generations(job_id))


def test_a_lost_call_is_repeated_once_whichever_model_repeats_it() -> None:
    """The model retires between the two, so the repeat is its successor's."""
    world = World(catalogue=RETIRING, start=EVE)
    world.provider.plan = Plan(answers=["lost after"] * 4)
    body = question()
    body["afterthought"] |= {"on_unknown": "retry", "model_policy": "successor"}
    job_id = world.submit(body).job.id
    world.run_for(minutes=10)
    world.run()
    assert len(world.provider.generations(job_id)) == 2
    assert failure_code(world.job(job_id)) == "outcome_unknown"
    assert broken(world) == []


def test_a_near_deadline_is_met_to_the_second_where_the_provider_announces() -> None:
    world = World(events=True)
    world.provider.plan = Plan(endings=["never"])
    body = question()
    body["afterthought"]["deadline_seconds"] = 120
    job = world.submit(body).job
    world.run_until(lambda: world.job(job.id).terminal, timedelta(hours=1))
    ended = world.job(job.id)
    assert failure_code(ended) == "deadline_exceeded"
    assert ended.finished_at is not None
    assert timedelta() <= ended.finished_at - job.deadline_at < timedelta(seconds=2)
