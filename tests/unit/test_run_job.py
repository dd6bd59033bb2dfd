"""A step of a job: what the provider receives, and how each of its answers is handled."""

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
from tests.simulator.calls import Fault
from tests.simulator.provider import Answer, Ending, ProviderPlan
from tests.simulator.runs import run_without_faults
from tests.simulator.world import World, a_request


@pytest.fixture
def world() -> World:
    return World()


def started(world: World, body: dict[str, Any] | None = None, **options: Any) -> str:
    job_id = world.submit(body, **options).job.id
    assert world.step(job_id).outcome == "moved"
    return job_id


def after_one_hour(world: World, ending: Ending = "completed") -> Job:
    world.provider.plan = ProviderPlan(endings=[ending])
    job_id = started(world)
    world.clock.pass_by(3600)
    assert world.step(job_id).ended == world.job(job_id)
    return world.job(job_id)


def with_fields(runner: JobRunner, **fields: Any) -> JobRunner:
    return type(runner)(**{**vars(runner), **fields})


def test_provider_gets_request_with_our_metadata(world: World) -> None:
    job_id = started(world, a_request("high", instructions="Be brief.", max_output_tokens=5000))
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


def test_provider_gets_no_private_fields(world: World) -> None:
    started(world, a_request(metadata={"patient": "Ada"}, user="ada@example.com", safety_identifier="number-17"))
    (run,) = world.provider.runs.values()
    request = repr(run.request)
    for secret in ("Ada", "patient", "ada@", "number-17", "hooks.example.com", "acme"):
        assert secret not in request


def test_cache_keys_are_separate_per_tenant(world: World) -> None:
    for tenant in ("acme", "globex", "acme"):
        started(world, a_request(prompt_cache_key="shared"), tenant=tenant)
    first, second, third = (run.request["prompt_cache_key"] for run in world.provider.runs.values())
    assert first == third != second
    assert first != "shared"


def test_default_cache_keys_are_separate_per_tenant(world: World) -> None:
    for tenant in ("acme", "globex", "acme"):
        started(world, tenant=tenant)
    first, second, third = (run.request["prompt_cache_key"] for run in world.provider.runs.values())
    assert first == third != second


def test_failed_poll_at_deadline_keeps_the_answer(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by((world.job(job_id).deadline_at - world.clock()).total_seconds())
    world.provider.poll_error = ProviderBusy("the provider could not be reached")
    assert world.step(job_id).ended is None
    assert world.job(job_id).next_step_at - world.clock() <= timedelta(minutes=1)
    world.provider.poll_error = None
    world.run()
    assert world.job(job_id).status == "completed"


def test_unreachable_provider_ends_job_after_deadline(world: World) -> None:
    job_id = started(world)
    world.provider.poll_error = ProviderBusy("the provider could not be reached")
    world.run()
    job = world.job(job_id)
    assert job.failure is not None
    assert job.failure.code == "deadline_exceeded"
    assert job.finished_at is not None
    assert timedelta(minutes=10) <= job.finished_at - job.deadline_at < timedelta(minutes=15)


def test_unsent_message_is_reported(world: World) -> None:
    job_id = world.submit().job.id
    world.calls.faults = {run_without_faults().calls.index_of("worker", "queue.send"): Fault.TIMEOUT_BEFORE}
    step = world.step(job_id)
    assert (step.outcome, step.enqueued) == ("moved", False)
    world.run()
    assert world.job(job_id).status == "completed"


def test_every_attempt_has_its_own_token(world: World) -> None:
    tokens = {world.job(started(world)).called_attempt.token for _ in range(20)}
    assert len(tokens) == 20


def test_attempt_is_recorded_before_the_call(world: World) -> None:
    started(world)
    (run,) = world.provider.runs.values()
    assert run.attempt_recorded
    names = [call.name for call in world.calls.recorded if call.process == "worker"]
    assert names.index("jobs.save") < names.index("provider.create")


def test_first_poll_depends_on_effort(world: World) -> None:
    job_id = started(world, a_request("high"))
    job = world.job(job_id)
    assert job.called_attempt.submitted_at is not None
    assert job.next_step_at == job.called_attempt.submitted_at + timedelta(seconds=poll_seconds("high", 0))


def test_poll_intervals_grow(world: World) -> None:
    world.provider.plan = ProviderPlan(endings=["never"])
    job_id = world.submit(a_request("high")).job.id
    world.run_for(hours=2)
    polls = [version.next_step_at for version in world.jobs.history[job_id] if version.open_attempt]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(polls[1:])]
    assert all(later >= earlier - 1 for earlier, later in pairwise(gaps))
    assert max(gaps) < 545


def test_running_job_costs_only_its_polls(world: World) -> None:
    """A poll makes a few calls; no other calls are made."""
    world.submit(a_request("xhigh", model="gpt-5.2"))
    world.run()
    polls = [call.name for call in world.calls.recorded if call.process == "worker"].count("provider.retrieve")
    assert polls <= 12
    assert len(world.calls.recorded) < 12 + 4 * polls + 15


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        ("completed", "completed", None),
        ("incomplete", "incomplete", None),
        ("cancelled", "cancelled", None),
        ("failed", "failed", "server_error"),
        ("gone", "failed", "generation_gone"),
        ("other token", "failed", "internal_error"),
    ],
)
def test_end_of_the_run_ends_the_job(world: World, ending: Ending, status: str, code: str | None) -> None:
    job = after_one_hour(world, ending)
    assert (job.status, job.failure.code if job.failure else None) == (status, code)


def test_response_of_another_attempt_is_not_used(world: World) -> None:
    job = after_one_hour(world, "other token")
    assert world.reader.read("acme", job.id)["output"] == []
    assert job.attempt is not None
    assert job.attempt.usage is None
    assert (job.attempt.estimated, job.attempt.cost_usd) == (True, job.attempt.hold_usd)


def test_incomplete_answer_has_reason_and_cost(world: World) -> None:
    job = after_one_hour(world, "incomplete")
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
def test_every_answer_to_the_call_is_handled(
    world: World, answer: Answer, status: str, code: str | None, state: str
) -> None:
    world.provider.plan = ProviderPlan(answers=[answer])
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
def test_failed_poll_is_repeated(world: World, error: ProviderError) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    world.provider.poll_error = error
    assert world.step(job_id).outcome == "moved"
    job = world.job(job_id)
    assert (job.status, job.called_attempt.polls) == ("in_progress", 1)
    world.provider.poll_error = None
    world.run()
    assert world.job(job_id).status == "completed"


def test_poll_respects_retry_after(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    world.provider.poll_error = ProviderBusy("too many requests", retry_after_seconds=200)
    world.step(job_id)
    assert world.job(job_id).next_step_at - world.clock() > timedelta(seconds=199)


def test_unknown_response_id_ends_the_job(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    world.provider.poll_error = GenerationGone("no such response")
    assert world.step(job_id).ended is not None
    assert world.job(job_id).failure is not None


@pytest.mark.parametrize(
    ("seconds_early", "outcome"), [(0, "moved"), (0.9, "moved"), (1.1, "not_due"), (60, "not_due")]
)
def test_message_one_second_early_is_accepted(world: World, seconds_early: float, outcome: str) -> None:
    job_id = started(world, a_request("xhigh", model="gpt-5.2"))
    world.clock.move_to(world.job(job_id).next_step_at - timedelta(seconds=seconds_early))
    assert world.step(job_id).outcome == outcome


def test_model_no_longer_served_ends_queued_job(world: World) -> None:
    job_id = world.submit().job.id
    step = with_fields(world.runner, providers=()).run(job_id)
    assert step.ended is not None
    assert step.ended.failure is not None
    assert step.ended.failure.code == "model_not_found"
    assert world.provider.creates == 0


def test_removed_provider_ends_running_job(world: World) -> None:
    job_id = started(world)
    world.clock.pass_by(60)
    catalogue = world.runner.catalogue.model_copy(update={"providers": {}})
    step = with_fields(world.runner, catalogue=catalogue).run(job_id)
    assert step.ended is not None
    assert world.job(job_id).status == "failed"


def test_early_message_sends_no_further_message(world: World) -> None:
    job_id = started(world)
    world.job_messages.messages.clear()
    assert world.step(job_id).outcome == "not_due"
    assert world.job_messages.messages == []


def test_ended_job_gets_no_further_message(world: World) -> None:
    job_id = started(world)
    world.job_messages.messages.clear()
    world.clock.pass_by(3600)
    world.step(job_id)
    assert world.job_messages.messages == []


class JobsWithBusyLedger:
    """The job table, but every write that changes money fails with TablesBusy."""

    def __init__(self, world: World) -> None:
        self._jobs = world.jobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def save(self, before: Job, after: Job, caps: Caps = NO_CAPS) -> None:
        if delta(before, after):
            raise TablesBusy("busy")
        self._jobs.save(before, after, caps)


def test_refusal_is_stored_when_ledger_is_busy(world: World) -> None:
    """An attempt left in `calling` would later cost its hold, although no call ran."""
    world.provider.plan = ProviderPlan(answers=["refuses", "refuses"])
    job_id = world.submit().job.id
    busy = JobsWithBusyLedger(world)
    step = with_fields(world.runner, jobs=busy, recorder=replace(world.runner.recorder, jobs=busy)).run(job_id)
    assert step.after is not None
    assert [attempt.state for attempt in step.after.attempts] == ["pending"]
    world.run()
    job = world.job(job_id)
    assert job.status == "failed"
    assert job.spent_usd == job.held_usd == Decimal(0)


def test_correction_survives_concurrent_publish(world: World) -> None:
    world.provider.plan.endings.append("late usage")
    world.down.notifier = True
    job_id = world.submit().job.id
    world.run_until(lambda: world.job(job_id).terminal, timedelta(hours=1))
    assert world.job(job_id).estimated
    world.down.worker = world.down.sweeper = True
    world.run_for(hours=1)
    # The step calls jobs.get, secret.get, provider.retrieve, jobs.save. The publish is before the fourth.
    world.calls.before_call[len(world.calls.recorded) + 3] = lambda: world.jobs.mark_published(job_id)
    step = world.step(job_id)
    assert step.outcome == "corrected"
    assert not world.job(job_id).estimated
    assert world.job(job_id).overdue_at is None
