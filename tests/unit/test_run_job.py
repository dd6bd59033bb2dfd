"""A step of a job: what the provider sees, and what comes of each of its answers."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from afterthought.domain.errors import (
    GenerationGone,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    TablesBusy,
)
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import poll_seconds
from afterthought.domain.ledger.budget import NO_CAPS, Caps
from afterthought.domain.ledger.ledger import delta
from afterthought.services.run.run_job import JobRunner
from tests.simulator.line import Fault
from tests.simulator.provider import Answer, Ending, Plan
from tests.simulator.runs import plain
from tests.simulator.world import World, question


@pytest.fixture
def world() -> World:
    return World()


def started(world: World, body: dict[str, Any] | None = None, **more: Any) -> str:
    job_id = world.submit(body, **more).job.id
    assert world.step(job_id).outcome == "moved"
    return job_id


def after_thinking(world: World, ending: Ending = "completed") -> Job:
    world.provider.plan = Plan(endings=[ending])
    job_id = started(world)
    world.clock.pass_by(3600)
    assert world.step(job_id).ended == world.job(job_id)
    return world.job(job_id)


def changed(advance: JobRunner, **fields: Any) -> JobRunner:
    return type(advance)(**{**vars(advance), **fields})


def test_the_provider_gets_the_callers_request_in_the_background_with_our_metadata(world: World) -> None:
    job_id = started(world, question("high", instructions="Be brief.", max_output_tokens=5000))
    (run,) = world.provider.runs.values()
    assert {name: value for name, value in run.request.items() if name != "prompt_cache_key"} == {
        "model": "o3",
        "input": "What is 17 times 23?",
        "instructions": "Be brief.",
        "reasoning": {"effort": "high"},
        "max_output_tokens": 5000,
        "service_tier": "default",
        "background": True,
        "store": True,
        "metadata": {
            "afterthought_job": job_id,
            "afterthought_attempt": "1",
            "afterthought_token": world.job(job_id).called_attempt.token,
        },
    }


def test_the_provider_sees_nothing_that_is_the_callers_alone(world: World) -> None:
    started(world, question(metadata={"patient": "Ada"}, user="ada@example.com", safety_identifier="number-17"))
    (run,) = world.provider.runs.values()
    seen = repr(run.request)
    for secret in ("Ada", "patient", "ada@", "number-17", "hooks.example.com", "acme"):
        assert secret not in seen


def test_two_tenants_equal_cache_keys_never_meet(world: World) -> None:
    for tenant in ("acme", "globex", "acme"):
        started(world, question(prompt_cache_key="shared"), tenant=tenant)
    first, second, third = (run.request["prompt_cache_key"] for run in world.provider.runs.values())
    assert first == third != second
    assert first != "shared"


def test_two_tenants_without_a_cache_key_never_meet_either(world: World) -> None:
    for tenant in ("acme", "globex", "acme"):
        started(world, tenant=tenant)
    first, second, third = (run.request["prompt_cache_key"] for run in world.provider.runs.values())
    assert first == third != second


def test_one_failed_look_at_the_deadline_does_not_throw_a_paid_answer_away(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by((world.job(job_id).deadline_at - world.clock()).total_seconds())
    world.provider.looks = ProviderBusy("the provider could not be reached")
    assert world.step(job_id).ended is None
    assert world.job(job_id).next_step_at - world.clock() <= timedelta(minutes=1)
    world.provider.looks = None
    world.run()
    assert world.job(job_id).status == "completed"


def test_a_provider_that_stays_away_past_the_deadline_does_not_keep_the_job(world: World) -> None:
    job_id = started(world)
    world.provider.looks = ProviderBusy("the provider could not be reached")
    world.run()
    job = world.job(job_id)
    assert job.failure is not None
    assert job.failure.code == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta(minutes=10) <= job.finished_at - job.deadline_at < timedelta(minutes=15)


def test_a_next_message_that_was_not_sent_is_told(world: World) -> None:
    job_id = world.submit().job.id
    world.line.faults = {plain().line.place("worker", "queue.send"): Fault.FAILS_BEFORE}
    step = world.step(job_id)
    assert (step.outcome, step.enqueued) == ("moved", False)
    world.run()
    assert world.job(job_id).status == "completed"


def test_every_attempt_has_a_token_of_its_own(world: World) -> None:
    tokens = {world.job(started(world)).called_attempt.token for _ in range(20)}
    assert len(tokens) == 20


def test_the_ledger_entry_stands_before_the_call(world: World) -> None:
    started(world)
    (run,) = world.provider.runs.values()
    assert run.ledgered
    names = [call.name for call in world.line.calls if call.process == "worker"]
    assert names.index("jobs.save") < names.index("provider.create")


def test_a_taken_call_is_looked_at_after_the_time_its_effort_takes(world: World) -> None:
    job_id = started(world, question("high"))
    job = world.job(job_id)
    assert job.called_attempt.submitted_at is not None
    assert job.next_step_at == job.called_attempt.submitted_at + timedelta(seconds=poll_seconds("high", 0))


def test_a_thinking_model_is_looked_at_at_growing_intervals(world: World) -> None:
    world.provider.plan = Plan(endings=["never"])
    job_id = world.submit(question("high")).job.id
    world.run_for(hours=2)
    looks = [version.next_step_at for version in world.jobs.history[job_id] if version.open_attempt]
    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(looks[1:])]
    assert all(later >= sooner - 1 for sooner, later in pairwise(gaps))
    assert max(gaps) < 545


def test_while_a_model_thinks_nothing_runs_for_the_job(world: World) -> None:
    """But the looks themselves, each a few calls."""
    world.submit(question("xhigh", model="gpt-5.2"))
    world.run()
    per_look = [call.name for call in world.line.calls if call.process == "worker"].count("provider.retrieve")
    assert per_look <= 12
    assert len(world.line.calls) < 12 + 4 * per_look + 15


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        ("completed", "completed", None),
        ("incomplete", "incomplete", None),
        ("cancelled", "cancelled", None),
        ("failed", "failed", "server_error"),
        ("gone", "failed", "generation_gone"),
        ("foreign", "failed", "internal_error"),
    ],
)
def test_every_end_of_a_generation_is_an_end_of_the_job(
    world: World, ending: Ending, status: str, code: str | None
) -> None:
    job = after_thinking(world, ending)
    assert (job.status, job.failure.code if job.failure else None) == (status, code)


def test_another_generations_answer_is_neither_shown_nor_booked(world: World) -> None:
    job = after_thinking(world, "foreign")
    assert world.reader.read("acme", job.id)["output"] == []
    assert job.attempt is not None
    assert job.attempt.usage is None
    assert (job.attempt.estimated, job.attempt.cost_usd) == (True, job.attempt.hold_usd)


def test_an_incomplete_answer_says_why_and_is_billed(world: World) -> None:
    job = after_thinking(world, "incomplete")
    assert job.incomplete_reason == "max_output_tokens"
    assert job.attempt is not None
    assert job.attempt.cost_usd


@pytest.mark.parametrize(
    ("answer", "status", "code", "state"),
    [
        ("busy", "queued", None, "pending"),
        ("refuses", "failed", "invalid_prompt", "refused"),
        ("lost before", "failed", "outcome_unknown", "settled"),
        ("lost after", "failed", "outcome_unknown", "settled"),
    ],
)
def test_every_answer_to_the_paid_call_has_its_end(
    world: World, answer: Answer, status: str, code: str | None, state: str
) -> None:
    world.provider.plan = Plan(answers=[answer])
    job = world.job(started(world))
    assert job.attempt is not None
    assert (job.status, job.failure.code if job.failure else None, job.attempt.state) == (status, code, state)


@pytest.mark.parametrize(
    "error",
    [
        ProviderBusy("too many requests"),
        ProviderRefused("bad credentials", code="invalid_api_key"),
        OutcomeUnknown("500"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_look_that_fails_is_taken_again(world: World, error: ProviderError) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    world.provider.looks = error
    assert world.step(job_id).outcome == "moved"
    job = world.job(job_id)
    assert (job.status, job.called_attempt.polls) == ("in_progress", 1)
    world.provider.looks = None
    world.run()
    assert world.job(job_id).status == "completed"


def test_a_look_is_not_taken_sooner_than_the_provider_asks(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    world.provider.looks = ProviderBusy("too many requests", retry_after_seconds=200)
    world.step(job_id)
    assert world.job(job_id).next_step_at - world.clock() > timedelta(seconds=199)


def test_an_id_that_the_provider_knows_no_more_ends_the_job(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    world.provider.looks = GenerationGone("no such response")
    assert world.step(job_id).ended is not None
    assert world.job(job_id).failure is not None


@pytest.mark.parametrize(
    ("seconds_early", "outcome"), [(0, "moved"), (0.9, "moved"), (1.1, "not_due"), (60, "not_due")]
)
def test_a_message_a_second_early_is_not_too_early(world: World, seconds_early: float, outcome: str) -> None:
    job_id = started(world, question("xhigh", model="gpt-5.2"))
    world.clock.move_to(world.job(job_id).next_step_at - timedelta(seconds=seconds_early))
    assert world.step(job_id).outcome == outcome


def test_a_model_withdrawn_while_the_job_waited_ends_it(world: World) -> None:
    job_id = world.submit().job.id
    nobody = changed(world.runner, providers=())
    step = nobody.run(job_id)
    assert step.ended is not None
    assert step.ended.failure is not None
    assert step.ended.failure.code == "model_not_found"
    assert world.provider.creates == 0


def test_a_provider_withdrawn_while_the_model_thought_ends_the_job(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    catalogue = world.runner.catalogue.model_copy(update={"providers": {}})
    step = changed(world.runner, catalogue=catalogue).run(job_id)
    assert step.ended is not None
    assert world.job(job_id).status == "failed"


def test_only_a_step_that_moved_the_job_sends_its_next_message(world: World) -> None:
    job_id = started(world)
    world.job_messages.messages.clear()
    assert world.step(job_id).outcome == "not_due"
    assert world.job_messages.messages == []


def test_an_ended_job_gets_no_further_message(world: World) -> None:
    job_id = started(world)
    world.job_messages.messages.clear()
    world.clock.pass_by(3600)
    world.step(job_id)
    assert world.job_messages.messages == []


class BusyBooks:
    """A ledger whose books are always somebody else's: whatever moves money does not go through."""

    def __init__(self, world: World) -> None:
        self._jobs = world.jobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        if delta(before, after):
            raise TablesBusy("busy")
        self._jobs.save(before, after, caps)


def test_a_refusal_that_cannot_be_booked_is_no_call_that_nobody_knows_of(world: World) -> None:
    """Left in the ledger as under way, it would cost its hold though nothing ran."""
    world.provider.plan = Plan(answers=["refuses", "refuses"])
    job_id = world.submit().job.id
    busy = BusyBooks(world)
    step = changed(world.runner, jobs=busy, recorder=replace(world.runner.recorder, jobs=busy)).run(job_id)
    assert step.after is not None
    assert [entry.state for entry in step.after.attempts] == ["pending"]
    world.run()
    job = world.job(job_id)
    assert job.status == "failed"
    assert job.spent_usd == job.held_usd == Decimal(0)


def test_a_correction_that_meets_the_announcement_is_made_all_the_same(world: World) -> None:
    world.provider.plan.endings.append("late usage")
    world.down.notifier = True
    job_id = world.submit().job.id
    world.run_until(lambda: world.job(job_id).terminal, timedelta(hours=1))
    assert world.job(job_id).estimated
    world.down.worker = world.down.sweeper = True
    world.run_for(hours=1)
    # The calls of the step: the job, the look, the save.
    world.line.meanwhile[len(world.line.calls) + 2] = lambda: world.jobs.mark_published(job_id)
    step = world.step(job_id)
    assert step.outcome == "corrected"
    assert not world.job(job_id).estimated
    assert world.job(job_id).overdue_at is None
