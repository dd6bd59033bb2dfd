"""What a call resulted in, and the job afterwards: tables of results, states and policies."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from afterthought.catalogue import default_catalogue
from afterthought.domain.errors import CallAbandoned, GenerationGone, OutcomeUnknown, ProviderBusy, ProviderRefused
from afterthought.domain.jobs.attempt import CallSpec
from afterthought.domain.jobs.call import JOB, TOKEN
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.outcome import (
    Accepted,
    Busy,
    Ended,
    Failed,
    Outcome,
    Policy,
    Refused,
    Retired,
    Running,
    Unknown,
    Unresolved,
    Unwanted,
    apply,
    fallback_reason,
    outcome_of_call,
    outcome_of_event,
    outcome_of_poll,
)
from afterthought.domain.jobs.schedule import OUTCOME_UNKNOWN_WAIT, busy_seconds, fallback_poll_seconds, poll_seconds
from afterthought.domain.models.pricing import Usage
from tests.simulator.clock import START
from tests.simulator.examples import a_job

CALLING = a_job().start_call(token="t", provider="p", now=START)
RUNNING = CALLING.mark_running(response_id="r", now=START, poll_seconds=5)
UNKNOWN = CALLING.mark_outcome_unknown(now=START, wait=OUTCOME_UNKNOWN_WAIT)
CANCEL_REQUESTED = RUNNING.request_cancel(now=START)
DEADLINE = CALLING.deadline_at
GRACE = timedelta(minutes=10)
MODEL = default_catalogue().find("o3")
USAGE = Usage(input_tokens=10, output_tokens=20)
FALLBACK = CallSpec("gpt-5.6-sol", "high", None, Decimal("0.1"), "model_not_found")


def generation(status: Any = "completed", **changes: Any) -> Generation:
    metadata = {JOB: CALLING.id, TOKEN: "t"}
    return Generation(**{"response_id": "r", "status": status, "metadata": metadata, "usage": USAGE, **changes})


STARVED = generation("incomplete", incomplete_reason="max_output_tokens")
ENDED = generation()
RATE_LIMITED = generation("failed", usage=None, error_code="rate_limit_exceeded")
MODEL_GONE = generation("failed", usage=None, error_code="model_not_found", error_message="gone")
STILL_RUNNING = generation("in_progress", usage=None)


# ---- classify --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (STILL_RUNNING, Accepted("r")),
        (ENDED, Ended(ENDED)),
        (RATE_LIMITED, Busy("rate_limit_exceeded")),
        (MODEL_GONE, Refused("model_not_found", "gone")),
        (ProviderBusy("busy", code="slow_down", retry_after_seconds=7), Busy("slow_down", 7)),
        (ProviderRefused("no", code="invalid_prompt"), Refused("invalid_prompt", "no")),
        (ProviderRefused("no"), Refused("server_error", "no")),
        (CallAbandoned("cancelled"), Unwanted()),
        (OutcomeUnknown("504", code="deadline_exceeded"), Unknown("504")),
    ],
)
def test_outcome_of_call(result: Any, outcome: Outcome) -> None:
    assert outcome_of_call(CALLING, result, START) == outcome


FAILED_WITH_USAGE = generation("failed", error_code="rate_limit_exceeded")
GONE = GenerationGone("no such response")
BUSY = ProviderBusy("busy")


@pytest.mark.parametrize(
    ("job", "now", "result", "outcome"),
    [
        (RUNNING, START, ENDED, Ended(ENDED)),
        (RUNNING, START, STILL_RUNNING, Running()),
        (RUNNING, START, BUSY, Running(BUSY)),
        (RUNNING, START, RATE_LIMITED, Busy("rate_limit_exceeded")),
        (RUNNING, START, FAILED_WITH_USAGE, Ended(FAILED_WITH_USAGE)),
        (RUNNING, START, GONE, Failed("generation_gone", "no such response")),
        (
            RUNNING,
            START,
            generation(metadata={}),
            Failed("internal_error", "The provider returned the response of another call."),
        ),
        (RUNNING, DEADLINE, BUSY, Running(BUSY)),
        (RUNNING, DEADLINE + GRACE, BUSY, Unwanted()),
        (RUNNING, DEADLINE + GRACE, STILL_RUNNING, Unwanted()),
        (RUNNING, DEADLINE + GRACE, ENDED, Ended(ENDED)),
        (CANCEL_REQUESTED, START + GRACE, STILL_RUNNING, Unwanted()),
    ],
)
def test_outcome_of_poll(job: Job, now: datetime, result: Any, outcome: Outcome) -> None:
    assert outcome_of_poll(job, job.called_attempt, result, now) == outcome


@pytest.mark.parametrize(
    ("job", "result", "outcome"),
    [
        (RUNNING, ENDED, Ended(ENDED)),
        (RUNNING, STILL_RUNNING, Running(ending=True)),
        (CALLING, STILL_RUNNING, Accepted("r", ending=True)),
        (UNKNOWN, STILL_RUNNING, Accepted("r", ending=True)),
    ],
)
def test_outcome_of_event(job: Job, result: Generation, outcome: Outcome) -> None:
    assert outcome_of_event(job, job.called_attempt, result, START) == outcome


def test_run_cancelled_at_the_deadline_failed() -> None:
    cancelled = generation("cancelled")
    outcome = outcome_of_poll(RUNNING, RUNNING.called_attempt, cancelled, DEADLINE)
    assert isinstance(outcome, Ended)
    assert outcome.failure is not None
    assert outcome.failure.code == "deadline_exceeded"
    requested = CANCEL_REQUESTED
    assert outcome_of_poll(requested, requested.called_attempt, cancelled, DEADLINE) == Ended(cancelled)


# ---- apply -----------------------------------------------------------------------------------------------------------

EVENTS = Policy(sends_events=True, model=MODEL)
POLLS = Policy(model=MODEL)


@pytest.mark.parametrize(
    ("job", "outcome", "policy", "status", "state", "code"),
    [
        (CALLING, Accepted("r"), POLLS, "in_progress", "running", None),
        (UNKNOWN, Accepted("r"), EVENTS, "in_progress", "running", None),
        (RUNNING, Running(), POLLS, "in_progress", "running", None),
        (CALLING, Ended(ENDED), POLLS, "completed", "settled", None),
        (CALLING, Busy("slow_down"), POLLS, "queued", "pending", None),
        (RUNNING, Busy("slow_down"), POLLS, "queued", "pending", None),
        (UNKNOWN, Busy("rate_limit_exceeded"), EVENTS, "queued", "pending", None),
        (UNKNOWN, Refused("model_not_found", "gone"), EVENTS, "failed", "refused", "model_not_found"),
        (CALLING, Refused("invalid_prompt", "no"), POLLS, "failed", "refused", "invalid_prompt"),
        (a_job(), Retired(), POLLS, "failed", "voided", "model_not_found"),
        (CALLING, Unknown("504"), EVENTS, "in_progress", "outcome_unknown", None),
        (CALLING, Unknown("504"), POLLS, "failed", "settled", "outcome_unknown"),
        (UNKNOWN, Unresolved("none"), EVENTS, "failed", "settled", "outcome_unknown"),
        (RUNNING, Failed("generation_gone", "gone"), POLLS, "failed", "settled", "generation_gone"),
        (RUNNING, Unwanted(), POLLS, "failed", "settled", "deadline_exceeded"),
        (CANCEL_REQUESTED, Unwanted(), POLLS, "cancelled", "settled", None),
        (UNKNOWN.request_cancel(now=START), Unresolved("none"), EVENTS, "cancelled", "settled", None),
    ],
)
def test_apply(job: Job, outcome: Outcome, policy: Policy, status: str, state: str, code: str | None) -> None:
    after = apply(job, outcome, policy, START)
    assert after.attempt is not None
    assert (after.status, after.attempt.state) == (status, state)
    assert (after.failure.code if after.failure else None) == code


def test_direct_call_cannot_be_resolved_by_an_event() -> None:
    direct = CALLING.model_copy(update={"mode": "direct"})
    assert apply(direct, Unknown("504"), EVENTS, START).status == "failed"


@pytest.mark.parametrize(
    "outcome",
    [Refused("model_not_found", "gone"), Unresolved("none"), Ended(STARVED)],
    ids=lambda each: type(each).__name__,
)
def test_fallback_continues_the_job(outcome: Outcome) -> None:
    after = apply(CALLING, outcome, POLLS, START, FALLBACK)
    assert (after.status, len(after.attempts)) == ("queued", 2)
    assert after.attempts[1].model == "gpt-5.6-sol"


@pytest.mark.parametrize(
    ("job", "outcome", "policy", "seconds"),
    [
        (CALLING, Accepted("r"), POLLS, poll_seconds("high", 0)),
        (CALLING, Accepted("r"), EVENTS, fallback_poll_seconds("high", 0)),
        (CALLING, Accepted("r", ending=True), EVENTS, 1),
        (RUNNING, Running(), POLLS, poll_seconds("high", 1)),
        (RUNNING, Running(), EVENTS, fallback_poll_seconds("high", 1)),
        (RUNNING, Running(BUSY), EVENTS, poll_seconds("high", 1)),
        (RUNNING, Running(ProviderBusy("busy", retry_after_seconds=200)), POLLS, 200),
        (RUNNING, Running(ending=True), EVENTS, 1),
        (CANCEL_REQUESTED, Running(), EVENTS, 2),
        (CALLING, Busy(retry_after_seconds=30), POLLS, 30),
        (CALLING, Busy(), Policy(random=1), busy_seconds(0, None, 1)),
        (CALLING, Busy("insufficient_quota"), Policy(retry_at=START + timedelta(seconds=300.2)), 301),
        (CALLING, Unknown("504"), EVENTS, OUTCOME_UNKNOWN_WAIT.total_seconds()),
    ],
)
def test_wait_after_an_outcome(job: Job, outcome: Outcome, policy: Policy, seconds: float) -> None:
    assert apply(job, outcome, policy, START).next_step_at == START + timedelta(seconds=seconds)


# ---- fallbacks -------------------------------------------------------------------------------------------------------

NOT_FOUND = Refused("model_not_found", "gone")
SUCCESSOR = {"model_policy": "successor"}


@pytest.mark.parametrize(
    ("outcome", "allowed", "reason"),
    [
        (Retired(), SUCCESSOR, "model_retired"),
        (NOT_FOUND, SUCCESSOR, "model_not_found"),
        (Unresolved("none"), {"on_unknown": "retry"}, "outcome_unknown"),
        (Unknown("504"), {"on_unknown": "retry"}, "outcome_unknown"),
        (Ended(STARVED), {"on_starved": "retry"}, "reasoning_starved"),
    ],
)
def test_fallback_needs_the_owners_permission(outcome: Outcome, allowed: dict[str, str], reason: str) -> None:
    assert fallback_reason(CALLING, outcome, POLLS, START) is None
    job = CALLING.model_copy(update=allowed)
    assert fallback_reason(job, outcome, POLLS, START) == reason
    assert fallback_reason(job, outcome, POLLS, DEADLINE) is None
    cancelled = job.model_copy(update={"cancel_requested_at": START})
    assert fallback_reason(cancelled, outcome, POLLS, START) is None


@pytest.mark.parametrize(
    "outcome",
    [Accepted("r"), Running(), Ended(ENDED), Busy(), Refused("invalid_prompt", "no"), Failed("x", "y"), Unwanted()],
    ids=lambda each: type(each).__name__,
)
def test_no_fallback_after_other_outcomes(outcome: Outcome) -> None:
    job = RUNNING.model_copy(update={"on_unknown": "retry", "on_starved": "retry", **SUCCESSOR})
    assert fallback_reason(job, outcome, POLLS, START) is None


def test_unknown_outcome_may_still_be_resolved() -> None:
    job = CALLING.model_copy(update={"on_unknown": "retry"})
    assert fallback_reason(job, Unknown("504"), EVENTS, START) is None


@pytest.mark.parametrize("reason", ["outcome_unknown", "reasoning_starved"])
def test_one_fallback_for_each_reason(reason: Any) -> None:
    job = CALLING.model_copy(update={"on_unknown": "retry", "on_starved": "retry"})
    outcome: Outcome = Unresolved("none") if reason == "outcome_unknown" else Ended(STARVED)
    again = apply(job, outcome, POLLS, START, FALLBACK._replace(reason=reason))
    called = again.start_call(token="t2", provider="p", now=START)
    assert fallback_reason(called, outcome, POLLS, START) is None


def test_lost_call_is_repeated_once_by_any_model() -> None:
    """The repeat of a lost call has another reason when the model was retired meanwhile."""
    job = CALLING.model_copy(update={"on_unknown": "retry", **SUCCESSOR})
    repeated = apply(job, Unresolved("none"), POLLS, START, FALLBACK._replace(reason="model_retired"))
    called = repeated.start_call(token="t2", provider="p", now=START)
    assert fallback_reason(called, Unresolved("none"), POLLS, START) is None
