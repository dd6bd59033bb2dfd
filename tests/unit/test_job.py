"""A job's steps: which are allowed when, and what they leave behind."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from afterthought.domain.attempt import Because, Plan
from afterthought.domain.errors import IllegalTransition
from afterthought.domain.job import DEADLINE, SUBMIT_LEASE, Job
from afterthought.domain.pricing import Usage
from afterthought.domain.record import RECORD_KEPT, Failure
from afterthought.domain.schedule import (
    DUE_KEPT_BEFORE,
    DUE_KEPT_BEYOND,
    FIRST_NET,
    MOST_DELAY_SECONDS,
    NET,
    SWEEPS_BEFORE_FAILURE,
    SWEPT_AHEAD,
    UNKNOWN_WAIT,
)
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

LATER = START + timedelta(minutes=1)
SOON = timedelta(minutes=1)
"""How long a job that is past its deadline may go without a look."""

QUEUED = a_job()
SUBMITTING = QUEUED.begin(token="t", provider="standin", now=START)
SUBMITTED = SUBMITTING.submitted(response_id="resp_1", now=START, check_seconds=5)
HOLD = QUEUED.held_usd
UNKNOWN = SUBMITTING.lost(now=START, wait=UNKNOWN_WAIT)
PUT_BACK = SUBMITTING.put_back(now=START, busy_seconds=5)
ENDED = SUBMITTED.failed("internal_error", "…", now=START)


def settled(job: Job, **more: Any) -> Job:
    usage = Usage(input_tokens=10, output_tokens=5)
    outcome = {"served_model": "o3", "usage": usage, "price_id": "row", "cost_usd": Decimal("0.5")}
    return job.settled("completed", **{"now": LATER, **outcome, **more})


def a_plan(hold_usd: Decimal, because: Because | None = None, **changes: Any) -> Plan:
    return Plan("o3", "high", None, hold_usd, because)._replace(**changes)


STEPS: dict[str, Callable[[Job], Job]] = {
    "begin": lambda job: job.begin(token="t", provider="standin", now=LATER),
    "submitted": lambda job: job.submitted(response_id="resp_1", now=LATER, check_seconds=5),
    "checked": lambda job: job.checked(now=LATER, check_seconds=5),
    "put_back": lambda job: job.put_back(now=LATER, busy_seconds=5),
    "waits": lambda job: job.waits(LATER + timedelta(hours=1), now=LATER),
    "goes": lambda job: job.goes("direct", now=LATER),
    "lost": lambda job: job.lost(now=LATER, wait=UNKNOWN_WAIT),
    "cancelling": lambda job: job.cancelling(now=LATER),
    "cancelled": lambda job: job.cancelled(now=LATER),
    "settled": settled,
    "refused": lambda job: job.refused("invalid_prompt", "…", now=LATER),
    "failed": lambda job: job.failed("internal_error", "…", now=LATER),
}

ALLOWED = {
    "queued": (QUEUED, {"begin", "waits", "goes", "failed", "cancelled"}),
    "submitting": (
        SUBMITTING,
        {"submitted", "put_back", "lost", "settled", "refused", "failed", "cancelling", "cancelled"},
    ),
    "submitted": (SUBMITTED, {"checked", "put_back", "settled", "refused", "failed", "cancelling", "cancelled"}),
    "unknown": (UNKNOWN, {"submitted", "settled", "failed", "cancelling", "cancelled"}),
    "put back": (PUT_BACK, {"begin", "waits", "goes", "failed", "cancelled"}),
    "ended": (ENDED, set()),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", ALLOWED)
def test_a_state_allows_its_own_steps_and_no_other(state: str, step: str) -> None:
    job, allowed = ALLOWED[state]
    if step in allowed:
        assert STEPS[step](job).version == job.version + 1
    else:
        with pytest.raises(IllegalTransition):
            STEPS[step](job)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_changes_nothing_of_the_job_it_was_taken_on(step: str) -> None:
    for job, allowed in ALLOWED.values():
        before = job.model_dump()
        if step in allowed:
            STEPS[step](job)
        assert job.model_dump() == before


def test_a_new_job_is_queued_and_due() -> None:
    assert QUEUED.status == "queued"
    assert QUEUED.due_at == START + FIRST_NET
    assert QUEUED.deadline_at == START + DEADLINE
    assert QUEUED.expires_at == START + RECORD_KEPT
    assert [(entry.number, entry.state, entry.held_at) for entry in QUEUED.attempts] == [(1, "held", START)]


def test_an_attempt_stands_in_the_ledger_before_its_call() -> None:
    assert SUBMITTING.status == "in_progress"
    assert SUBMITTING.opened.state == "submitting"
    assert SUBMITTING.opened.response_id is None


def test_a_submission_belongs_to_its_worker_for_the_lease() -> None:
    assert SUBMITTING.wake_at == START + SUBMIT_LEASE


def test_what_is_wanted_next_is_due_a_minute_later() -> None:
    assert SUBMITTED.wake_at == START + timedelta(seconds=5)
    later = SUBMITTED.checked(now=LATER + FIRST_NET, check_seconds=30)
    assert later.due_at == later.wake_at + NET == LATER + FIRST_NET + timedelta(seconds=30) + NET


def test_what_is_due_soon_enough_stays_where_it_is() -> None:
    """To move it is to write the index of what is due, twice."""
    assert SUBMITTING.due_at == SUBMITTED.due_at == QUEUED.due_at == START + FIRST_NET
    soon = START + FIRST_NET - DUE_KEPT_BEFORE - timedelta(seconds=5)
    assert SUBMITTED.checked(now=soon, check_seconds=5).due_at == QUEUED.due_at
    assert SUBMITTED.checked(now=soon, check_seconds=6).due_at != QUEUED.due_at
    far = SUBMITTED.checked(now=START, check_seconds=540).checked(now=START, check_seconds=1)
    assert far.due_at == START + timedelta(seconds=540) + NET <= far.wake_at + DUE_KEPT_BEYOND


def test_what_no_message_wakes_is_due_when_it_is_wanted() -> None:
    begun = QUEUED.begin(token="t", provider="standin", now=LATER + FIRST_NET)
    awaited = begun.submitted(response_id="r", now=LATER + FIRST_NET, check_seconds=540, messaged=False)
    assert awaited.due_at == awaited.wake_at == LATER + FIRST_NET + timedelta(seconds=540)


def test_what_waits_longer_than_a_message_can_be_kept_back_is_due_shortly_before() -> None:
    far = QUEUED.waits(START + timedelta(seconds=MOST_DELAY_SECONDS + 1), now=START)
    assert far.due_at == far.wake_at - SWEPT_AHEAD
    near = QUEUED.waits(START + timedelta(seconds=MOST_DELAY_SECONDS), now=START)
    assert near.due_at == near.wake_at + NET


def test_a_sweep_before_the_step_is_wanted_moves_only_what_is_due() -> None:
    swept = SUBMITTING.swept(now=START + FIRST_NET)
    assert swept.due_at == SUBMITTING.wake_at + NET
    assert (swept.sweeps, swept.wake_at) == (0, SUBMITTING.wake_at)


@pytest.mark.parametrize(
    "step",
    [
        lambda job, now: job.begin(token="t", provider="p", now=now).put_back(now=now, busy_seconds=540),
        lambda job, now: job.begin(token="t", provider="p", now=now).submitted(
            response_id="r", now=now, check_seconds=540
        ),
        lambda job, now: (
            job.begin(token="t", provider="p", now=now)
            .submitted(response_id="r", now=now, check_seconds=1)
            .checked(now=now, check_seconds=540)
        ),
    ],
    ids=["put back", "submitted", "checked"],
)
def test_nobody_looks_away_past_the_deadline(step: Callable[[Job, Any], Job]) -> None:
    before = QUEUED.deadline_at - timedelta(seconds=10)
    assert step(QUEUED, before).wake_at == QUEUED.deadline_at
    after = QUEUED.deadline_at + timedelta(seconds=10)
    assert after <= step(QUEUED, after).wake_at <= after + SOON


def test_a_lease_is_never_cut_short_by_the_deadline() -> None:
    """When the lease is over, the worker's process must be dead: shortened, two could call."""
    now = QUEUED.deadline_at - timedelta(seconds=1)
    assert QUEUED.begin(token="t", provider="p", now=now).wake_at == now + SUBMIT_LEASE


def test_a_call_refused_for_now_keeps_its_entry_and_its_hold_however_often() -> None:
    job = QUEUED
    for number in range(1, 50):
        job = job.begin(token=f"t{number}", provider="standin", now=LATER).put_back(now=LATER, busy_seconds=5)
        assert [(entry.number, entry.state, entry.token) for entry in job.attempts] == [(1, "held", None)]
    assert job.refusals == 49
    assert job.held_usd == QUEUED.held_usd
    assert job.begin(token="t50", provider="standin", now=LATER).opened.number == 1


def test_an_accepted_call_ends_the_row_of_refusals() -> None:
    job = PUT_BACK.begin(token="t", provider="standin", now=LATER)
    assert job.refusals == 1
    assert job.submitted(response_id="r", now=LATER, check_seconds=1).refusals == 0


def test_an_outcome_is_booked_with_its_usage_price_and_cost() -> None:
    job = settled(SUBMITTED)
    assert job.status == "completed"
    assert job.finished_at == LATER
    entry = job.attempt
    assert entry is not None
    assert (entry.state, entry.served_model, entry.price_id, entry.cost_usd) == ("settled", "o3", "row", Decimal("0.5"))
    assert job.open_attempt is None


def test_a_failure_settles_a_call_that_was_made_at_its_hold() -> None:
    for job in (SUBMITTING, SUBMITTED):
        failed = job.failed("outcome_unknown", "…", now=LATER)
        assert failed.attempt is not None
        assert (failed.attempt.state, failed.attempt.estimated) == ("settled", True)
        assert (failed.held_usd, failed.spent_usd) == (Decimal(0), QUEUED.held_usd)
        assert failed.failure == Failure(code="outcome_unknown", message="…")


def test_a_failure_gives_back_the_hold_of_a_call_that_was_never_made() -> None:
    for job in (QUEUED, PUT_BACK):
        failed = job.failed("deadline_exceeded", "…", now=LATER)
        assert failed.attempt is not None
        assert failed.attempt.state == "released"
        assert (failed.held_usd, failed.spent_usd, failed.estimated) == (Decimal(0), Decimal(0), False)


def test_an_answer_without_a_cost_settles_at_its_hold() -> None:
    job = settled(SUBMITTED, usage=None, price_id=None, cost_usd=None)
    assert job.estimated
    assert job.spent_usd == QUEUED.held_usd


def test_what_was_really_used_takes_an_estimates_place_and_nothing_else_changes() -> None:
    ended = settled(SUBMITTED, usage=None, price_id=None, cost_usd=None)
    known = ended.corrected(
        1,
        response_id="resp_1",
        served_model="o3",
        usage=Usage(input_tokens=1, output_tokens=1),
        price_id="row",
        cost_usd=Decimal("0.1"),
    )
    assert (known.spent_usd, known.estimated) == (Decimal("0.1"), False)
    kept = {"attempts", "version"}
    assert known.model_dump(exclude=kept) == ended.model_dump(exclude=kept)
    with pytest.raises(IllegalTransition):
        known.corrected(
            1,
            response_id="resp_1",
            served_model="o3",
            usage=Usage(input_tokens=1, output_tokens=1),
            price_id="r",
            cost_usd=HOLD,
        )


def test_an_answer_dearer_than_its_hold_is_booked_in_full_and_marked() -> None:
    job = settled(SUBMITTED, cost_usd=HOLD + 1)
    assert job.overrun
    assert job.spent_usd == HOLD + 1
    assert not settled(SUBMITTED, cost_usd=HOLD).overrun


def test_a_jobs_own_cap_bounds_all_its_attempts_together() -> None:
    capped = QUEUED.model_copy(update={"max_cost_usd": HOLD + Decimal("0.5")})
    once = capped.begin(token="t", provider="p", now=START)
    spent = once.model_copy(
        update={"attempts": (once.opened.model_copy(update={"state": "settled", "cost_usd": HOLD}),)}
    )
    with pytest.raises(IllegalTransition):
        spent.hold(a_plan(Decimal("0.500000000000000001")), now=LATER)
    again = spent.hold(a_plan(Decimal("0.5")), now=LATER)
    assert [entry.number for entry in again.attempts] == [1, 2]
    assert (again.held_usd, again.spent_usd) == (Decimal("0.5"), HOLD)


def test_no_second_hold_is_taken_while_one_is_open() -> None:
    for job in (QUEUED, SUBMITTING, SUBMITTED, settled(SUBMITTED)):
        with pytest.raises(IllegalTransition):
            job.hold(a_plan(HOLD), now=LATER)


def test_a_new_job_above_its_own_cap_is_never_made() -> None:
    with pytest.raises(IllegalTransition):
        QUEUED.model_copy(update={"attempts": (), "max_cost_usd": HOLD / 2}).hold(a_plan(HOLD), now=START)


def test_a_refusal_for_good_leaves_no_open_question() -> None:
    refused = SUBMITTING.refused("invalid_prompt", "…", now=LATER)
    assert refused.attempt is not None
    assert (refused.status, refused.attempt.state) == ("failed", "refused")


def test_an_ended_job_is_due_until_it_is_announced() -> None:
    assert a_settled_job().due_at is not None


def test_a_sweep_moves_only_what_is_due() -> None:
    swept = SUBMITTED.swept(now=LATER)
    assert swept.wake_at == SUBMITTED.wake_at
    assert (swept.sweeps, swept.version) == (1, SUBMITTED.version + 1)
    assert swept.due_at is not None
    assert swept.due_at > LATER


def test_a_step_forgets_the_sweeps_before_it() -> None:
    assert SUBMITTED.swept(now=LATER).checked(now=LATER, check_seconds=5).sweeps == 0


def test_a_job_swept_too_often_without_a_step_is_given_up() -> None:
    job = SUBMITTED
    for sweep in range(1, SWEEPS_BEFORE_FAILURE):
        job = job.swept(now=LATER)
        assert (job.status, job.sweeps) == ("in_progress", sweep)
    job = job.swept(now=LATER)
    assert job.failure is not None
    assert (job.status, job.failure.code) == ("failed", "internal_error")


def test_an_ended_job_is_never_given_up() -> None:
    job = a_settled_job()
    for _ in range(3 * SWEEPS_BEFORE_FAILURE):
        job = job.swept(now=LATER)
    assert job.status == "completed"
    assert job.due_at is not None


def test_what_is_due_no_more_is_not_swept() -> None:
    with pytest.raises(IllegalTransition):
        a_settled_job().model_copy(update={"due_at": None}).swept(now=LATER)


class Life(RuleBasedStateMachine):
    """Any steps in any order at any pace, as the services could take them."""

    @initialize()
    def accepted(self) -> None:
        self.now = START
        self.job = QUEUED
        self.calls = self.goings_on = 0

    @rule(seconds=st.integers(0, 200_000))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self._open() == "held")
    @rule()
    def begins(self) -> None:
        self.calls += 1
        self._takes(self.job.begin(token=f"t{self.calls}", provider="standin", now=self.now))

    @precondition(lambda self: self._open() == "submitting")
    @rule(seconds=st.integers(1, 540))
    def is_taken(self, seconds: int) -> None:
        self._takes(self.job.submitted(response_id="r", now=self.now, check_seconds=seconds))

    @precondition(lambda self: self._open() == "submitting")
    @rule(seconds=st.integers(1, 5000))
    def is_taken_by_who_tells(self, seconds: int) -> None:
        self._takes(self.job.submitted(response_id="r", now=self.now, check_seconds=seconds, messaged=False))

    @precondition(lambda self: self._open() == "held")
    @rule(seconds=st.integers(1, 5000))
    def waits(self, seconds: int) -> None:
        self._takes(self.job.waits(self.now + timedelta(seconds=seconds), now=self.now))

    @precondition(lambda self: self._open() == "submitting")
    @rule()
    def is_lost(self) -> None:
        self._takes(self.job.lost(now=self.now, wait=UNKNOWN_WAIT))

    @precondition(lambda self: self._open() in ("submitting", "submitted", "unknown"))
    @rule()
    def is_to_be_cancelled(self) -> None:
        self._takes(self.job.cancelling(now=self.now))

    @precondition(lambda self: self._open() in ("submitting", "submitted", "unknown"))
    @rule(how=st.sampled_from(("failed", "settled")))
    def goes_on(self, how: str) -> None:
        self.goings_on += 1
        then = a_plan(HOLD, "outcome_unknown")
        if how == "failed":
            self._takes(self.job.failed("outcome_unknown", "…", now=self.now, then=then))
        else:
            self._takes(settled(self.job, now=self.now, then=then))

    @precondition(lambda self: not self.job.terminal)
    @rule()
    def is_cancelled(self) -> None:
        self._takes(self.job.cancelled(now=self.now))

    @precondition(lambda self: self._open() == "submitting")
    @rule(seconds=st.integers(1, 540))
    def is_put_back(self, seconds: int) -> None:
        self._takes(self.job.put_back(now=self.now, busy_seconds=seconds))

    @precondition(lambda self: self._open() == "submitting")
    @rule()
    def is_refused(self) -> None:
        self._takes(self.job.refused("invalid_prompt", "…", now=self.now))

    @precondition(lambda self: self._open() == "submitted")
    @rule(seconds=st.integers(1, 540))
    def is_checked(self, seconds: int) -> None:
        self._takes(self.job.checked(now=self.now, check_seconds=seconds))

    @precondition(lambda self: self._open() in ("submitting", "submitted", "unknown"))
    @rule(usage=st.booleans())
    def settles(self, usage: bool) -> None:
        nothing = {} if usage else {"usage": None, "price_id": None, "cost_usd": None}
        self._takes(settled(self.job, now=self.now, **nothing))

    @precondition(lambda self: not self.job.terminal)
    @rule()
    def fails(self) -> None:
        self._takes(self.job.failed("internal_error", "…", now=self.now))

    @rule()
    def is_swept(self) -> None:
        self._takes(self.job.swept(now=self.now))

    def _open(self) -> str | None:
        entry = self.job.open_attempt
        return None if entry is None else entry.state

    def _takes(self, after: Job) -> None:
        before = self.job
        assert after.version == before.version + 1
        if before.terminal:
            kept = {"due_at", "sweeps", "version"}
            assert after.model_dump(exclude=kept) == before.model_dump(exclude=kept), "an end was changed"
        assert after.due_at is not None
        assert after.due_at > self.now, "it would be swept again at once"
        self.job = after

    @invariant()
    def it_is_due_until_it_is_announced(self) -> None:
        assert self.job.due_at is not None

    @invariant()
    def it_has_ended_exactly_when_it_has_an_end(self) -> None:
        assert self.job.terminal == (self.job.finished_at is not None)
        assert not (self.job.terminal and self.job.open_attempt)

    @invariant()
    def it_is_in_progress_exactly_while_a_call_is_open(self) -> None:
        assert (self.job.status == "in_progress") == (self._open() in ("submitting", "submitted", "unknown"))

    @invariant()
    def it_holds_one_bound_until_it_ends_and_nothing_after(self) -> None:
        assert self.job.held_usd == (0 if self.job.terminal else HOLD)

    @invariant()
    def only_its_newest_attempt_is_open(self) -> None:
        assert not any(attempt.open for attempt in self.job.attempts[:-1])

    @invariant()
    def its_ledger_stays_small_however_many_calls_are_refused_for_now(self) -> None:
        assert len(self.job.attempts) == 1 + self.goings_on

    @invariant()
    def it_is_looked_at_by_its_deadline(self) -> None:
        if not self.job.terminal and self._open() != "submitting":
            assert self.job.wake_at <= max(self.job.deadline_at, self.now + SOON)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
