"""A job as it stands: what STATE holds, and what follows from it. Its steps are in `job`."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from afterthought.domain.attempt import Attempt, AttemptState
from afterthought.domain.errors import IllegalTransition
from afterthought.domain.models.provider import Mode
from afterthought.domain.pricing import exact_sum

Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]
TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "incomplete", "cancelled"})

RECORD_KEPT = timedelta(days=400)


class Failure(BaseModel):
    """Why a job ended without an answer: `code` is ours or the provider's, `message` is for the job's owner."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class Record(BaseModel):
    """What STATE holds: small, and all that changes. What is big stands in the content items and never changes.

    `model`, `effort` and `max_output_tokens` are what was asked for; an attempt says where it calls something else.
    `mode` says in which way the next call is made. `on_unknown`, `on_starved` and `model_policy` are None for what is
    usual. `refusals` counts the calls in a row that the provider refused for now; `sweeps` the sweeps since the last
    step; `incomplete_reason` is the wire's `incomplete_details.reason`, or STARVED; `body_hash` is the SHA-256 (hex) of
    the request in canonical form. `max_cost_usd` bounds all its attempts together; `tags` are sorted; `rate_tokens` is
    the estimate that its tenant's tokens per minute were charged with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    status: Status
    mode: Mode = "background"
    model: str
    tags: tuple[str, ...] = ()
    effort: str | None
    max_output_tokens: int | None
    max_cost_usd: Decimal | None = None
    on_unknown: Literal["retry"] | None = None
    on_starved: Literal["retry"] | None = None
    model_policy: Literal["successor"] | None = None
    rate_tokens: int = 0
    service_tier: str
    body_hash: str
    webhook: bool
    created_at: AwareDatetime
    deadline_at: AwareDatetime
    wake_at: AwareDatetime
    due_at: AwareDatetime | None
    cancel_requested_at: AwareDatetime | None = None
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
        """The attempt whose call is made. Raises IllegalTransition when there is none."""
        return self.open_in("submitting", "submitted", "unknown")

    @property
    def called_model(self) -> str:
        """What the newest attempt calls."""
        return (self.attempt.model if self.attempt else None) or self.model

    @property
    def first_model(self) -> str:
        """What the first attempt called: its tenant's minute of that model was charged."""
        return (self.attempts[0].model if self.attempts else None) or self.model

    @property
    def called_effort(self) -> str | None:
        return self._other.effort if self._other else self.effort

    @property
    def called_output_tokens(self) -> int | None:
        return self._other.max_output_tokens if self._other else self.max_output_tokens

    @property
    def _other(self) -> Attempt | None:
        """The newest attempt, where it calls something else than was asked for."""
        return self.attempt if self.attempt is not None and self.attempt.because is not None else None

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
    def correctable(self) -> tuple[Attempt, ...]:
        """The attempts whose cost is an estimate and that the provider has an id for, by which it can be asked. What
        was awaited on the line is not kept there."""
        if self.mode == "direct":
            return ()
        return tuple(each for each in self.attempts if each.estimated and each.response_id is not None)

    @property
    def overrun(self) -> bool:
        return any(attempt.overrun for attempt in self.attempts)

    @property
    def expires_at(self) -> datetime:
        """When the record may be deleted (the table's time to live)."""
        return self.created_at + RECORD_KEPT

    @property
    def left_usd(self) -> Decimal | None:
        """What one more attempt may cost by `max_cost_usd`, once the newest holds nothing more; None without a cap."""
        if self.max_cost_usd is None:
            return None
        return exact_sum(self.max_cost_usd, self.spent_usd.copy_negate())

    def open_in(self, *states: AttemptState) -> Attempt:
        """The open entry, which is in one of these states. Raises IllegalTransition."""
        entry = self.open_attempt
        if self.terminal or entry is None or entry.state not in states:
            raise IllegalTransition(f"{self.id}: no attempt is {' or '.join(states)}")
        return entry
