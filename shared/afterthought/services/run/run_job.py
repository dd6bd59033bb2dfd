"""Runs the next step of a job. A message only names the job; the stored job decides the step.

A step reads the job, decides, and writes the job over the version that it read. Only the process whose write succeeds
sends the job's next message, so duplicate messages do not multiply.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.catalogue import Catalogue
from afterthought.domain.errors import ProviderError, VersionConflict
from afterthought.domain.jobs.attempt import Attempt
from afterthought.domain.jobs.call import Call, call_request
from afterthought.domain.jobs.generation import Generation
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
from afterthought.domain.jobs.outcome import (
    Failed,
    Outcome,
    Retired,
    outcome_of_call,
    outcome_of_event,
    outcome_of_poll,
)
from afterthought.domain.jobs.schedule import CALL_LEASE, DIRECT_CALL_LEASE
from afterthought.domain.jobs.step import Step
from afterthought.domain.models.provider import Mode, Provider
from afterthought.services.commit import Committed, commit, same_call
from afterthought.services.contents import get_request
from afterthought.services.limits.circuit_breaker import CircuitBreaker
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.limits.throttle import Throttle
from afterthought.services.ports import Contents, Generations, JobQueue, JobStore
from afterthought.services.run.late_usage import LateUsage
from afterthought.services.run.record_outcome import OutcomeRecorder
from afterthought.services.run.wake import send_wakeup

_EVENT_TRIES = 3
"""A conflict can mean that the worker recorded the call meanwhile: the event then has another outcome."""


@dataclass(frozen=True)
class JobRunner:
    """`mode` is how this function makes calls; `providers` are the enabled providers by preference."""

    jobs: JobStore
    contents: Contents
    queue: JobQueue
    generations: Generations
    catalogue: Catalogue
    providers: tuple[str, ...]
    rate_limiter: RateLimiter
    throttle: Throttle
    circuit_breaker: CircuitBreaker
    recorder: OutcomeRecorder
    late_usage: LateUsage
    clock: Callable[[], datetime]
    new_token: Callable[[], str]
    mode: Mode = "background"

    def run(self, job_id: str) -> Step:
        """Runs one step, including its call. After an error of an adapter the message is received again."""
        started = self.start(job_id)
        if isinstance(started, Step):
            return started
        try:
            result: Generation | ProviderError = self.generations.create(started.provider, started.request)
        except ProviderError as error:
            result = error
        return self.record_result(started, result)

    def start(self, job_id: str) -> Step | Call:
        """Runs one step, or returns the call that this process must make now and pass to `record_result`."""
        job = self.jobs.get(job_id)
        if job is None:
            return Step("ignored")
        try:
            return self._take(job)
        except VersionConflict:
            return Step("conflict", before=job)

    def record_result(self, call: Call, result: Generation | ProviderError) -> Step:
        if isinstance(result, Generation):
            # Only an accepted call shows that the provider works again.
            self.circuit_breaker.close(call.provider.name)
        try:
            return self._record(call.job, call.provider, outcome_of_call(call.job, result, self.clock()))
        except VersionConflict:
            return Step("conflict", before=call.job)

    def handle_event(self, job: Job, attempt: Attempt, generation: Generation) -> Step:
        """Records the response that was retrieved after its event. Raises VersionConflict when the job changes too
        fast. The event must then be handled again: there may be no other message about the response."""
        tries = 0
        while attempt.open:
            provider = self.catalogue.providers[attempt.provider or ""]
            try:
                return self._record(job, provider, outcome_of_event(job, attempt, generation, self.clock()))
            except VersionConflict:
                tries += 1
                current = self.jobs.get(job.id)
                if current is None:
                    return Step("ignored", before=job)
                if tries == _EVENT_TRIES and same_call(job)(current):
                    raise
                job, attempt = current, current.attempts[attempt.number - 1]
        return self.late_usage.apply(job, attempt, generation)

    def _take(self, job: Job) -> Step | Call:
        match next_step(job, self.mode, self.clock()):
            case Ignore(why):
                return Step(why, before=job)
            case FetchUsage():
                return self.late_usage.fetch(job)
            case HandOver():
                return Step("wrong_mode", before=job, enqueued=send_wakeup(self.queue, job))
            case Write(after):
                return self._moved(commit(self.jobs, job, lambda _: after))
            case StartCall():
                return self._start_call(job)
            case GiveUp(outcome):
                return self._record(job, self._called_provider(job), outcome)
            case Poll() as poll:
                return self._poll(job, poll)

    def _start_call(self, job: Job) -> Step | Call:
        now = self.clock()
        model = self.catalogue.find(job.called_model)
        provider = self.catalogue.provider_for(model.id, self.providers, now.date()) if model else None
        if model is None or provider is None:
            return self._record(job, None, Retired())
        if (mode := provider.mode_for(model.id)) != self.mode:
            return self._moved(commit(self.jobs, job, lambda current: current.switch_mode(mode, now=now)))
        retry_at = self.circuit_breaker.retry_at(provider.name) or self.throttle.take(
            provider, model.id, job.tenant, job.rate_tokens
        )
        if retry_at is not None:
            return self._moved(commit(self.jobs, job, lambda current: current.defer_until(retry_at, now=now)))
        request = get_request(self.contents, job)
        if request is None:
            return self._record(job, provider, Failed("internal_error", "The request is no longer stored."))
        lease = CALL_LEASE if self.mode == "background" else DIRECT_CALL_LEASE
        started = job.start_call(token=self.new_token(), provider=provider.name, lease=lease, now=self.clock())
        # The attempt is recorded before the call: the process whose write succeeds makes the call, and no other.
        return Call(commit(self.jobs, job, lambda _: started).after, provider, call_request(started, request))

    def _poll(self, job: Job, poll: Poll) -> Step:
        provider = self._called_provider(job)
        if provider is None:
            message = f"The provider {poll.attempt.provider} is no longer in the catalogue."
            return self._record(job, None, Failed("internal_error", message))
        try:
            read = self.generations.cancel if poll.cancel else self.generations.retrieve
            result: Generation | ProviderError = read(provider, poll.response_id)
        except ProviderError as error:
            result = error
        return self._record(job, provider, outcome_of_poll(job, poll.attempt, result, self.clock()))

    def _record(self, job: Job, provider: Provider | None, outcome: Outcome) -> Step:
        return self._moved(self.recorder.record(job, provider, outcome))

    def _moved(self, committed: Committed) -> Step:
        before, after = committed
        self._correct_rate(after)
        delay = wakeup_delay(after, self.clock())
        enqueued = delay is None or send_wakeup(self.queue, after, delay)
        return Step("moved", before=before, after=after, enqueued=enqueued)

    def _called_provider(self, job: Job) -> Provider | None:
        return self.catalogue.providers.get(job.attempt.provider or "") if job.attempt is not None else None

    def _correct_rate(self, job: Job) -> None:
        """Replaces the estimate in the tenant's rate window by the real usage, while the window lasts."""
        attempt = job.attempt
        if job.terminal and attempt is not None and not attempt.estimated:
            used = attempt.usage.total_tokens if attempt.usage is not None else 0
            self.rate_limiter.correct(job.tenant, job.first_model, job.created_at, self.clock(), used - job.rate_tokens)
