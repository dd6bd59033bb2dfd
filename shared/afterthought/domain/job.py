"""A job and its steps. Each step is a pure function: it gives the job's next version or raises IllegalTransition.

`wake_at` is when the next step is wanted; `due_at` is when the sweeper must see that it did not come. From creation
until it is announced a job always has a `due_at`, so nothing that was accepted can be forgotten.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Self

from afterthought.domain.attempt import Attempt, Plan
from afterthought.domain.errors import IllegalTransition
from afterthought.domain.models.provider import Mode
from afterthought.domain.pricing import Usage, exact_sum
from afterthought.domain.record import Failure, Record, Status
from afterthought.domain.schedule import (
    DUE_KEPT_BEFORE,
    DUE_KEPT_BEYOND,
    FIRST_NET,
    MOST_DELAY_SECONDS,
    NET,
    NOBODY_ENDS_IT,
    SWEEPS_BEFORE_END,
    SWEEPS_BEFORE_FAILURE,
    SWEPT_AHEAD,
    sweep_delay,
    typical_thinking,
)

SUBMIT_LEASE = timedelta(seconds=180)
"""How long a `submitting` attempt belongs to the worker that wrote it. Longer than the worker function's timeout, so
that when the lease has run out its process is dead and the outcome of its call cannot arrive any more."""

DIRECT_LEASE = timedelta(seconds=960)
"""The same where the call is awaited: longer than the direct function's timeout."""

DEADLINE, LATE_LOOK = timedelta(hours=24), timedelta(minutes=1)
"""The latter is the longest interval between looks at a job that is past its deadline."""

CONTENT_KEPT = timedelta(days=30)

STARVED = "reasoning_starved"
"""The reason of an incomplete answer of which nothing can be seen: the model thought until its tokens were used up."""


class Job(Record):
    """A job that takes steps."""

    def hold(self, plan: Plan, *, now: datetime) -> Self:
        """A new entry of the ledger with its money held. Raises IllegalTransition where one is open, or where
        `max_cost_usd` does not hold them all: that is for the caller to see first."""
        if self.terminal or self.open_attempt is not None:
            raise IllegalTransition(f"{self.id}: no hold can be taken while {self.status} with an open attempt")
        return self._next(self.attempts, plan, now)

    def begin(self, *, token: str, provider: str, now: datetime, lease: timedelta = SUBMIT_LEASE) -> Self:
        """The call is about to be made: whoever wins this write makes it."""
        entry = self.open_in("held").model_copy(
            update={"state": "submitting", "token": token, "provider": provider, "called_at": now}
        )
        # The outcome is expected long before the lease is over.
        return self._step(
            status="in_progress", attempts=self._with(entry), wake_at=now + lease, expected_at=now, messaged=False
        )

    def submitted(self, *, response_id: str, now: datetime, check_seconds: int, messaged: bool = True) -> Self:
        """The provider took the call and gave it an id. `messaged` says whether a message of ours will wake the job;
        else the provider's event is to, and the sweeper where that does not come."""
        entry = self.open_in("submitting", "unknown").model_copy(
            update={"state": "submitted", "response_id": response_id, "submitted_at": now}
        )
        if self.cancel_requested_at is not None:  # while the call was being made
            return self._step(attempts=self._with(entry), wake_at=now, refusals=0)
        wake_at = self._after(check_seconds, now)
        soon = wake_at if messaged else min(wake_at, now + typical_thinking(self.called_effort))
        attempts = self._with(entry)
        return self._step(attempts=attempts, wake_at=wake_at, refusals=0, expected_at=soon, messaged=messaged)

    def checked(self, *, now: datetime, check_seconds: int, messaged: bool = True) -> Self:
        """The model still thinks (or could not be asked): look again later."""
        entry = self.open_in("submitted")
        entry = entry.model_copy(update={"checks": entry.checks + 1})
        return self._step(attempts=self._with(entry), wake_at=self._after(check_seconds, now), messaged=messaged)

    def put_back(self, *, now: datetime, busy_seconds: int) -> Self:
        """The provider refused the call, or the run, for now: nothing ran, so the hold stands for the next try."""
        entry = self.open_in("submitting", "submitted").model_copy(
            update={"state": "held", "token": None, "response_id": None, "submitted_at": None, "checks": 0}
        )
        # Who asked for a cancel meanwhile does not wait for another try.
        until = now if self.cancel_requested_at else self._after(busy_seconds, now)
        return self._waits(until, now, status="queued", attempts=self._with(entry), refusals=self.refusals + 1)

    def waits(self, until: datetime, *, now: datetime) -> Self:
        """The call must not be made before `until`: its place in the provider's pace, or the end of a pause."""
        self.open_in("held")
        return self._waits(self._after((until - now).total_seconds(), now), now)

    def goes(self, mode: Mode, *, now: datetime) -> Self:
        """The next call is made in another way than was thought."""
        self.open_in("held")
        return self._step(mode=mode, wake_at=now)

    def lost(self, *, now: datetime, wait: timedelta) -> Self:
        """The call may have reached the provider, and no answer came. For so long its event may still tell."""
        entry = self.open_in("submitting").model_copy(update={"state": "unknown"})
        wake_at = now if self.cancel_requested_at else self._after(wait.total_seconds(), now)
        return self._step(attempts=self._with(entry), wake_at=wake_at, messaged=wake_at <= now, refusals=0)

    def settled(
        self,
        status: Status,
        *,
        now: datetime,
        served_model: str | None,
        usage: Usage | None,
        price_id: str | None,
        cost_usd: Decimal | None,
        response_id: str | None = None,
        failure: Failure | None = None,
        incomplete_reason: str | None = None,
        then: Plan | None = None,
    ) -> Self:
        """The outcome with its usage, price row and cost. Without a cost it settles at its hold, never at zero. `then`
        is what is called next, where this is not the job's end. `response_id` is given where it was not known yet."""
        opened = self.opened
        entry = opened.model_copy(
            update={
                "state": "settled",
                "response_id": response_id or opened.response_id,
                # Its end can be known before anybody wrote down that it had begun.
                "submitted_at": opened.submitted_at or opened.called_at,
                "served_model": served_model,
                "usage": usage,
                "price_id": price_id,
                "cost_usd": cost_usd if cost_usd is not None else opened.hold_usd,
            }
        )
        if then is not None:
            return self._next(self._with(entry), then, now)
        return self._end(
            status, now=now, attempts=self._with(entry), failure=failure, incomplete_reason=incomplete_reason
        )

    def failed(self, code: str, message: str, *, now: datetime, then: Plan | None = None) -> Self:
        """The job ends without an answer, or goes on with `then`. A call that was made may run and be paid for: it
        settles at its hold. One that was not made gives its hold back."""
        attempts = self._closed()
        if then is not None:
            return self._next(attempts, then, now)
        return self._end("failed", now=now, attempts=attempts, failure=Failure(code=code, message=message))

    def refused(self, code: str, message: str, *, now: datetime, then: Plan | None = None) -> Self:
        """The provider refused the call for good, or took it and refused the run: nothing ran. The job ends, or goes on
        with `then`."""
        attempts = self._with(self.open_in("submitting", "submitted").model_copy(update={"state": "refused"}))
        if then is not None:
            return self._next(attempts, then, now)
        return self._end("failed", now=now, attempts=attempts, failure=Failure(code=code, message=message))

    def cancelling(self, *, now: datetime) -> Self:
        """Its owner wants no answer any more, and a call is made: whoever looks next cancels that."""
        state = self.open_in("submitting", "submitted", "unknown").state
        wake_at = self.wake_at if state == "submitting" else now
        return self._step(cancel_requested_at=now, wake_at=wake_at, expected_at=now, messaged=state != "submitting")

    def cancelled(self, *, now: datetime) -> Self:
        """The job ends because its owner wants no answer. What was called settles at its hold, what was not gives its
        hold back."""
        return self._end("cancelled", now=now, attempts=self._closed())

    def corrected(
        self, number: int, *, response_id: str, served_model: str | None, usage: Usage, price_id: str, cost_usd: Decimal
    ) -> Self:
        """What an estimated attempt really used has become known: its cost takes the estimate's place. How the job
        ended, or goes on, stays as it is."""
        entry = self.attempts[number - 1]
        if not entry.estimated:
            raise IllegalTransition(f"{self.id}: attempt {number} is no estimate to correct")
        known: dict[str, Any] = {"response_id": response_id, "served_model": served_model, "usage": usage}
        known |= {"price_id": price_id, "cost_usd": cost_usd}
        attempts = (*self.attempts[: number - 1], entry.model_copy(update=known), *self.attempts[number:])
        return self.model_copy(update={"attempts": attempts, "version": self.version + 1})

    def swept(self, *, now: datetime) -> Self:
        """The sweeper saw it overdue. Here ends what was swept too often without a step (and is not just waiting to be
        called), and what nobody ended by its deadline. Before a step is wanted, only `due_at` moves."""
        if self.due_at is None:
            raise IllegalTransition(f"{self.id}: nothing is due")
        if not self.terminal and now < self.wake_at:
            return self.model_copy(update={"due_at": self.wake_at + NET, "version": self.version + 1})
        sweeps, late = self.sweeps + 1, now - self.deadline_at
        due_at = now + sweep_delay(sweeps)
        if not self.terminal:
            held = self.open_attempt is not None and self.open_attempt.state == "held"
            if late >= timedelta() and (held or (late >= NOBODY_ENDS_IT and sweeps >= SWEEPS_BEFORE_END)):
                return self.failed("deadline_exceeded", "The job did not end before its deadline.", now=now)
            if sweeps >= SWEEPS_BEFORE_FAILURE and not held:
                return self.failed("internal_error", "The job made no progress and was given up.", now=now)
            due_at = due_at if late >= timedelta() else min(due_at, self.deadline_at)
        return self.model_copy(update={"sweeps": sweeps, "due_at": due_at, "version": self.version + 1})

    def _after(self, seconds: float, now: datetime) -> datetime:
        """When to look again. Not past the deadline, or a job would outlive it by the longest interval; and once it has
        passed, soon."""
        later = now + timedelta(seconds=seconds)
        return min(later, self.deadline_at if now < self.deadline_at else now + LATE_LOOK)

    def _waits(self, until: datetime, now: datetime, **changes: Any) -> Self:
        if until - now <= timedelta(seconds=MOST_DELAY_SECONDS):
            return self._step(wake_at=until, **changes)
        # No message is kept back for so long: the sweeper sends it shortly before.
        return self._step(wake_at=until, messaged=False, **changes, due_at=until - SWEPT_AHEAD)

    def _closed(self) -> tuple[Attempt, ...]:
        """The ledger with its open entry ended: what was called at its hold, what was not at nothing."""
        entry = self.open_attempt
        if entry is None:
            return self.attempts
        called = {"state": "settled", "cost_usd": entry.hold_usd}
        return self._with(entry.model_copy(update={"state": "released"} if entry.state == "held" else called))

    def _next(self, attempts: tuple[Attempt, ...], plan: Plan, now: datetime) -> Self:
        committed = exact_sum(*(each.held_usd for each in attempts), *(each.spent_usd for each in attempts))
        if self.max_cost_usd is not None and exact_sum(committed, plan.hold_usd) > self.max_cost_usd:
            raise IllegalTransition(f"{self.id}: {committed} and {plan.hold_usd} are above {self.max_cost_usd}")
        # What is called as it was asked for stands in the job already.
        other = {"hold_usd": plan.hold_usd} if plan.because is None else plan._asdict()
        entry = Attempt(number=len(attempts) + 1, state="held", held_at=now, **other)
        return self._step(status="queued", attempts=(*attempts, entry), wake_at=now, refusals=0)

    def _with(self, entry: Attempt) -> tuple[Attempt, ...]:
        return (*self.attempts[:-1], entry)

    def _end(self, status: Status, *, now: datetime, **changes: Any) -> Self:
        if self.terminal:
            raise IllegalTransition(f"{self.id}: it is {status} already")
        return self._step(status=status, finished_at=now, wake_at=now, **changes)

    def _step(
        self, *, wake_at: datetime, expected_at: datetime | None = None, messaged: bool = True, **changes: Any
    ) -> Self:
        if self.terminal:
            raise IllegalTransition(f"{self.id}: it is {self.status} already")
        # What no message wakes is woken by the sweeper, at once when it is wanted.
        due_at, latest = (wake_at + NET, wake_at + DUE_KEPT_BEYOND) if messaged else (wake_at, wake_at)
        soon = (expected_at or wake_at) + DUE_KEPT_BEFORE
        if self.due_at is not None and soon <= self.due_at <= latest:
            # To move it is to write the index twice. Where it stands it serves as well.
            due_at = self.due_at
        update = {"wake_at": wake_at, "due_at": due_at, "sweeps": 0, "version": self.version + 1, **changes}
        return self.model_copy(update=update)


def accept(
    *,
    id: str,
    tenant: str,
    model: str,
    effort: str | None,
    max_output_tokens: int | None,
    service_tier: str,
    body_hash: str,
    webhook: bool,
    plan: Plan,
    now: datetime,
    deadline_at: datetime | None = None,
    mode: Mode = "background",
    max_cost_usd: Decimal | None = None,
    on_unknown: Literal["retry"] | None = None,
    on_starved: Literal["retry"] | None = None,
    model_policy: Literal["successor"] | None = None,
    rate_tokens: int = 0,
    tags: tuple[str, ...] = (),
) -> Job:
    """A new job with its first hold, as the api writes it. Raises IllegalTransition as `Job.hold` does."""
    job = Job(
        id=id,
        tenant=tenant,
        status="queued",
        mode=mode,
        model=model,
        tags=tags,
        effort=effort,
        max_output_tokens=max_output_tokens,
        max_cost_usd=max_cost_usd,
        on_unknown=on_unknown,
        on_starved=on_starved,
        model_policy=model_policy,
        rate_tokens=rate_tokens,
        service_tier=service_tier,
        body_hash=body_hash,
        webhook=webhook,
        created_at=now,
        deadline_at=deadline_at or now + DEADLINE,
        wake_at=now,
        due_at=now + FIRST_NET,
        version=0,
    )
    return job.hold(plan, now=now)
