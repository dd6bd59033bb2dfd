"""The outcome of a call, and its effect on the job. Pure: `outcome_of_…` classify, `apply` decides.

To support a new kind of provider error, map it to a ProviderError class in `adapters/openai.py`. If no class fits, add
one to `domain/errors.py`, with an outcome and a case in `apply` here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from afterthought.domain.errors import (
    OUT_OF_FUNDS_CODES,
    CallAbandoned,
    GenerationGone,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
)
from afterthought.domain.jobs import schedule
from afterthought.domain.jobs.attempt import Attempt, AttemptReason, CallSpec
from afterthought.domain.jobs.call import belongs
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.settlement import settle
from afterthought.domain.jobs.status import Failure
from afterthought.domain.models.model import Model

MODEL_NOT_FOUND = "model_not_found"
_BUSY_CODES = OUT_OF_FUNDS_CODES | {"rate_limit_exceeded"}

_GRACE = timedelta(minutes=10)
"""How long polls may fail after the deadline before the job is given up: the run may have ended and be paid."""


class Accepted(NamedTuple):
    """The provider accepted the call. `ending`: an event says that the run has ended, but a read does not
    show it yet."""

    response_id: str
    ending: bool = False


class Running(NamedTuple):
    """The run has not ended, or the poll failed with `error`."""

    error: ProviderError | None = None
    ending: bool = False


class Ended(NamedTuple):
    """The run ended. A `failure` replaces the provider's own reason."""

    generation: Generation
    failure: Failure | None = None


class Busy(NamedTuple):
    """Refused for now; nothing ran."""

    code: str | None = None
    retry_after_seconds: float | None = None


class Refused(NamedTuple):
    """Refused for good; nothing ran."""

    code: str
    message: str


class Retired(NamedTuple):
    """No provider serves the model; nothing was called."""

    message: str = "No provider serves this model any more."


class Unknown(NamedTuple):
    """No answer came, and the call may have run. A provider event may still resolve it."""

    message: str


class Unresolved(NamedTuple):
    """As Unknown, but nothing will resolve it."""

    message: str


class Unwanted(NamedTuple):
    """The answer is no longer wanted: the job was cancelled or its deadline passed. The call may have run."""


class Failed(NamedTuple):
    """The result is not available or not usable. The call may have run."""

    code: str
    message: str


Outcome = Accepted | Running | Ended | Busy | Refused | Retired | Unknown | Unresolved | Unwanted | Failed


@dataclass(frozen=True)
class Policy:
    """What `apply` needs besides the job. `model` is the called model; `retry_at` is set while the circuit breaker is
    open; `random` is from 0 to 1."""

    sends_events: bool = False
    model: Model | None = None
    retry_at: datetime | None = None
    random: float = 0.0


# ---- classify --------------------------------------------------------------------------------------------------------


def outcome_of_call(job: Job, result: Generation | ProviderError, now: datetime) -> Outcome:
    match result:
        case Generation():
            return _outcome_of_run(job, result, now) if result.ended else Accepted(result.response_id)
        case ProviderBusy():
            return Busy(result.code, result.retry_after_seconds)
        case ProviderRefused():
            return Refused(result.code or "server_error", result.message)
        case CallAbandoned():
            return Unwanted()
        case _:
            return Unknown(result.message)


def outcome_of_poll(job: Job, attempt: Attempt, result: Generation | ProviderError, now: datetime) -> Outcome:
    """A poll costs nothing and can be repeated, so most errors only delay the next one."""
    if isinstance(result, GenerationGone):
        return Failed("generation_gone", result.message)
    if isinstance(result, Generation):
        if not belongs(result.metadata, job, attempt):
            return Failed("internal_error", "The provider returned the response of another call.")
        if result.ended:
            return _outcome_of_run(job, result, now)
    if now >= min(job.deadline_at, job.cancel_requested_at or job.deadline_at) + _GRACE:
        return Unwanted()
    return Running(result if isinstance(result, ProviderError) else None)


def outcome_of_event(job: Job, attempt: Attempt, generation: Generation, now: datetime) -> Outcome:
    """`generation` is what the provider returned after its event. A read may not show
    the end yet."""
    if generation.ended:
        return _outcome_of_run(job, generation, now)
    return Running(ending=True) if attempt.state == "running" else Accepted(generation.response_id, ending=True)


def _outcome_of_run(job: Job, generation: Generation, now: datetime) -> Outcome:
    if generation.status == "cancelled" and now >= job.deadline_at and job.cancel_requested_at is None:
        return Ended(generation, _DEADLINE_EXCEEDED)
    if generation.status == "failed" and generation.usage is None:
        # The provider accepted the call with HTTP 200 and refused it afterwards: nothing ran.
        if generation.error_code in _BUSY_CODES:
            return Busy(generation.error_code)
        if generation.error_code == MODEL_NOT_FOUND:
            return Refused(MODEL_NOT_FOUND, generation.error_message or "The model does not exist.")
    return Ended(generation)


# ---- decide ----------------------------------------------------------------------------------------------------------


def apply(job: Job, outcome: Outcome, policy: Policy, now: datetime, fallback: CallSpec | None = None) -> Job:
    """The job after the outcome. If that would end the job without an answer, `fallback` is called next."""
    match outcome:
        case Accepted(response_id, ending):
            seconds = _poll_seconds(job, policy, now, polls=0, ending=ending)
            return job.mark_running(response_id=response_id, poll_seconds=seconds, now=now)
        case Running(error, ending):
            polls = job.called_attempt.polls + 1
            seconds = _poll_seconds(job, policy, now, polls=polls, error=error, ending=ending)
            return job.record_poll(poll_seconds=seconds, now=now)
        case Ended(generation, failure):
            return settle(job, generation, policy.model, now=now, failure=failure, fallback=fallback)
        case Busy():
            return job.requeue(delay_seconds=_busy_seconds(job, outcome, policy, now), now=now)
        case Refused(code, message):
            return job.refuse(code, message, now=now, fallback=fallback)
        case Failed(code, message):
            return job.fail(code, message, now=now)
        case Retired(message):
            return job.fail(MODEL_NOT_FOUND, message, now=now, fallback=fallback)
        case _:
            return _without_answer(job, outcome, policy, now, fallback)


def _without_answer(
    job: Job, outcome: Unknown | Unresolved | Unwanted, policy: Policy, now: datetime, fallback: CallSpec | None
) -> Job:
    if isinstance(outcome, Unknown) and may_be_resolved(job, policy):
        return job.mark_outcome_unknown(wait=schedule.OUTCOME_UNKNOWN_WAIT, now=now)
    if job.cancel_requested_at is not None:
        return job.cancel(now=now)
    if isinstance(outcome, Unwanted):
        return job.fail(_DEADLINE_EXCEEDED.code, _DEADLINE_EXCEEDED.message, now=now)
    return job.fail("outcome_unknown", outcome.message, now=now, fallback=fallback)


def fallback_reason(job: Job, outcome: Outcome, policy: Policy, now: datetime) -> AttemptReason | None:
    """The reason for a further call after the outcome. None if the request does not allow one, the answer is no longer
    wanted, or a call was already made for that reason."""
    if job.cancel_requested_at is not None or now >= job.deadline_at:
        return None
    match outcome:
        case Retired():
            reason, allowed = _RETIRED, job.model_policy == "successor"
        case Refused(code, _):
            reason, allowed = _NOT_FOUND, code == MODEL_NOT_FOUND and job.model_policy == "successor"
        case Ended(generation, failure):
            once = all(each.reason != _STARVED for each in job.attempts)
            reason, allowed = _STARVED, once and failure is None and generation.starved and job.on_starved == "retry"
        case Unknown() | Unresolved():
            unresolved = isinstance(outcome, Unresolved) or not may_be_resolved(job, policy)
            # A repeat on a successor has the reason `model_retired`. The estimated cost of the lost call shows it.
            once = all(each.reason != _UNKNOWN for each in job.attempts) and not any(
                each.estimated and each.response_id is None for each in job.attempts
            )
            reason, allowed = _UNKNOWN, once and unresolved and job.on_unknown == "retry"
        case _:
            return None
    return reason if allowed else None


def may_be_resolved(job: Job, policy: Policy) -> bool:
    """Whether a provider event may still report the outcome of the call."""
    return job.mode == "background" and policy.sends_events


def _poll_seconds(
    job: Job, policy: Policy, now: datetime, *, polls: int, error: ProviderError | None = None, ending: bool = False
) -> int:
    if ending:
        return schedule.poll_seconds(None, 0)
    if polls and (job.cancel_requested_at is not None or now >= job.deadline_at):
        seconds = schedule.stop_seconds(now - (job.cancel_requested_at or job.deadline_at))
    elif policy.sends_events and error is None:
        seconds = schedule.fallback_poll_seconds(job.called_effort, polls)
    else:
        seconds = schedule.poll_seconds(job.called_effort, polls)
    if isinstance(error, ProviderBusy) and error.retry_after_seconds is not None:
        seconds = max(seconds, schedule.busy_seconds(0, error.retry_after_seconds))
    return seconds


def _busy_seconds(job: Job, outcome: Busy, policy: Policy, now: datetime) -> int:
    if policy.retry_at is not None:
        return max(1, -((now - policy.retry_at) // timedelta(seconds=1)))
    return schedule.busy_seconds(job.busy_retries, outcome.retry_after_seconds, policy.random)


_DEADLINE_EXCEEDED = Failure(
    code="deadline_exceeded", message="The job did not end before its deadline and was cancelled."
)
_RETIRED: AttemptReason = "model_retired"
_NOT_FOUND: AttemptReason = "model_not_found"
_UNKNOWN: AttemptReason = "outcome_unknown"
_STARVED: AttemptReason = "reasoning_starved"
