"""A job's transitions: which state allows which, and what they change."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from afterthought.domain.errors import IllegalTransition
from afterthought.domain.jobs.attempt import AttemptReason, CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import (
    CALL_LEASE,
    DIRECT_CALL_LEASE,
    FIRST_MARGIN,
    LATE,
    MAX_DELAY_SECONDS,
    OUTCOME_UNKNOWN_WAIT,
    OVERDUE_MARGIN,
    OVERDUE_TOLERANCE,
    RECORD_RETENTION,
    SWEEP_AHEAD,
    SWEEPS_BEFORE_FAILURE,
)
from afterthought.domain.jobs.status import Failure
from afterthought.domain.models.pricing import Usage
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

LATER = START + timedelta(minutes=1)

PENDING = a_job()
CALLING = PENDING.start_call(token="t", provider="standin", now=START)
RUNNING = CALLING.mark_running(response_id="resp_1", now=START, poll_seconds=5)
OUTCOME_UNKNOWN = CALLING.mark_outcome_unknown(now=START, wait=OUTCOME_UNKNOWN_WAIT)
REQUEUED = CALLING.requeue(now=START, delay_seconds=5)
ENDED = RUNNING.fail("internal_error", "…", now=START)
HOLD = PENDING.held_usd


def settled(job: Job, **changes: Any) -> Job:
    usage = Usage(input_tokens=10, output_tokens=5)
    result = {"served_model": "o3", "usage": usage, "price_id": "row", "cost_usd": Decimal("0.5")}
    return job.settle("completed", **{"now": LATER, **result, **changes})


def a_call(hold_usd: Decimal, reason: AttemptReason | None = None) -> CallSpec:
    return CallSpec("o3", "high", None, hold_usd, reason)


TRANSITIONS: dict[str, Callable[[Job], Job]] = {
    "start_call": lambda job: job.start_call(token="t", provider="standin", now=LATER),
    "mark_running": lambda job: job.mark_running(response_id="resp_1", now=LATER, poll_seconds=5),
    "record_poll": lambda job: job.record_poll(now=LATER, poll_seconds=5),
    "requeue": lambda job: job.requeue(now=LATER, delay_seconds=5),
    "defer_until": lambda job: job.defer_until(LATER + timedelta(hours=1), now=LATER),
    "switch_mode": lambda job: job.switch_mode("direct", now=LATER),
    "mark_outcome_unknown": lambda job: job.mark_outcome_unknown(now=LATER, wait=OUTCOME_UNKNOWN_WAIT),
    "request_cancel": lambda job: job.request_cancel(now=LATER),
    "cancel": lambda job: job.cancel(now=LATER),
    "settle": settled,
    "refuse": lambda job: job.refuse("invalid_prompt", "…", now=LATER),
    "fail": lambda job: job.fail("internal_error", "…", now=LATER),
}

_ENDINGS = {"fail", "cancel"}
_PENDING = {"start_call", "defer_until", "switch_mode", *_ENDINGS}
_CALLED = {"settle", "request_cancel", *_ENDINGS}

ALLOWED = {
    "pending": (PENDING, _PENDING),
    "calling": (CALLING, {"mark_running", "requeue", "mark_outcome_unknown", "refuse", *_CALLED}),
    "running": (RUNNING, {"record_poll", "requeue", "refuse", *_CALLED}),
    "outcome_unknown": (OUTCOME_UNKNOWN, {"mark_running", "requeue", "refuse", *_CALLED}),
    "requeued": (REQUEUED, _PENDING),
    "ended": (ENDED, set()),
}


@pytest.mark.parametrize("transition", TRANSITIONS)
@pytest.mark.parametrize("state", ALLOWED)
def test_state_allows_only_its_transitions(state: str, transition: str) -> None:
    job, allowed = ALLOWED[state]
    if transition in allowed:
        assert TRANSITIONS[transition](job).version == job.version + 1
    else:
        with pytest.raises(IllegalTransition):
            TRANSITIONS[transition](job)


@pytest.mark.parametrize("transition", TRANSITIONS)
def test_transition_leaves_its_input_unchanged(transition: str) -> None:
    for job, allowed in ALLOWED.values():
        before = job.model_dump()
        if transition in allowed:
            TRANSITIONS[transition](job)
        assert job.model_dump() == before


def test_new_job_is_queued() -> None:
    assert PENDING.status == "queued"
    assert PENDING.overdue_at == START + FIRST_MARGIN
    assert PENDING.expires_at == START + RECORD_RETENTION
    assert [(each.number, each.state, each.held_at) for each in PENDING.attempts] == [(1, "pending", START)]


def test_attempt_is_recorded_before_its_call() -> None:
    assert CALLING.status == "in_progress"
    assert CALLING.called_attempt.state == "calling"
    assert CALLING.called_attempt.response_id is None


def test_call_belongs_to_its_worker_for_the_lease() -> None:
    assert CALLING.next_step_at == START + CALL_LEASE


# ---- overdue_at ------------------------------------------------------------------------------------------------------


def test_overdue_at_follows_the_next_step() -> None:
    now = LATER + FIRST_MARGIN
    polled = RUNNING.record_poll(now=now, poll_seconds=30)
    assert polled.overdue_at == polled.next_step_at + OVERDUE_MARGIN == now + timedelta(seconds=30) + OVERDUE_MARGIN


def test_overdue_at_is_kept_within_the_tolerance() -> None:
    """Moving it writes the index twice."""
    assert CALLING.overdue_at == RUNNING.overdue_at == PENDING.overdue_at == START + FIRST_MARGIN
    latest = START + FIRST_MARGIN - timedelta(seconds=5)
    assert RUNNING.record_poll(now=latest, poll_seconds=5).overdue_at == PENDING.overdue_at
    assert RUNNING.record_poll(now=latest, poll_seconds=6).overdue_at != PENDING.overdue_at


def test_overdue_at_moves_forward_beyond_the_tolerance() -> None:
    distant = RUNNING.record_poll(now=START, poll_seconds=540).model_copy(
        update={"overdue_at": START + timedelta(hours=1)}
    )
    close = distant.record_poll(now=START, poll_seconds=1)
    assert close.overdue_at == close.next_step_at + OVERDUE_MARGIN
    at_tolerance = distant.model_copy(update={"overdue_at": close.next_step_at + OVERDUE_TOLERANCE})
    assert at_tolerance.record_poll(now=START, poll_seconds=1).overdue_at == at_tolerance.overdue_at


def test_end_of_a_direct_call_keeps_overdue_at() -> None:
    """The stream publishes the end."""
    called = PENDING.start_call(token="t", provider="p", now=START, lease=DIRECT_CALL_LEASE)
    assert settled(called, now=START + timedelta(seconds=1)).overdue_at == called.overdue_at
    # A lost message of an open job is noticed soon.
    requeued = called.requeue(now=START, delay_seconds=2)
    assert requeued.overdue_at == requeued.next_step_at + OVERDUE_MARGIN


def test_long_wait_is_swept_shortly_before_its_end() -> None:
    """The wait is longer than the maximum delay of a message."""
    distant = PENDING.defer_until(START + timedelta(seconds=MAX_DELAY_SECONDS + 1), now=START)
    assert distant.overdue_at == distant.next_step_at - SWEEP_AHEAD
    close = PENDING.defer_until(START + timedelta(seconds=MAX_DELAY_SECONDS), now=START)
    assert close.overdue_at == close.next_step_at + OVERDUE_MARGIN


def test_sweep_before_the_next_step_moves_only_overdue_at() -> None:
    swept_job = CALLING.model_copy(update={"overdue_at": START}).record_sweep(now=START)
    assert swept_job.overdue_at == CALLING.next_step_at + OVERDUE_MARGIN
    assert (swept_job.sweeps, swept_job.next_step_at) == (0, CALLING.next_step_at)


# ---- deadline --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [
        lambda job, now: job.start_call(token="t", provider="p", now=now).requeue(now=now, delay_seconds=540),
        lambda job, now: job.start_call(token="t", provider="p", now=now).mark_running(
            response_id="r", now=now, poll_seconds=540
        ),
        lambda job, now: (
            job.start_call(token="t", provider="p", now=now)
            .mark_running(response_id="r", now=now, poll_seconds=1)
            .record_poll(now=now, poll_seconds=540)
        ),
    ],
    ids=["requeue", "mark_running", "record_poll"],
)
def test_no_wait_passes_the_deadline(wait: Callable[[Job, Any], Job]) -> None:
    before = PENDING.deadline_at - timedelta(seconds=10)
    assert wait(PENDING, before).next_step_at == PENDING.deadline_at
    after = PENDING.deadline_at + timedelta(seconds=10)
    assert after <= wait(PENDING, after).next_step_at <= after + LATE


def test_deadline_does_not_shorten_a_lease() -> None:
    """When the lease ends, the worker's process must have ended, or two workers could call."""
    now = PENDING.deadline_at - timedelta(seconds=1)
    assert PENDING.start_call(token="t", provider="p", now=now).next_step_at == now + CALL_LEASE


# ---- calls refused for now -------------------------------------------------------------------------------------------


def test_requeue_keeps_the_attempt_and_its_hold() -> None:
    job = PENDING
    for number in range(1, 50):
        job = job.start_call(token=f"t{number}", provider="standin", now=LATER).requeue(now=LATER, delay_seconds=5)
        assert [(each.number, each.state, each.token) for each in job.attempts] == [(1, "pending", None)]
    assert job.busy_retries == 49
    assert job.held_usd == PENDING.held_usd
    assert job.start_call(token="t50", provider="standin", now=LATER).called_attempt.number == 1


def test_accepted_call_resets_busy_retries() -> None:
    job = REQUEUED.start_call(token="t", provider="standin", now=LATER)
    assert job.busy_retries == 1
    assert job.mark_running(response_id="r", now=LATER, poll_seconds=1).busy_retries == 0


def test_requested_cancel_does_not_wait() -> None:
    requested = CALLING.request_cancel(now=START)
    assert requested.next_step_at == CALLING.next_step_at
    for job in (
        requested.requeue(now=LATER, delay_seconds=540),
        requested.mark_running(response_id="r", now=LATER, poll_seconds=540),
        requested.mark_outcome_unknown(now=LATER, wait=OUTCOME_UNKNOWN_WAIT),
        RUNNING.request_cancel(now=LATER),
    ):
        assert job.next_step_at == LATER


# ---- money -----------------------------------------------------------------------------------------------------------


def test_result_is_recorded_with_usage_price_and_cost() -> None:
    job = settled(RUNNING)
    assert job.status == "completed"
    assert job.finished_at == LATER
    attempt = job.attempt
    assert attempt is not None
    assert (attempt.state, attempt.served_model, attempt.price_id) == ("settled", "o3", "row")
    assert attempt.cost_usd == Decimal("0.5")
    assert job.open_attempt is None


def test_failed_call_costs_its_hold() -> None:
    for job in (CALLING, RUNNING):
        failed = job.fail("outcome_unknown", "…", now=LATER)
        assert failed.attempt is not None
        assert (failed.attempt.state, failed.attempt.estimated) == ("settled", True)
        assert (failed.held_usd, failed.spent_usd) == (Decimal(0), PENDING.held_usd)
        assert failed.failure == Failure(code="outcome_unknown", message="…")


def test_call_not_made_costs_nothing() -> None:
    for job in (PENDING, REQUEUED):
        failed = job.fail("deadline_exceeded", "…", now=LATER)
        assert failed.attempt is not None
        assert failed.attempt.state == "voided"
        assert (failed.held_usd, failed.spent_usd, failed.estimated) == (Decimal(0), Decimal(0), False)


def test_unknown_cost_is_the_hold() -> None:
    job = settled(RUNNING, usage=None, price_id=None, cost_usd=None)
    assert job.estimated
    assert job.spent_usd == PENDING.held_usd


def test_real_usage_replaces_only_the_estimate() -> None:
    estimated = settled(RUNNING, usage=None, price_id=None, cost_usd=None)
    usage: dict[str, Any] = {
        "response_id": "resp_1",
        "served_model": "o3",
        "usage": Usage(input_tokens=1, output_tokens=1),
        "price_id": "row",
    }
    corrected = estimated.correct_usage(1, cost_usd=Decimal("0.1"), **usage)
    assert (corrected.spent_usd, corrected.estimated) == (Decimal("0.1"), False)
    changed = {"attempts", "version"}
    assert corrected.model_dump(exclude=changed) == estimated.model_dump(exclude=changed)
    with pytest.raises(IllegalTransition):
        corrected.correct_usage(1, cost_usd=HOLD, **usage)


def test_cost_above_the_hold_is_recorded_and_marked() -> None:
    job = settled(RUNNING, cost_usd=HOLD + 1)
    assert job.over_max_cost
    assert job.spent_usd == HOLD + 1
    assert not settled(RUNNING, cost_usd=HOLD).over_max_cost


def test_max_cost_limits_all_attempts_together() -> None:
    capped = PENDING.model_copy(update={"max_cost_usd": HOLD + Decimal("0.5")})
    called = capped.start_call(token="t", provider="p", now=START)
    attempt = called.called_attempt.model_copy(update={"state": "settled", "cost_usd": HOLD})
    spent = called.model_copy(update={"attempts": (attempt,)})
    with pytest.raises(IllegalTransition):
        spent.add_attempt(a_call(Decimal("0.500000000000000001")), now=LATER)
    again = spent.add_attempt(a_call(Decimal("0.5")), now=LATER)
    assert [each.number for each in again.attempts] == [1, 2]
    assert (again.held_usd, again.spent_usd) == (Decimal("0.5"), HOLD)


def test_second_hold_waits_for_the_first() -> None:
    for job in (PENDING, CALLING, RUNNING, settled(RUNNING)):
        with pytest.raises(IllegalTransition):
            job.add_attempt(a_call(HOLD), now=LATER)


def test_new_job_above_its_max_cost_is_illegal() -> None:
    with pytest.raises(IllegalTransition):
        PENDING.model_copy(update={"attempts": (), "max_cost_usd": HOLD / 2}).add_attempt(a_call(HOLD), now=START)


def test_refused_call_ends_the_job() -> None:
    refused = CALLING.refuse("invalid_prompt", "…", now=LATER)
    assert refused.attempt is not None
    assert (refused.status, refused.attempt.state) == ("failed", "refused")


# ---- sweeps ----------------------------------------------------------------------------------------------------------


def test_ended_job_is_overdue_until_published() -> None:
    assert a_settled_job().overdue_at is not None


def test_sweep_leaves_the_next_step() -> None:
    swept_job = RUNNING.record_sweep(now=LATER)
    assert swept_job.next_step_at == RUNNING.next_step_at
    assert (swept_job.sweeps, swept_job.version) == (1, RUNNING.version + 1)
    assert swept_job.overdue_at is not None
    assert swept_job.overdue_at > LATER


def test_step_resets_sweeps() -> None:
    assert RUNNING.record_sweep(now=LATER).record_poll(now=LATER, poll_seconds=5).sweeps == 0


def test_job_without_progress_is_given_up() -> None:
    job = RUNNING
    for sweep in range(1, SWEEPS_BEFORE_FAILURE):
        job = job.record_sweep(now=LATER)
        assert (job.status, job.sweeps) == ("in_progress", sweep)
    job = job.record_sweep(now=LATER)
    assert job.failure is not None
    assert (job.status, job.failure.code) == ("failed", "internal_error")


def test_ended_job_is_never_given_up() -> None:
    job = a_settled_job()
    for _ in range(3 * SWEEPS_BEFORE_FAILURE):
        job = job.record_sweep(now=LATER)
    assert job.status == "completed"
    assert job.overdue_at is not None


def test_published_job_is_not_swept() -> None:
    with pytest.raises(IllegalTransition):
        a_settled_job().model_copy(update={"overdue_at": None}).record_sweep(now=LATER)


class Lifecycle(RuleBasedStateMachine):
    """Any transitions, in any order, at any times."""

    @initialize()
    def create(self) -> None:
        self.now = START
        self.job = PENDING
        self.calls = self.fallbacks = 0

    @rule(seconds=st.integers(0, 200_000))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self._state() == "pending")
    @rule()
    def start_call(self) -> None:
        self.calls += 1
        self._change(self.job.start_call(token=f"t{self.calls}", provider="standin", now=self.now))

    @precondition(lambda self: self._state() == "calling")
    @rule(seconds=st.integers(1, 5000))
    def mark_running(self, seconds: int) -> None:
        self._change(self.job.mark_running(response_id="r", now=self.now, poll_seconds=seconds))

    @precondition(lambda self: self._state() == "pending")
    @rule(seconds=st.integers(1, 5000))
    def defer(self, seconds: int) -> None:
        self._change(self.job.defer_until(self.now + timedelta(seconds=seconds), now=self.now))

    @precondition(lambda self: self._state() == "calling")
    @rule()
    def mark_outcome_unknown(self) -> None:
        self._change(self.job.mark_outcome_unknown(now=self.now, wait=OUTCOME_UNKNOWN_WAIT))

    @precondition(lambda self: self._called())
    @rule()
    def request_cancel(self) -> None:
        self._change(self.job.request_cancel(now=self.now))

    @precondition(lambda self: self._called())
    @rule(end=st.sampled_from(("fail", "settle")))
    def fall_back(self, end: str) -> None:
        self.fallbacks += 1
        call = a_call(HOLD, "outcome_unknown")
        if end == "fail":
            self._change(self.job.fail("outcome_unknown", "…", now=self.now, fallback=call))
        else:
            self._change(settled(self.job, now=self.now, fallback=call))

    @precondition(lambda self: not self.job.terminal)
    @rule()
    def cancel(self) -> None:
        self._change(self.job.cancel(now=self.now))

    @precondition(lambda self: self._state() == "calling")
    @rule(seconds=st.integers(1, 540))
    def requeue(self, seconds: int) -> None:
        self._change(self.job.requeue(now=self.now, delay_seconds=seconds))

    @precondition(lambda self: self._state() == "calling")
    @rule()
    def refuse(self) -> None:
        self._change(self.job.refuse("invalid_prompt", "…", now=self.now))

    @precondition(lambda self: self._state() == "running")
    @rule(seconds=st.integers(1, 540))
    def record_poll(self, seconds: int) -> None:
        self._change(self.job.record_poll(now=self.now, poll_seconds=seconds))

    @precondition(lambda self: self._called())
    @rule(usage=st.booleans())
    def settle(self, usage: bool) -> None:
        no_usage = {} if usage else {"usage": None, "price_id": None, "cost_usd": None}
        self._change(settled(self.job, now=self.now, **no_usage))

    @precondition(lambda self: not self.job.terminal)
    @rule()
    def fail(self) -> None:
        self._change(self.job.fail("internal_error", "…", now=self.now))

    @rule()
    def sweep(self) -> None:
        self._change(self.job.record_sweep(now=self.now))

    def _state(self) -> str | None:
        attempt = self.job.open_attempt
        return None if attempt is None else attempt.state

    def _called(self) -> bool:
        return self._state() in ("calling", "running", "outcome_unknown")

    def _change(self, after: Job) -> None:
        before = self.job
        assert after.version == before.version + 1
        if before.terminal:
            changed = {"overdue_at", "sweeps", "version"}
            assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed), "an ended job changed"
        assert after.overdue_at is not None
        assert after.overdue_at >= self.now, "it would be overdue again at once"
        self.job = after

    @invariant()
    def has_overdue_at(self) -> None:
        assert self.job.overdue_at is not None

    @invariant()
    def is_terminal_when_finished(self) -> None:
        assert self.job.terminal == (self.job.finished_at is not None)
        assert not (self.job.terminal and self.job.open_attempt)

    @invariant()
    def is_in_progress_while_called(self) -> None:
        assert (self.job.status == "in_progress") == self._called()

    @invariant()
    def holds_once_until_the_end(self) -> None:
        assert self.job.held_usd == (0 if self.job.terminal else HOLD)

    @invariant()
    def only_the_newest_attempt_is_open(self) -> None:
        assert not any(attempt.open for attempt in self.job.attempts[:-1])

    @invariant()
    def only_fallbacks_add_attempts(self) -> None:
        assert len(self.job.attempts) == 1 + self.fallbacks

    @invariant()
    def next_step_is_by_the_deadline(self) -> None:
        if not self.job.terminal and self._state() != "calling":
            assert self.job.next_step_at <= max(self.job.deadline_at, self.now + LATE)


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
