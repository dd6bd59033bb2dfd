"""Decides the next step of a job from its state and the time. Pure."""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from afterthought.domain.errors import IllegalTransition
from afterthought.domain.jobs import schedule
from afterthought.domain.jobs.attempt import Attempt
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.outcome import Failed, Outcome, Unknown, Unresolved
from afterthought.domain.models.provider import Mode

_EARLY = timedelta(seconds=1)
"""How early a message may arrive: delays are in whole seconds."""


class Ignore(NamedTuple):
    """There is nothing to do now."""

    why: Literal["ignored", "not_due"]


class HandOver(NamedTuple):
    """The function of the other mode makes the job's next call."""


class FetchUsage(NamedTuple):
    """The job ended with an estimated cost. Ask the provider for its usage."""


class Write(NamedTuple):
    """Save the next version of the job. No I/O is needed to compute it."""

    after: Job


class StartCall(NamedTuple):
    """Record and make the call of the pending attempt, unless it must wait."""


class Poll(NamedTuple):
    """Retrieve the attempt's response, or cancel it if the answer is no longer wanted."""

    attempt: Attempt
    response_id: str
    cancel: bool


class GiveUp(NamedTuple):
    """Stop waiting for the attempt's result and record the outcome."""

    outcome: Outcome


NextStep = Ignore | HandOver | FetchUsage | Write | StartCall | Poll | GiveUp


def next_step(job: Job, mode: Mode, now: datetime) -> NextStep:
    """`mode` is the mode of the function that runs this step."""
    if job.terminal:
        return FetchUsage() if job.awaiting_usage else Ignore("ignored")
    if now < job.next_step_at - _EARLY:
        return Ignore("not_due")
    attempt = job.open_attempt
    if attempt is None:
        raise IllegalTransition(f"{job.id} is {job.status} without an open attempt")
    match attempt.state:
        case "pending":
            return _start(job, mode, now)
        case "calling":
            return GiveUp(Unknown("The worker stopped while it called the model; the call may have run."))
        case "outcome_unknown":
            return GiveUp(Unresolved("The model was called, and no answer came."))
        case _:
            return _poll(job, attempt, now)


def _start(job: Job, mode: Mode, now: datetime) -> NextStep:
    if job.mode != mode:
        return HandOver()
    if job.cancel_requested_at is not None:
        return Write(job.cancel(now=now))
    if now >= job.deadline_at:
        return Write(job.fail("deadline_exceeded", "The job did not start before its deadline.", now=now))
    return StartCall()


def _poll(job: Job, attempt: Attempt, now: datetime) -> NextStep:
    if attempt.response_id is None:
        return GiveUp(Failed("internal_error", "The provider's response id is missing."))
    return Poll(attempt, attempt.response_id, cancel=no_answer_wanted(job, now))


def no_answer_wanted(job: Job, now: datetime) -> bool:
    return job.cancel_requested_at is not None or now >= job.deadline_at


def cancel_late_run(job: Job) -> bool:
    """Whether the job was cancelled or timed out, so that its run must be cancelled too."""
    return job.status == "cancelled" or (job.failure is not None and job.failure.code == "deadline_exceeded")


def wakeup_delay(job: Job, now: datetime) -> int | None:
    """The delay in seconds of the message for the job's next step. None if no message is needed: a provider event or
    the sweeper starts the step, or there is none."""
    if job.terminal:
        return schedule.LATE_USAGE_SECONDS if job.awaiting_usage else None
    delay = max(0, -((now - job.next_step_at) // timedelta(seconds=1)))
    attempt = job.open_attempt
    called = attempt is not None and attempt.state in ("running", "outcome_unknown")
    # Only a call whose end the provider reports waits longer than the longest poll, or one that waits for its deadline.
    if called and delay > schedule.MAX_POLL_SECONDS and job.next_step_at != job.deadline_at:
        return None
    return delay if delay <= schedule.MAX_DELAY_SECONDS else None
