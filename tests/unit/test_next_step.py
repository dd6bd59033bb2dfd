"""What happens next to a job: a table of states and times."""

from datetime import timedelta
from typing import Any

import pytest

from afterthought.domain.errors import IllegalTransition
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.next_step import (
    FetchUsage,
    GiveUp,
    HandOver,
    Ignore,
    Poll,
    StartCall,
    Write,
    next_step,
    wakeup_delay,
)
from afterthought.domain.jobs.outcome import Failed, Unknown, Unresolved
from afterthought.domain.jobs.schedule import (
    CALL_LEASE,
    LATE_USAGE_SECONDS,
    MAX_DELAY_SECONDS,
    MAX_POLL_SECONDS,
    OUTCOME_UNKNOWN_WAIT,
    fallback_poll_seconds,
)
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

SECOND = timedelta(seconds=1)
PENDING = a_job()
DIRECT = a_job(mode="direct")
CALLING = PENDING.start_call(token="t", provider="p", now=START)
RUNNING = CALLING.mark_running(response_id="r", now=START, poll_seconds=5)
UNKNOWN = CALLING.mark_outcome_unknown(now=START, wait=OUTCOME_UNKNOWN_WAIT)
ESTIMATED = RUNNING.fail("outcome_unknown", "…", now=START)
DEADLINE = PENDING.deadline_at


def changed(job: Job, **fields: Any) -> Job:
    return job.model_copy(update=fields)


WITHOUT_ID = changed(RUNNING, attempts=(RUNNING.called_attempt.model_copy(update={"response_id": None}),))
CANCELLED_PENDING = changed(PENDING, cancel_requested_at=START)

TABLE = {
    "pending is called": (PENDING, START, StartCall()),
    "pending of another mode": (DIRECT, START, HandOver()),
    "pending and cancelled": (CANCELLED_PENDING, START, Write(CANCELLED_PENDING.cancel(now=START))),
    "pending at its deadline": (
        PENDING,
        DEADLINE,
        Write(PENDING.fail("deadline_exceeded", "The job did not start before its deadline.", now=DEADLINE)),
    ),
    "calling within the lease": (CALLING, START + CALL_LEASE - 2 * SECOND, Ignore("not_due")),
    "running before its poll": (RUNNING, START + 3 * SECOND, Ignore("not_due")),
    "running": (RUNNING, START + 5 * SECOND, Poll(RUNNING.called_attempt, "r", cancel=False)),
    "running, message a second early": (RUNNING, START + 4 * SECOND, Poll(RUNNING.called_attempt, "r", cancel=False)),
    "running at its deadline": (RUNNING, DEADLINE, Poll(RUNNING.called_attempt, "r", cancel=True)),
    "running and cancelled": (
        RUNNING.request_cancel(now=START),
        START,
        Poll(RUNNING.called_attempt, "r", cancel=True),
    ),
    "unknown while it may be resolved": (UNKNOWN, START + timedelta(minutes=50), Ignore("not_due")),
    "ended with an estimate": (ESTIMATED, START, FetchUsage()),
    "ended": (a_settled_job(), START, Ignore("ignored")),
    "ended direct": (changed(ESTIMATED, mode="direct"), START, Ignore("ignored")),
}


@pytest.mark.parametrize("case", TABLE)
def test_next_step(case: str) -> None:
    job, now, expected = TABLE[case]
    assert next_step(job, "background", now) == expected


@pytest.mark.parametrize(
    ("job", "now", "outcome"),
    [
        (CALLING, START + CALL_LEASE, Unknown),
        (UNKNOWN, START + OUTCOME_UNKNOWN_WAIT, Unresolved),
        (WITHOUT_ID, START + 5 * SECOND, Failed),
    ],
    ids=["lease over", "unresolved", "no response id"],
)
def test_waiting_is_given_up(job: Job, now: Any, outcome: type) -> None:
    step = next_step(job, "background", now)
    assert isinstance(step, GiveUp)
    assert isinstance(step.outcome, outcome)


def test_queued_job_without_attempt_is_illegal() -> None:
    with pytest.raises(IllegalTransition):
        next_step(changed(PENDING, attempts=()), "background", START)


# ---- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "delay"),
    [
        (PENDING, 0),
        (changed(PENDING, next_step_at=START + 2.3 * SECOND), 3),
        (changed(PENDING, next_step_at=START + MAX_DELAY_SECONDS * SECOND), MAX_DELAY_SECONDS),
        (changed(PENDING, next_step_at=START + (MAX_DELAY_SECONDS + 1) * SECOND), None),
        (changed(RUNNING, next_step_at=START + MAX_POLL_SECONDS * SECOND), MAX_POLL_SECONDS),
        (changed(RUNNING, next_step_at=START + (MAX_POLL_SECONDS + 1) * SECOND), None),
        (changed(RUNNING, next_step_at=START + 800 * SECOND, deadline_at=START + 800 * SECOND), 800),
        (UNKNOWN, None),
        (RUNNING.request_cancel(now=START), 0),
        (ESTIMATED, LATE_USAGE_SECONDS),
        (a_settled_job(), None),
    ],
)
def test_wakeup_delay(job: Job, delay: int | None) -> None:
    assert wakeup_delay(job, START) == delay


@pytest.mark.parametrize("effort", [None, "low", "medium", "high", "max"])
def test_fallback_polls_have_no_message(effort: str | None) -> None:
    """A provider event should come before."""
    assert fallback_poll_seconds(effort, 0) > MAX_POLL_SECONDS
