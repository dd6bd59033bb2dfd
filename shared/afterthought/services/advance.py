"""Take a job one step further. Any number of messages may ask for it, in any order: the table says what to do next.

A step is: read the job, decide, write the job over the version that was read. Only the winner of that write sends the
job's next message, so duplicates die out instead of breeding.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from afterthought.catalogue import Catalogue
from afterthought.domain import schedule
from afterthought.domain.attempt import Attempt
from afterthought.domain.errors import (
    GenerationGone,
    IllegalStep,
    JobChanged,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    QueueUnavailable,
    TablesBusy,
)
from afterthought.domain.job import TERMINAL, Failure, Job
from afterthought.domain.provider import Provider
from afterthought.services.contents import get_request
from afterthought.services.limit import Limit
from afterthought.services.ports import Contents, Generation, Generations, JobQueue, Ledger
from afterthought.services.settle import correct, settle

# A message sent with a whole-second delay may arrive a little before the moment it was meant for.
_EARLY = timedelta(seconds=1)
# A generation that ends near the deadline may be paid already: one failed look must not throw its answer away.
_GRACE = timedelta(minutes=10)
_TRIES = 3

Outcome = Literal["dropped", "early", "lost", "moved", "corrected"]


@dataclass(frozen=True)
class Step:
    """What came of one look: `dropped` (no such job, or it has ended), `early` (its time has not come), `lost`
    (another worker moved it first), `moved`, with the job as it was and as it is, or `corrected`, where what an ended
    job really used took the place of an estimate. `enqueued` is false when the job's next message could not be sent:
    the sweeper then sends it, unless the job has ended."""

    outcome: Outcome
    before: Job | None = None
    after: Job | None = None
    enqueued: bool = True

    @property
    def ended(self) -> Job | None:
        """The job, if this step ended it."""
        return self.after if self.outcome == "moved" and self.after is not None and self.after.terminal else None


@dataclass(frozen=True)
class Advance:
    jobs: Ledger
    contents: Contents
    queue: JobQueue
    generations: Generations
    catalogue: Catalogue
    providers: tuple[str, ...]
    limit: Limit
    clock: Callable[[], datetime]
    new_token: Callable[[], str]

    def __call__(self, job_id: str) -> Step:
        """One step. What an adapter raises goes through: the message is then seen again."""
        job = self.jobs.get(job_id)
        if job is None:
            return Step("dropped")
        if job.terminal:
            estimate = _correctable(job)
            return Step("dropped", before=job) if estimate is None else self._late(job, *estimate)
        if self.clock() < job.wake_at - _EARLY:
            return Step("early", before=job)
        try:
            after = self._step(job)
        except JobChanged:
            return Step("lost", before=job)
        self._correct_rate(after)
        return Step("moved", before=job, after=after, enqueued=self._wake_later(after))

    def _step(self, job: Job) -> Job:
        attempt = job.open_attempt
        if attempt is None:
            raise IllegalStep(f"{job.id}: it is {job.status} and no attempt is open")
        if attempt.state == "held":
            return self._submit(job)
        if attempt.state == "submitting":
            # Its lease has run out (wake_at has passed): whoever made the call is dead, and what came of it unknown.
            lost = "The worker was lost while it called the model; the call may have run."
            return self._save(job, job.failed("outcome_unknown", lost, now=self.clock()))
        return self._check(job, attempt)

    def _submit(self, job: Job) -> Job:
        now = self.clock()
        if now >= job.deadline_at:
            return self._save(
                job, job.failed("deadline_exceeded", "The job did not start before its deadline.", now=now)
            )
        model = self.catalogue.find(job.model)
        provider = self.catalogue.provider_for(model.id, self.providers, now.date()) if model else None
        if provider is None:
            return self._save(job, job.failed("model_not_found", "No provider serves this model any more.", now=now))
        request = get_request(self.contents, job)
        if request is None:
            return self._save(job, job.failed("internal_error", "The request is no longer stored.", now=now))
        # The ledger entry comes before the call: whoever wins this write makes the call, and nobody else does.
        begun = self._save(job, job.begin(token=self.new_token(), provider=provider.name, now=now))
        called = self._call(begun, provider, _provider_request(begun, request))
        try:
            return self._save(begun, called)
        except TablesBusy:
            if called.attempt is None or called.attempt.state != "refused":
                raise
            # Left as it is, the entry would count as a call of which nobody knows, and cost its hold. Nothing ran: it
            # may be called, and refused, once more. Going back moves no money, so this write meets nobody.
            return self._save(begun, begun.put_back(now=self.clock(), busy_seconds=schedule.busy_seconds(0, None)))

    def _call(self, job: Job, provider: Provider, request: dict[str, Any]) -> Job:
        try:
            generation = self.generations.create(provider, request)
        except ProviderBusy as busy:
            seconds = schedule.busy_seconds(job.refusals, busy.retry_after_seconds)
            return job.put_back(now=self.clock(), busy_seconds=seconds)
        except ProviderRefused as refused:
            return job.refused(refused.code or "server_error", refused.message, now=self.clock())
        except OutcomeUnknown as unknown:
            return job.failed("outcome_unknown", unknown.message, now=self.clock())
        seconds = schedule.check_seconds(job.effort, 0)
        return job.submitted(response_id=generation.response_id, now=self.clock(), check_seconds=seconds)

    def _check(self, job: Job, attempt: Attempt) -> Job:
        provider = self.catalogue.providers.get(attempt.provider or "")
        if provider is None or attempt.response_id is None:
            gone = f"The provider {attempt.provider} is gone."
            return self._save(job, job.failed("internal_error", gone, now=self.clock()))
        late = self.clock() >= job.deadline_at
        over = self.clock() >= job.deadline_at + _GRACE
        try:
            look = self.generations.cancel if late else self.generations.retrieve
            generation = look(provider, attempt.response_id)
        except GenerationGone as error:
            return self._save(job, job.failed("generation_gone", error.message, now=self.clock()))
        except ProviderError as error:
            # Looking costs nothing and can be repeated: whatever went wrong, look again later.
            return self._save(job, _overdue(job, self.clock()) if over else self._look_again(job, attempt, error))
        if not _ours(generation, job, attempt):
            other = "The provider gave another call's response."
            return self._save(job, job.failed("internal_error", other, now=self.clock()))
        if generation.status not in TERMINAL:
            return self._save(job, _overdue(job, self.clock()) if over else self._look_again(job, attempt, None))
        return self._save(
            job,
            settle(
                job,
                generation,
                model=self.catalogue.find(job.model),
                contents=self.contents,
                now=self.clock(),
                failure=_deadline_failure() if late and generation.status == "cancelled" else None,
            ),
        )

    def _late(self, job: Job, attempt: Attempt, response_id: str) -> Step:
        """The job has ended and its cost is an estimate: the provider may know by now what was used. It is asked once:
        a look that sends the next one, with no write to win between them, would double with each message that comes
        twice."""
        provider = self.catalogue.providers.get(attempt.provider or "")
        if provider is None:
            return Step("dropped", before=job)
        try:
            generation = self.generations.retrieve(provider, response_id)
        except ProviderError:
            return Step("dropped", before=job)
        known = _ours(generation, job, attempt) and generation.status in TERMINAL
        stands: Job | None = job
        for _ in range(_TRIES):
            if not known or stands is None or _correctable(stands) is None:
                break
            corrected = correct(stands, generation, model=self.catalogue.find(job.model))
            if corrected is None:
                break
            try:
                return Step("corrected", before=stands, after=self._save(stands, corrected))
            except JobChanged:
                # It was announced, or swept, just then: what it cost is the same.
                stands = self.jobs.get(job.id)
        return Step("dropped", before=job)

    def _look_again(self, job: Job, attempt: Attempt, error: ProviderError | None) -> Job:
        seconds = schedule.check_seconds(job.effort, attempt.checks + 1)
        if isinstance(error, ProviderBusy) and error.retry_after_seconds is not None:
            seconds = max(seconds, schedule.busy_seconds(0, error.retry_after_seconds))
        return job.checked(now=self.clock(), check_seconds=seconds)

    def _save(self, before: Job, after: Job) -> Job:
        try:
            self.jobs.save(before, after)
        except JobChanged:
            # A transport repeats a write whose answer was lost, and the repeat loses to the write itself. What stands
            # in the table tells: an attempt's token is random, so nobody else's step can look like ours.
            if self.jobs.get(after.id) != after:
                raise
        return after

    def _correct_rate(self, job: Job) -> None:
        """The tenant's minute was charged with an estimate; while it lasts, what was really used takes its place."""
        attempt = job.attempt
        if job.terminal and attempt is not None and not attempt.estimated:
            used = attempt.usage.total_tokens if attempt.usage is not None else 0
            self.limit.correct(job.tenant, job.model, job.created_at, self.clock(), used - job.rate_tokens)

    def _wake_later(self, job: Job) -> bool:
        """Sends the message for the job's next look. An ended job is looked at again only if its cost is an estimate
        that the provider may still correct."""
        if not job.terminal:
            return self._send(job, max(0, math.ceil((job.wake_at - self.clock()).total_seconds())))
        return _correctable(job) is None or self._send(job, schedule.LATE_ANSWER_SECONDS)

    def _send(self, job: Job, delay_seconds: int) -> bool:
        try:
            self.queue.send(job.id, tenant=job.tenant, delay_seconds=delay_seconds)
        except QueueUnavailable:
            return False
        return True


def _provider_request(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """What the provider sees: the caller's parameters without what is ours or the caller's alone, and our metadata."""
    attempt = job.opened
    private = ("afterthought", "metadata", "user", "safety_identifier", "background", "store", "stream")
    kept = {name: value for name, value in request.items() if name not in private}
    # All tenants share one account at the provider, and with it one prompt cache, which this key parts: otherwise the
    # cached tokens of one tenant's bill would tell that another had sent the same beginning.
    cache_key = f"{job.tenant}\0{kept.get('prompt_cache_key', '')}"
    return {
        **kept,
        "prompt_cache_key": hashlib.sha256(cache_key.encode()).hexdigest()[:32],
        "service_tier": job.service_tier,
        "background": True,
        "store": True,
        "metadata": {
            "afterthought_job": job.id,
            "afterthought_attempt": str(attempt.number),
            "afterthought_token": attempt.token,
        },
    }


def _correctable(job: Job) -> tuple[Attempt, str] | None:
    """The attempt whose cost is an estimate, with the provider's id by which it can be looked at."""
    attempt = job.attempt
    if attempt is None or not attempt.estimated or attempt.response_id is None:
        return None
    return attempt, attempt.response_id


def _ours(generation: Generation, job: Job, attempt: Attempt) -> bool:
    metadata = generation.metadata
    return metadata.get("afterthought_job") == job.id and metadata.get("afterthought_token") == attempt.token


def _deadline_failure() -> Failure:
    return Failure(code="deadline_exceeded", message="The job did not end before its deadline and was cancelled.")


def _overdue(job: Job, now: datetime) -> Job:
    return job.failed("deadline_exceeded", _deadline_failure().message, now=now)
