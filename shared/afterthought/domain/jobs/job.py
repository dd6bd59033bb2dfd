"""A job and its transitions.

A transition is a pure function: it returns the next version, or raises IllegalTransition. `next_step_at` is when the
next step should happen; `overdue_at` is when the sweeper checks whether it did. A job has an `overdue_at` from its
creation until its end is published, so no accepted job can be lost.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from pydantic import AwareDatetime

from afterthought.domain.errors import IllegalTransition
from afterthought.domain.jobs import schedule
from afterthought.domain.jobs.attempt import Attempt, AttemptState, CallSpec
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.jobs.status import TERMINAL, Failure, Status
from afterthought.domain.models.pricing import Usage, exact_sum
from afterthought.domain.models.provider import Mode


class Job(JobSpec):
    """A job as it is stored; its request and answers are separate items. `busy_retries` counts the calls in a row that
    the provider refused for now, `sweeps` the sweeper's visits since the last step. `incomplete_reason` is the wire's
    `incomplete_details.reason`, or STARVED."""

    status: Status
    next_step_at: AwareDatetime
    overdue_at: AwareDatetime | None
    cancel_requested_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    attempts: tuple[Attempt, ...] = ()
    busy_retries: int = 0
    sweeps: int = 0
    failure: Failure | None = None
    incomplete_reason: str | None = None
    version: int = 1

    @classmethod
    def create(cls, spec: JobSpec, call: CallSpec) -> Self:
        """A new job with its first hold. Raises IllegalTransition as `add_attempt` does."""
        now = spec.created_at
        state = {"status": "queued", "next_step_at": now, "overdue_at": now + schedule.FIRST_MARGIN, "version": 0}
        return cls.model_validate(dict(spec) | state).add_attempt(call, now=now)

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def open_attempt(self) -> Attempt | None:
        """The newest attempt, while its call may still be made or produce a result."""
        return self.attempt if self.attempt is not None and self.attempt.open else None

    @property
    def called_attempt(self) -> Attempt:
        """The open attempt whose call was made. Raises IllegalTransition."""
        return self._attempt_in("calling", "running", "outcome_unknown")

    @property
    def called_model(self) -> str:
        """The model that the newest attempt calls."""
        return (self.attempt.model if self.attempt else None) or self.model

    @property
    def first_model(self) -> str:
        """The model that the first attempt calls: the tenant's rate limit of this model was charged."""
        return (self.attempts[0].model if self.attempts else None) or self.model

    @property
    def called_effort(self) -> str | None:
        return self.attempt.effort if self.attempt and self.attempt.reason else self.effort

    @property
    def called_output_tokens(self) -> int | None:
        return self.attempt.max_output_tokens if self.attempt and self.attempt.reason else self.max_output_tokens

    @property
    def held_usd(self) -> Decimal:
        return exact_sum(*(attempt.held_usd for attempt in self.attempts))

    @property
    def spent_usd(self) -> Decimal:
        return exact_sum(*(attempt.spent_usd for attempt in self.attempts))

    @property
    def estimated(self) -> bool:
        return any(attempt.estimated for attempt in self.attempts)

    @property
    def awaiting_usage(self) -> tuple[Attempt, ...]:
        """The attempts with an estimated cost whose usage the provider can still report. It stores no direct calls."""
        if self.mode == "direct":
            return ()
        return tuple(each for each in self.attempts if each.estimated and each.response_id is not None)

    @property
    def over_max_cost(self) -> bool:
        return any(attempt.over_max_cost for attempt in self.attempts)

    @property
    def expires_at(self) -> datetime:
        """When DynamoDB may delete the record."""
        return self.created_at + schedule.RECORD_RETENTION

    def add_attempt(self, call: CallSpec, *, now: datetime) -> Self:
        """A further attempt with its hold. Raises IllegalTransition while one is open, and above `max_cost_usd`."""
        if self.terminal or self.open_attempt is not None:
            raise IllegalTransition(f"{self.id}: no attempt can be added while {self.status} with an open attempt")
        return self._continue(self.attempts, call, now)

    def start_call(self, *, token: str, provider: str, now: datetime, lease: timedelta = schedule.CALL_LEASE) -> Self:
        """The process whose write succeeds makes the call. After the `lease` that process cannot be alive."""
        changes = {"state": "calling", "token": token, "provider": provider, "called_at": now}
        return self._step(now + lease, attempts=self._with("pending", **changes), status="in_progress")

    def mark_running(self, *, response_id: str, poll_seconds: int, now: datetime) -> Self:
        """The provider accepted the call."""
        changes = {"state": "running", "response_id": response_id, "submitted_at": now}
        attempts = self._with("calling", "outcome_unknown", **changes)
        return self._step(self._after(poll_seconds, now), attempts=attempts, busy_retries=0)

    def record_poll(self, *, poll_seconds: int, now: datetime) -> Self:
        """The provider has not finished the call, or could not be reached."""
        polls = self._attempt_in("running").polls + 1
        return self._step(self._until(poll_seconds, now), attempts=self._with("running", polls=polls))

    def requeue(self, *, delay_seconds: int, now: datetime) -> Self:
        """The provider refused the call, or the run, for now. Nothing ran, so the hold stays for the next call."""
        changes = {"state": "pending", "token": None, "response_id": None, "submitted_at": None, "polls": 0}
        attempts = self._with("calling", "running", "outcome_unknown", **changes)
        at = self._after(delay_seconds, now)
        return self._wait(at, now, status="queued", attempts=attempts, busy_retries=self.busy_retries + 1)

    def defer_until(self, at: datetime, *, now: datetime) -> Self:
        """The call must not be made before `at`: the throttle or the circuit breaker holds it back."""
        self._attempt_in("pending")
        return self._wait(self._until((at - now).total_seconds(), now), now)

    def switch_mode(self, mode: Mode, *, now: datetime) -> Self:
        self._attempt_in("pending")
        return self._step(now, mode=mode)

    def mark_outcome_unknown(self, *, wait: timedelta, now: datetime) -> Self:
        """The call may have reached the provider, and no answer came. For `wait` a provider event may resolve it."""
        attempts = self._with("calling", state="outcome_unknown")
        return self._step(self._after(wait.total_seconds(), now), attempts=attempts, busy_retries=0)

    def request_cancel(self, *, now: datetime) -> Self:
        """The owner wants no answer, and a call was made. While it is being made, its process sees the request."""
        calling = self.called_attempt.state == "calling"
        return self._step(max(self.next_step_at, now) if calling else now, cancel_requested_at=now)

    # ---- transitions that end an attempt, and with it the job, or go on with another one --------------------------

    def settle(
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
        fallback: CallSpec | None = None,
    ) -> Self:
        """The call finished. Without a `cost_usd` it costs its hold, never nothing."""
        attempt = self.called_attempt
        attempts = self._with(
            attempt.state,
            state="settled",
            response_id=response_id or attempt.response_id,
            # The end can be reported before the acceptance was recorded.
            submitted_at=attempt.submitted_at or attempt.called_at,
            served_model=served_model,
            usage=usage,
            price_id=price_id,
            cost_usd=attempt.hold_usd if cost_usd is None else cost_usd,
        )
        if fallback is not None:
            return self._continue(attempts, fallback, now)
        return self._end(status, now, attempts=attempts, failure=failure, incomplete_reason=incomplete_reason)

    def fail(self, code: str, message: str, *, now: datetime, fallback: CallSpec | None = None) -> Self:
        """There is no answer. A call that was made may have run and costs its hold; one that was not costs nothing."""
        attempts = self._closed_attempts()
        if fallback is not None:
            return self._continue(attempts, fallback, now)
        return self._end("failed", now, attempts=attempts, failure=Failure(code=code, message=message))

    def refuse(self, code: str, message: str, *, now: datetime, fallback: CallSpec | None = None) -> Self:
        """The provider refused the call, or the run, for good. Nothing ran."""
        attempts = self._with("calling", "running", "outcome_unknown", state="refused")
        if fallback is not None:
            return self._continue(attempts, fallback, now)
        return self._end("failed", now, attempts=attempts, failure=Failure(code=code, message=message))

    def cancel(self, *, now: datetime) -> Self:
        """The owner wants no answer. A call that was made costs its hold until its usage is known."""
        return self._end("cancelled", now, attempts=self._closed_attempts())

    def correct_usage(
        self, number: int, *, response_id: str, served_model: str | None, usage: Usage, price_id: str, cost_usd: Decimal
    ) -> Self:
        """The real usage of an estimated attempt replaces the estimate. Nothing else changes."""
        attempt = self.attempts[number - 1]
        if not attempt.estimated:
            raise IllegalTransition(f"{self.id}: the cost of attempt {number} is not an estimate")
        changes: dict[str, Any] = {"response_id": response_id, "served_model": served_model, "usage": usage}
        changes |= {"price_id": price_id, "cost_usd": cost_usd}
        attempts = (*self.attempts[: number - 1], attempt.model_copy(update=changes), *self.attempts[number:])
        return self._changed(attempts=attempts)

    def record_sweep(self, *, now: datetime) -> Self:
        """The sweeper found the job overdue. It ends a job without progress, and one long past its deadline."""
        if self.overdue_at is None:
            raise IllegalTransition(f"{self.id}: the job is not overdue")
        if self.terminal:
            return self._swept_again(now)
        if now < self.next_step_at:
            return self._changed(overdue_at=self.next_step_at + schedule.OVERDUE_MARGIN)
        sweeps, late = self.sweeps + 1, now - self.deadline_at
        pending = self.open_attempt is not None and self.open_attempt.state == "pending"
        abandoned = late >= schedule.SWEEPER_ENDS_AFTER and sweeps >= schedule.SWEEPS_BEFORE_END
        if late >= timedelta() and (pending or abandoned):
            return self.fail("deadline_exceeded", "The job did not end before its deadline.", now=now)
        if sweeps >= schedule.SWEEPS_BEFORE_FAILURE and not pending:
            return self.fail("internal_error", "The job made no progress and was given up.", now=now)
        return self._swept_again(now)

    def _swept_again(self, now: datetime) -> Self:
        overdue_at = now + schedule.sweep_delay(self.sweeps + 1)
        if not self.terminal and now < self.deadline_at:
            overdue_at = min(overdue_at, self.deadline_at)
        return self._changed(sweeps=self.sweeps + 1, overdue_at=overdue_at)

    def _attempt_in(self, *states: AttemptState) -> Attempt:
        attempt = self.open_attempt
        if self.terminal or attempt is None or attempt.state not in states:
            raise IllegalTransition(f"{self.id}: no attempt is {' or '.join(states)}")
        return attempt

    def _with(self, *states: AttemptState, **changes: Any) -> tuple[Attempt, ...]:
        """The attempts with changes to the open one, which must be in one of the states."""
        return (*self.attempts[:-1], self._attempt_in(*states).model_copy(update=changes))

    def _closed_attempts(self) -> tuple[Attempt, ...]:
        """The attempts with the open one ended without a result."""
        attempt = self.open_attempt
        if attempt is None:
            return self.attempts
        if attempt.state == "pending":
            return self._with("pending", state="voided")
        return self._with(attempt.state, state="settled", cost_usd=attempt.hold_usd)

    def _continue(self, attempts: tuple[Attempt, ...], call: CallSpec, now: datetime) -> Self:
        committed = exact_sum(*(each.held_usd for each in attempts), *(each.spent_usd for each in attempts))
        if self.max_cost_usd is not None and exact_sum(committed, call.hold_usd) > self.max_cost_usd:
            raise IllegalTransition(f"{self.id}: {committed} and {call.hold_usd} are above {self.max_cost_usd}")
        # A call as requested is described by the job itself.
        described = {"hold_usd": call.hold_usd} if call.reason is None else call._asdict()
        attempt = Attempt(number=len(attempts) + 1, state="pending", held_at=now, **described)
        return self._step(now, status="queued", attempts=(*attempts, attempt), busy_retries=0)

    def _until(self, seconds: float, now: datetime) -> datetime:
        """The time after so many seconds, but not past the deadline; after the deadline, soon."""
        return min(
            now + timedelta(seconds=seconds), self.deadline_at if now < self.deadline_at else now + schedule.LATE
        )

    def _after(self, seconds: float, now: datetime) -> datetime:
        """The same, but at once where a cancel was requested while the call was being made."""
        return now if self.cancel_requested_at is not None else self._until(seconds, now)

    def _wait(self, at: datetime, now: datetime, **changes: Any) -> Self:
        """A wait that is too long for a delayed message: the sweeper sends the message shortly before its end."""
        if (at - now).total_seconds() > schedule.MAX_DELAY_SECONDS:
            changes["overdue_at"] = at - schedule.SWEEP_AHEAD
        return self._step(at, **changes)

    def _end(self, status: Status, now: datetime, **changes: Any) -> Self:
        return self._step(now, status=status, finished_at=now, **changes)

    def _step(self, next_step_at: datetime, **changes: Any) -> Self:
        if self.terminal:
            raise IllegalTransition(f"{self.id}: the job is already {self.status}")
        overdue_at = schedule.overdue_at(next_step_at, self.overdue_at, ended="finished_at" in changes)
        return self._changed(**{"next_step_at": next_step_at, "overdue_at": overdue_at, "sweeps": 0, **changes})

    def _changed(self, **changes: Any) -> Self:
        return self.model_copy(update={**changes, "version": self.version + 1})
