"""Write into the ledger what came of a call: the job's end, another attempt of it, or another try of the same one."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from afterthought.catalogue import Catalogue
from afterthought.domain import schedule
from afterthought.domain.attempt import Because, Plan
from afterthought.domain.budget import NO_CAPS, Caps, OverBudget, caps_of
from afterthought.domain.errors import (
    NO_MONEY_CODES,
    HungUp,
    IllegalStep,
    JobChanged,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    TablesBusy,
)
from afterthought.domain.job import Job
from afterthought.domain.provider import Provider
from afterthought.domain.record import TERMINAL, Failure
from afterthought.domain.response import Answer
from afterthought.services.contents import get_request, put_answer
from afterthought.services.limits.circuit_breaker import CircuitBreaker
from afterthought.services.ports import Accounts, Contents, Generation, Generations, Ledger
from afterthought.services.settle import bill_of, settle, starved
from afterthought.services.substitute import Substitute

_TRIES = 4
_MODEL_GONE = "model_not_found"
_BUSY_CODES = NO_MONEY_CODES | {"rate_limit_exceeded"}


class Change(Protocol):
    """A job's next version, which goes on with the plan where there is one."""

    def __call__(self, stands: Job, then: Plan | None) -> Job: ...


def _nobody(_provider: str, _code: str) -> None:
    """Is told."""


@dataclass(frozen=True)
class Conclude:
    """Each method gives the job as it was written, and raises JobChanged when somebody else's step stands. `paused` is
    told which provider has been paused, and by which code of its."""

    jobs: Ledger
    contents: Contents
    accounts: Accounts
    generations: Generations
    catalogue: Catalogue
    substitute: Substitute
    breaker: CircuitBreaker
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    paused: Callable[[str, str], None] = _nobody

    def called(self, job: Job, provider: Provider, came: Generation | ProviderError) -> Job:
        """What the create came to."""
        if isinstance(came, ProviderError):
            return self._failed(job, provider, came)
        # Only a call that was taken shows that the provider's money is back.
        self.breaker.close(provider.name)
        return self.ended(job, provider, came) if came.status in TERMINAL else self._submitted(job, provider, came)

    def ended(self, job: Job, provider: Provider, generation: Generation, *, failure: Failure | None = None) -> Job:
        """What a generation that has ended comes to. One that the provider refused only after it took it (on HTTP 200)
        goes the way of a refusal."""
        if generation.status == "failed" and generation.usage is None and failure is None:
            if generation.error_code in _BUSY_CODES:
                return self._busy(job, provider, generation.error_code, None)
            if generation.error_code == _MODEL_GONE:
                return self._refused(job, _MODEL_GONE, generation.error_message or "The model does not exist.")
        attempt = job.opened
        bill = bill_of(job, attempt, generation, self.catalogue.find(job.called_model))
        put_answer(self.contents, job, attempt.number, Answer(output=generation.output))
        plans: Sequence[Plan] = ()
        again = job.on_starved == "retry" and self._may_go_on(job, "reasoning_starved")
        if failure is None and again and starved(generation):
            spent = settle(job, generation, bill, now=self.clock())
            plans = self._plans(job, lambda request: self.substitute.starved(spent, request))
        return self._write(
            job,
            lambda stands, then: settle(stands, generation, bill, now=self.clock(), failure=failure, then=then),
            plans,
        )

    def lost(self, job: Job, provider: Provider | None, message: str) -> Job:
        """No answer came: the provider's event may still tell, where one can come."""
        can_tell = job.mode == "background" and provider is not None and self.generations.announces(provider)
        if not can_tell:
            return self.unresolved(job, message)
        return self._save(job, lambda stands: stands.lost(now=self.clock(), wait=schedule.UNKNOWN_WAIT))

    def unresolved(self, job: Job, message: str) -> Job:
        """Nobody told in time what came of the call: it may have run, and counts as if it had. It is repeated only
        where its owner asked for that, and once."""

        def change(stands: Job, then: Plan | None) -> Job:
            if stands.cancel_requested_at is not None:
                return stands.cancelled(now=self.clock())
            return stands.failed("outcome_unknown", message, now=self.clock(), then=then)

        again = job.on_unknown == "retry" and self._may_go_on(job, "outcome_unknown")
        closed = job.failed("outcome_unknown", message, now=self.clock())
        plans = self._plans(job, lambda request: _as_plans(self.substitute.again(closed, request))) if again else ()
        return self._write(job, change, plans)

    def retired(self, job: Job) -> Job:
        """No provider serves the model any more, and nothing was called."""
        told = "No provider serves this model any more."
        plans, why_not = self._successor(job, "model_retired")
        message = f"{told} {why_not}".strip()
        return self._write(
            job, lambda stands, then: stands.failed(_MODEL_GONE, message, now=self.clock(), then=then), plans
        )

    def _submitted(self, job: Job, provider: Provider, generation: Generation) -> Job:
        def change(stands: Job) -> Job:
            # The sweeper would be up to a minute late for a deadline that is near: that one gets a message.
            near = stands.deadline_at - self.clock() <= timedelta(seconds=schedule.MOST_DELAY_SECONDS)
            announced = self.generations.announces(provider)
            wait = schedule.net_seconds if announced else schedule.check_seconds
            return stands.submitted(
                response_id=generation.response_id,
                now=self.clock(),
                check_seconds=wait(stands.called_effort, 0),
                messaged=near or not announced,
            )

        return self._save(job, change)

    def _failed(self, job: Job, provider: Provider, error: ProviderError) -> Job:
        if isinstance(error, ProviderBusy):
            return self._busy(job, provider, error.code, error.retry_after_seconds)
        if isinstance(error, ProviderRefused):
            return self._refused(job, error.code or "server_error", error.message)
        if isinstance(error, HungUp):
            return self._save(job, self._unwanted)
        return self.lost(job, provider, error.message)

    def _unwanted(self, job: Job) -> Job:
        """Its call was given up, because its owner wants no answer any more or its deadline has passed."""
        now = self.clock()
        return job.cancelled(now=now) if job.cancel_requested_at is not None else overdue(job, now)

    def _busy(self, job: Job, provider: Provider, code: str | None, retry_after_seconds: float | None) -> Job:
        """Nothing ran. The hold stands, and the call is made again later."""
        seconds = schedule.busy_seconds(job.refusals, retry_after_seconds, self.chance())
        if code in NO_MONEY_CODES:
            until = self.breaker.open(provider.name, str(code))
            seconds = max(1, math.ceil((until - self.clock()).total_seconds()))
            self.paused(provider.name, str(code))
        return self._save(job, lambda stands: stands.put_back(now=self.clock(), busy_seconds=seconds))

    def _refused(self, job: Job, code: str, message: str) -> Job:
        plans, why_not = self._successor(job, "model_not_found") if code == _MODEL_GONE else ((), "")
        told = f"{message} {why_not}".strip()
        try:
            return self._write(job, lambda stands, then: stands.refused(code, told, now=self.clock(), then=then), plans)
        except TablesBusy:
            # Left as it is, the entry would count as a call of which nobody knows, and cost its hold. Nothing ran: it
            # may be called, and refused, once more. Going back moves no money, so this write meets nobody.
            seconds = schedule.busy_seconds(0, None, self.chance())
            return self._save(job, lambda stands: stands.put_back(now=self.clock(), busy_seconds=seconds))

    def _successor(self, job: Job, because: Because) -> tuple[Sequence[Plan], str]:
        """The model to call instead, where its owner asked for that; else why there is none."""
        if job.model_policy != "successor" or job.cancel_requested_at is not None or self.clock() >= job.deadline_at:
            return (), ""
        request = get_request(self.contents, job)
        if request is None:
            return (), "The request is no longer stored."
        found = self.substitute(job, request, because)
        return ((), found) if isinstance(found, str) else ((found,), "")

    def _plans(self, job: Job, of: Callable[[dict[str, Any]], Iterable[Plan]]) -> Sequence[Plan]:
        request = get_request(self.contents, job)
        return () if request is None else tuple(of(request))

    def _may_go_on(self, job: Job, because: Because) -> bool:
        """For each reason once, and only while an answer is wanted."""
        wanted = job.cancel_requested_at is None and self.clock() < job.deadline_at
        # A lost call whose model is gone meanwhile is repeated by the successor, for that reason.
        lost = any(each.estimated and each.response_id is None for each in job.attempts)
        repeated = because == "outcome_unknown" and lost
        return wanted and not repeated and all(each.because != because for each in job.attempts)

    def _write(self, job: Job, change: Change, plans: Sequence[Plan] = ()) -> Job:
        """The first of the plans that its tenant's budgets hold, else the job's end."""
        # Without its tenant nobody would pay for one more.
        tenant = self.accounts.tenant(job.tenant) if plans else None
        if tenant is not None:
            for plan in plans:
                with suppress(OverBudget):
                    return self._save(job, partial(change, then=plan), caps_of(tenant))
        return self._save(job, partial(change, then=None))

    def _save(self, job: Job, change: Callable[[Job], Job], caps: Caps = NO_CAPS) -> Job:
        """What was called is known, whoever wrote the job meanwhile: a cancel that was asked for, a pass of the
        sweeper. The change is made on what stands, as long as the same call is open there."""
        token = job.attempt.token if job.attempt else None
        for tries in range(_TRIES):
            try:
                after = change(job)
            except IllegalStep as illegal:
                if not tries:
                    raise
                raise JobChanged(job.id) from illegal
            try:
                self.jobs.save(job, after, caps)
            except JobChanged:
                stands = self.jobs.get(job.id)
                # A transport repeats a write whose answer was lost, and the repeat loses to the write itself. What
                # stands in the table tells: an attempt's token is random, so nobody else's step can look like ours.
                if stands == after:
                    return after
                # What was not called has no token, and gives way to whoever was first.
                same = stands is not None and stands.open_attempt is not None and stands.open_attempt.token == token
                if stands is None or token is None or not same:
                    raise
                job = stands
            else:
                return after
        raise JobChanged(job.id)


def overdue(job: Job, now: datetime) -> Job:
    return job.failed("deadline_exceeded", deadline_failure().message, now=now)


def deadline_failure() -> Failure:
    return Failure(code="deadline_exceeded", message="The job did not end before its deadline and was cancelled.")


def _as_plans(found: Plan | str) -> Sequence[Plan]:
    return () if isinstance(found, str) else (found,)
