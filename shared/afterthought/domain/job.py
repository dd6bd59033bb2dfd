"""A job and its steps. Each step is a pure function of the job: it gives the job's next version or raises IllegalStep.

`wake_at` is when the next step is wanted; `due_at` is when the sweeper must see that it did not come. From creation
until it is announced a job always has a `due_at`, so nothing that was accepted can be forgotten.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from afterthought.domain.attempt import Attempt, AttemptState
from afterthought.domain.errors import IllegalStep
from afterthought.domain.pricing import Usage, exact_sum
from afterthought.domain.schedule import NET, SWEEPS_BEFORE_FAILURE, sweep_delay

Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]
TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "incomplete", "cancelled"})

SUBMIT_LEASE = timedelta(seconds=180)
"""How long a `submitting` attempt belongs to the worker that wrote it. Longer than the worker function's timeout, so
that when the lease has run out its process is dead and the outcome of its call cannot arrive any more."""

DEADLINE = timedelta(hours=24)
LATE_LOOK = timedelta(minutes=1)
"""The longest interval between looks at a job that is past its deadline."""

RECORD_KEPT = timedelta(days=400)
CONTENT_KEPT = timedelta(days=30)


class Failure(BaseModel):
    """Why a job ended without an answer: `code` is ours or the provider's, `message` is for the job's owner."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class Job(BaseModel):
    """What STATE holds: small, and all that changes. What is big stands in the content items and never changes.

    `refusals` counts the calls in a row that the provider refused for now; `sweeps` the sweeps since the last step;
    `incomplete_reason` is the wire's `incomplete_details.reason`; `body_hash` is the SHA-256 (hex) of the request in
    canonical form. `max_cost_usd` bounds all its attempts together; `tags` are sorted;
    `rate_tokens` is the estimate that its tenant's tokens per minute were charged with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    status: Status
    model: str
    tags: tuple[str, ...] = ()
    effort: str | None
    max_output_tokens: int | None
    max_cost_usd: Decimal | None = None
    rate_tokens: int = 0
    service_tier: str
    body_hash: str
    webhook: bool
    created_at: AwareDatetime
    deadline_at: AwareDatetime
    wake_at: AwareDatetime
    due_at: AwareDatetime | None
    finished_at: AwareDatetime | None = None
    attempts: tuple[Attempt, ...] = ()
    refusals: int = 0
    sweeps: int = 0
    failure: Failure | None = None
    incomplete_reason: str | None = None
    version: int = 1

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def attempt(self) -> Attempt | None:
        """The newest entry of the ledger."""
        return self.attempts[-1] if self.attempts else None

    @property
    def open_attempt(self) -> Attempt | None:
        """The entry whose call may still be made or come to something."""
        last = self.attempt
        return last if last is not None and last.open else None

    @property
    def opened(self) -> Attempt:
        """The attempt whose call is made. Raises IllegalStep when there is none."""
        return self._open("submitting", "submitted")

    @property
    def held_usd(self) -> Decimal:
        """What the job holds now."""
        return exact_sum(*(attempt.held_usd for attempt in self.attempts))

    @property
    def spent_usd(self) -> Decimal:
        """What the job has cost so far."""
        return exact_sum(*(attempt.spent_usd for attempt in self.attempts))

    @property
    def estimated(self) -> bool:
        return any(attempt.estimated for attempt in self.attempts)

    @property
    def overrun(self) -> bool:
        return any(attempt.overrun for attempt in self.attempts)

    @property
    def expires_at(self) -> datetime:
        """When the record may be deleted (the table's time to live)."""
        return self.created_at + RECORD_KEPT

    def hold(self, hold_usd: Decimal, *, now: datetime) -> Self:
        """A new entry of the ledger with its money held. Raises IllegalStep where one is open, or where `max_cost_usd`
        does not hold them all: that is for the caller to see first."""
        if self.terminal or self.open_attempt is not None:
            raise IllegalStep(f"{self.id}: no hold can be taken while {self.status} with an open attempt")
        committed = exact_sum(self.held_usd, self.spent_usd, hold_usd)
        if self.max_cost_usd is not None and committed > self.max_cost_usd:
            raise IllegalStep(f"{self.id}: {committed} would be committed, {self.max_cost_usd} is the most")
        entry = Attempt(number=len(self.attempts) + 1, state="held", hold_usd=hold_usd, held_at=now)
        return self._step(status="queued", attempts=(*self.attempts, entry), wake_at=now)

    def begin(self, *, token: str, provider: str, now: datetime) -> Self:
        """The call is about to be made: whoever wins this write makes it."""
        entry = self._open("held").model_copy(
            update={"state": "submitting", "token": token, "provider": provider, "called_at": now}
        )
        return self._step(status="in_progress", attempts=self._with(entry), wake_at=now + SUBMIT_LEASE)

    def submitted(self, *, response_id: str, now: datetime, check_seconds: int) -> Self:
        """The provider took the call and gave it an id."""
        entry = self._open("submitting").model_copy(
            update={"state": "submitted", "response_id": response_id, "submitted_at": now}
        )
        return self._step(attempts=self._with(entry), wake_at=self._after(check_seconds, now), refusals=0)

    def checked(self, *, now: datetime, check_seconds: int) -> Self:
        """The model still thinks (or could not be asked): look again later."""
        entry = self._open("submitted")
        entry = entry.model_copy(update={"checks": entry.checks + 1})
        return self._step(attempts=self._with(entry), wake_at=self._after(check_seconds, now))

    def put_back(self, *, now: datetime, busy_seconds: int) -> Self:
        """The provider refused the call for now, so nothing ran: back to the queue. The hold stands."""
        entry = self._open("submitting").model_copy(update={"state": "held"})
        return self._step(
            status="queued",
            attempts=self._with(entry),
            refusals=self.refusals + 1,
            wake_at=self._after(busy_seconds, now),
        )

    def settled(
        self,
        status: Status,
        *,
        now: datetime,
        served_model: str | None,
        usage: Usage | None,
        price_id: str | None,
        cost_usd: Decimal | None,
        failure: Failure | None = None,
        incomplete_reason: str | None = None,
    ) -> Self:
        """The outcome with its usage, price row and cost. Without a cost it settles at its hold, never at zero."""
        entry = self._open("submitted", "submitting").model_copy(
            update={
                "state": "settled",
                "served_model": served_model,
                "usage": usage,
                "price_id": price_id,
                "cost_usd": cost_usd if cost_usd is not None else self.opened.hold_usd,
            }
        )
        return self._end(
            status, now=now, attempts=self._with(entry), failure=failure, incomplete_reason=incomplete_reason
        )

    def failed(self, code: str, message: str, *, now: datetime) -> Self:
        """The job ends without an answer. A call that was made may run and be paid for: it settles at its hold. One
        that was not made gives its hold back."""
        attempts = self.attempts
        if (entry := self.open_attempt) is not None:
            called = {"state": "settled", "cost_usd": entry.hold_usd}
            attempts = self._with(entry.model_copy(update={"state": "released"} if entry.state == "held" else called))
        return self._end("failed", now=now, attempts=attempts, failure=Failure(code=code, message=message))

    def refused(self, code: str, message: str, *, now: datetime) -> Self:
        """The provider refused the call for good: nothing ran, the job ends."""
        entry = self._open("submitting").model_copy(update={"state": "refused"})
        return self._end("failed", now=now, attempts=self._with(entry), failure=Failure(code=code, message=message))

    def corrected(self, *, served_model: str | None, usage: Usage, price_id: str, cost_usd: Decimal) -> Self:
        """What an estimated attempt really used has become known: its cost takes the estimate's place. How the job
        ended stays as it is: it has been announced."""
        entry = self.attempt
        if not self.terminal or entry is None or not entry.estimated:
            raise IllegalStep(f"{self.id}: there is no estimate to correct")
        known = {"served_model": served_model, "usage": usage, "price_id": price_id, "cost_usd": cost_usd}
        return self.model_copy(
            update={"attempts": self._with(entry.model_copy(update=known)), "version": self.version + 1}
        )

    def swept(self, *, now: datetime) -> Self:
        """The sweeper saw it overdue. What is not terminal and has been swept too often without a step ends here."""
        if self.due_at is None:
            raise IllegalStep(f"{self.id}: nothing is due")
        sweeps = self.sweeps + 1
        if sweeps >= SWEEPS_BEFORE_FAILURE and not self.terminal:
            return self.failed("internal_error", "The job made no progress and was given up.", now=now)
        return self.model_copy(
            update={"sweeps": sweeps, "due_at": now + sweep_delay(sweeps), "version": self.version + 1}
        )

    def _open(self, *states: AttemptState) -> Attempt:
        entry = self.open_attempt
        if self.terminal or entry is None or entry.state not in states:
            raise IllegalStep(f"{self.id}: no attempt is {' or '.join(states)}")
        return entry

    def _after(self, seconds: int, now: datetime) -> datetime:
        """When to look again. Not past the deadline, or a job would outlive it by the longest interval; and once it has
        passed, soon."""
        later = now + timedelta(seconds=seconds)
        return min(later, self.deadline_at if now < self.deadline_at else now + LATE_LOOK)

    def _with(self, entry: Attempt) -> tuple[Attempt, ...]:
        return (*self.attempts[:-1], entry)

    def _end(self, status: Status, *, now: datetime, **changes: object) -> Self:
        if self.terminal:
            raise IllegalStep(f"{self.id}: it is {status} already")
        return self._step(status=status, finished_at=now, wake_at=now, **changes)

    def _step(self, *, wake_at: datetime, **changes: object) -> Self:
        if self.terminal:
            raise IllegalStep(f"{self.id}: it is {self.status} already")
        due_at = wake_at + NET
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
    hold_usd: Decimal,
    now: datetime,
    max_cost_usd: Decimal | None = None,
    rate_tokens: int = 0,
    tags: tuple[str, ...] = (),
) -> Job:
    """A new job with its first hold, as the api writes it. Raises IllegalStep as `Job.hold` does."""
    job = Job(
        id=id,
        tenant=tenant,
        status="queued",
        model=model,
        tags=tags,
        effort=effort,
        max_output_tokens=max_output_tokens,
        max_cost_usd=max_cost_usd,
        rate_tokens=rate_tokens,
        service_tier=service_tier,
        body_hash=body_hash,
        webhook=webhook,
        created_at=now,
        deadline_at=now + DEADLINE,
        wake_at=now,
        due_at=now + NET,
        version=0,
    )
    return job.hold(hold_usd, now=now)
