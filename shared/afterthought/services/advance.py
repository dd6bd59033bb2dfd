"""Take a job one step further. Any number of messages may ask for it, in any order: the table says what to do next.

A step is: read the job, decide, write the job over the version that was read. Only the winner of that write sends the
job's next message, so duplicates die out instead of breeding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from afterthought.catalogue import Catalogue
from afterthought.domain import schedule
from afterthought.domain.attempt import Attempt
from afterthought.domain.call import Call, belongs, call_request
from afterthought.domain.errors import (
    GenerationGone,
    IllegalStep,
    JobChanged,
    ProviderBusy,
    ProviderError,
    QueueUnavailable,
)
from afterthought.domain.job import DIRECT_LEASE, SUBMIT_LEASE, Job
from afterthought.domain.provider import Mode, Provider
from afterthought.domain.record import TERMINAL, Failure
from afterthought.services.conclude import Conclude, deadline_failure, overdue
from afterthought.services.contents import get_request
from afterthought.services.estimates import Estimates
from afterthought.services.limits.circuit_breaker import CircuitBreaker
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.limits.throttle import Throttle
from afterthought.services.ports import Contents, Generation, Generations, JobQueue, Ledger
from afterthought.services.step import Step

# A message sent with a whole-second delay may arrive a little before the moment it was meant for.
_EARLY = timedelta(seconds=1)
# A generation that ends near the deadline may be paid already: one failed look must not throw its answer away.
_GRACE = timedelta(minutes=10)
_TRIES = 3
_LOST = "The worker was lost while it called the model; the call may have run."


@dataclass(frozen=True)
class Advance:
    """`mode` is in which way this function calls models."""

    jobs: Ledger
    contents: Contents
    queue: JobQueue
    generations: Generations
    catalogue: Catalogue
    providers: tuple[str, ...]
    limit: RateLimiter
    throttle: Throttle
    breaker: CircuitBreaker
    conclude: Conclude
    estimates: Estimates
    clock: Callable[[], datetime]
    new_token: Callable[[], str]
    mode: Mode = "background"

    def __call__(self, job_id: str) -> Step:
        """One step. What an adapter raises goes through: the message is then seen again."""
        found = self.begin(job_id)
        if isinstance(found, Step):
            return found
        try:
            came: Generation | ProviderError = self.generations.create(found.provider, found.request)
        except ProviderError as error:
            came = error
        return self.end(found, came)

    def begin(self, job_id: str) -> Step | Call:
        """One step, or a call that is to be made now, by this process alone: `end` takes what it comes to."""
        job = self.jobs.get(job_id)
        if job is None:
            return Step("dropped")
        if job.terminal:
            return self.estimates.late(job)
        if self.clock() < job.wake_at - _EARLY:
            return Step("early", before=job)
        attempt = job.open_attempt
        if attempt is None:
            raise IllegalStep(f"{job.id}: it is {job.status} and no attempt is open")
        if attempt.state == "held" and job.mode != self.mode:
            return Step("elsewhere", before=job, enqueued=self._send(job, 0))
        try:
            found = self._submit(job) if attempt.state == "held" else self._look(job, attempt)
        except JobChanged:
            return Step("lost", before=job)
        return found if isinstance(found, Call) else self._moved(job, found)

    def end(self, call: Call, came: Generation | ProviderError) -> Step:
        """What the call came to, written down."""
        try:
            after = self.conclude.called(call.job, call.provider, came)
        except JobChanged:
            return Step("lost", before=call.job)
        return self._moved(call.job, after)

    def told(self, job: Job, attempt: Attempt, generation: Generation) -> Step:
        """What the provider says of an attempt on an event's word. Raises JobChanged when the job moves faster than it
        can be told: the event is then to be handed out again, since it may be the only one who tells."""
        stands: Job | None = job
        for _ in range(_TRIES):
            if stands is None:
                break
            entry = stands.attempts[attempt.number - 1]
            if not entry.open or entry.token != attempt.token:
                return self.estimates.correct(stands, entry, generation)
            try:
                return self._moved(stands, self._heard(stands, entry, generation))
            except JobChanged:
                stands = self.jobs.get(job.id)
        if stands is None:
            return Step("dropped", before=job)
        raise JobChanged(job.id)

    def _heard(self, job: Job, entry: Attempt, generation: Generation) -> Job:
        provider = self.catalogue.providers[entry.provider or ""]
        if generation.status in TERMINAL:
            return self.conclude.ended(job, provider, generation, failure=self._by_deadline(job, generation))
        # The event is ahead of what can be read: it will have ended in a moment, and its id is known now.
        soon = schedule.check_seconds(None, 0)
        if entry.state == "submitted":
            return self._save(job, job.checked(now=self.clock(), check_seconds=soon))
        known = job.submitted(response_id=generation.response_id, now=self.clock(), check_seconds=soon)
        return self._save(job, known)

    def _submit(self, job: Job) -> Job | Call:
        now = self.clock()
        if job.cancel_requested_at is not None:
            return self._save(job, job.cancelled(now=now))
        if now >= job.deadline_at:
            return self._save(
                job, job.failed("deadline_exceeded", "The job did not start before its deadline.", now=now)
            )
        model = self.catalogue.find(job.called_model)
        provider = self.catalogue.provider_for(model.id, self.providers, now.date()) if model else None
        if model is None or provider is None:
            return self.conclude.retired(job)
        if (mode := provider.mode_for(model.id)) != self.mode:
            return self._save(job, job.goes(mode, now=now))
        until = self.breaker.retry_at(provider.name) or self.throttle.take(
            provider, model.id, job.tenant, job.rate_tokens
        )
        if until is not None:
            return self._save(job, job.waits(until, now=now))
        request = get_request(self.contents, job)
        if request is None:
            return self._save(job, job.failed("internal_error", "The request is no longer stored.", now=now))
        # The ledger entry comes before the call: whoever wins this write makes the call, and nobody else does.
        lease = SUBMIT_LEASE if self.mode == "background" else DIRECT_LEASE
        begun = job.begin(token=self.new_token(), provider=provider.name, now=self.clock(), lease=lease)
        return Call(self._save(job, begun), provider, call_request(begun, request))

    def _look(self, job: Job, attempt: Attempt) -> Job:
        provider = self.catalogue.providers.get(attempt.provider or "")
        if attempt.state == "submitting":
            # Its lease has run out (wake_at has passed): whoever made the call is dead, and what came of it unknown.
            return self.conclude.lost(job, provider, _LOST)
        if attempt.state == "unknown":
            return self.conclude.unresolved(job, "The model was called, and nobody told what came of it.")
        if provider is None or attempt.response_id is None:
            gone = f"The provider {attempt.provider} is gone."
            return self._save(job, job.failed("internal_error", gone, now=self.clock()))
        return self._check(job, attempt, provider, attempt.response_id)

    def _check(self, job: Job, attempt: Attempt, provider: Provider, response_id: str) -> Job:
        asked_at, late = job.cancel_requested_at, self.clock() >= job.deadline_at
        stop = late or asked_at is not None
        over = self.clock() >= min(job.deadline_at, asked_at or job.deadline_at) + _GRACE
        try:
            look = self.generations.cancel if stop else self.generations.retrieve
            generation = look(provider, response_id)
        except GenerationGone as error:
            return self._save(job, job.failed("generation_gone", error.message, now=self.clock()))
        except ProviderError as error:
            # Looking costs nothing and can be repeated: whatever went wrong, look again later.
            return self._save(job, self._stopped(job) if over else self._look_again(job, attempt, provider, error))
        if not belongs(generation.metadata, job, attempt):
            other = "The provider gave another call's response."
            return self._save(job, job.failed("internal_error", other, now=self.clock()))
        if generation.status not in TERMINAL:
            return self._save(job, self._stopped(job) if over else self._look_again(job, attempt, provider, None))
        return self.conclude.ended(job, provider, generation, failure=self._by_deadline(job, generation))

    def _by_deadline(self, job: Job, generation: Generation) -> Failure | None:
        """Why the provider's word is that it was cancelled, where it was by us and not by the job's owner."""
        late = self.clock() >= job.deadline_at and job.cancel_requested_at is None
        return deadline_failure() if late and generation.status == "cancelled" else None

    def _stopped(self, job: Job) -> Job:
        """The provider could not be brought to cancel it in time."""
        now = self.clock()
        return job.cancelled(now=now) if job.cancel_requested_at is not None else overdue(job, now)

    def _look_again(self, job: Job, attempt: Attempt, provider: Provider, error: ProviderError | None) -> Job:
        stopping = job.cancel_requested_at is not None or self.clock() >= job.deadline_at
        announced = self.generations.announces(provider) and not stopping
        if stopping:
            seconds = schedule.stop_seconds(self.clock() - (job.cancel_requested_at or job.deadline_at))
        elif announced and error is None:
            seconds = schedule.net_seconds(job.called_effort, attempt.checks + 1)
        else:
            seconds = schedule.check_seconds(job.called_effort, attempt.checks + 1)
        if isinstance(error, ProviderBusy) and error.retry_after_seconds is not None:
            seconds = max(seconds, schedule.busy_seconds(0, error.retry_after_seconds))
        near = job.deadline_at - self.clock() <= timedelta(seconds=schedule.MOST_DELAY_SECONDS)
        messaged = near or not announced or error is not None
        return job.checked(now=self.clock(), check_seconds=seconds, messaged=messaged)

    def _save(self, before: Job, after: Job) -> Job:
        try:
            self.jobs.save(before, after)
        except JobChanged:
            # A transport repeats a write whose answer was lost, and the repeat loses to the write itself. What stands
            # in the table tells: an attempt's token is random, so nobody else's step can look like ours.
            if self.jobs.get(after.id) != after:
                raise
        return after

    def _moved(self, before: Job, after: Job) -> Step:
        self._correct_rate(after)
        return Step("moved", before=before, after=after, enqueued=self._wake_later(after))

    def _correct_rate(self, job: Job) -> None:
        """The tenant's minute was charged with an estimate; while it lasts, what was really used takes its place."""
        attempt = job.attempt
        if job.terminal and attempt is not None and not attempt.estimated:
            used = attempt.usage.total_tokens if attempt.usage is not None else 0
            self.limit.correct(job.tenant, job.first_model, job.created_at, self.clock(), used - job.rate_tokens)

    def _wake_later(self, job: Job) -> bool:
        """Sends the message for the job's next look, where it is a message that brings it about. An ended job is looked
        at again only if its cost is an estimate that the provider may still correct."""
        if job.terminal:
            return not job.correctable or self._send(job, schedule.LATE_ANSWER_SECONDS)
        delay = max(0, math.ceil((job.wake_at - self.clock()).total_seconds()))
        return self._woken(job, delay) or self._send(job, delay)

    def _send(self, job: Job, delay_seconds: int) -> bool:
        try:
            self.queue.send(job, delay_seconds=delay_seconds)
        except QueueUnavailable:
            return False
        return True

    def _woken(self, job: Job, delay_seconds: int) -> bool:
        """Whether the provider's event is to wake the job, or the sweeper."""
        if delay_seconds > schedule.MOST_DELAY_SECONDS:
            return True
        # Only a step that no message follows has nothing between what is wanted and what is overdue.
        return delay_seconds > 0 and job.due_at is not None and job.due_at <= job.wake_at
