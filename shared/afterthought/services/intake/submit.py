"""Submission: stores a request, holds its maximum cost and queues the job. After that the job cannot be lost."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.domain.errors import (
    IdempotencyConflict,
    JobExists,
    MoneyRefused,
    RateLimited,
    TablesBusy,
)
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.ledger import budget
from afterthought.domain.ledger.budget import Caps, OverBudget
from afterthought.domain.limits.rate_limit import RateState
from afterthought.domain.request import admission, body
from afterthought.domain.tenants import identity
from afterthought.domain.tenants.tenant import Tenant
from afterthought.services.contents import put_request
from afterthought.services.intake.admit import AdmittedRequest
from afterthought.services.intake.authenticate import load_tenant
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.ports import Accounts, Contents, JobQueue, JobStore, Ledger
from afterthought.services.run.wake import send_wakeup


@dataclass(frozen=True)
class Submission:
    """A submitted job.

    - `repeated`: the job existed, created with the same Idempotency-Key and body
    - `enqueued`: false if the message could not be sent; the sweeper then sends it
    - `rate`: the state of the tenant's rate limit; None for a repeat, which does not count
    """

    job: Job
    request: bytes
    repeated: bool
    enqueued: bool
    rate: RateState | None = None


@dataclass(frozen=True)
class Intake:
    jobs: JobStore
    ledger: Ledger
    accounts: Accounts
    contents: Contents
    queue: JobQueue
    rate_limiter: RateLimiter
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]

    def submit(self, tenant_name: str, admitted: AdmittedRequest, idempotency_key: str | None) -> Submission:
        """Creates the job, or returns the job of an earlier equal request. Raises RequestRefused, with nothing held."""
        if idempotency_key is None:
            return self._create(identity.random_job_id(self.random_bytes(24)), tenant_name, admitted)
        job_id = identity.idempotent_job_id(tenant_name, idempotency_key)
        # This read only saves writes for a repeat. The condition on the write decides.
        if (existing := self.jobs.get(job_id)) is not None:
            return _repeat(existing, admitted.canonical)
        try:
            return self._create(job_id, tenant_name, admitted)
        except (MoneyRefused, RateLimited, TablesBusy):
            # A concurrent equal request may have used up the limit. Its job is then the result of both.
            if (existing := self.jobs.get(job_id)) is not None:
                return _repeat(existing, admitted.canonical)
            raise

    def _create(self, job_id: str, tenant_name: str, admitted: AdmittedRequest) -> Submission:
        tenant = load_tenant(self.accounts, tenant_name)
        if (refusal := admitted.max_cost_refusal()) is not None:
            raise refusal
        # Read the clock before the rate limiter does: settlement corrects the estimate in the minute of `created_at`,
        # so the estimate must be counted in that minute or a later one.
        now = self.clock()
        rate = self.rate_limiter.take(
            tenant, admitted.model.id, admitted.rate_tokens, output_tokens=admitted.rate_output_tokens
        )
        caps = budget.caps_of(tenant)
        self._check_budgets(tenant, caps, admitted, now)
        new = _job(job_id, tenant, admitted, now)
        put_request(self.contents, new, admitted.canonical)
        try:
            self.jobs.create(new, caps)
        except OverBudget as over:
            refusal = admitted.budget_refusal(over.balance, caps, now.date())
            if refusal is None:
                raise
            raise refusal from over
        except JobExists:
            existing = self.jobs.get(job_id)
            if existing is None:
                raise
            if existing != new:
                return _repeat(existing, admitted.canonical)
            # The transport repeated our own write after its answer was lost. The job has no message yet.
        return Submission(new, admitted.canonical, repeated=False, enqueued=send_wakeup(self.queue, new), rate=rate)

    def _check_budgets(self, tenant: Tenant, caps: Caps, admitted: AdmittedRequest, now: datetime) -> None:
        """Refuses a request over budget before its content is stored. The transaction decides between racing ones."""
        if caps == Caps():
            return
        balance = self.ledger.month(tenant.name, now.date().replace(day=1))
        if (refusal := admitted.budget_refusal(balance, caps, now.date())) is not None:
            raise refusal


def _job(job_id: str, tenant: Tenant, admitted: AdmittedRequest, now: datetime) -> Job:
    request, options = admitted.request, admitted.options
    spec = JobSpec(
        id=job_id,
        tenant=tenant.name,
        model=request.model,
        effort=admitted.effort,
        max_output_tokens=request.max_output_tokens,
        service_tier=admission.service_tier(request),
        body_hash=body.body_hash(admitted.canonical),
        webhook=options.webhook_url is not None,
        mode=admitted.mode,
        deadline_at=now + admitted.deadline,
        max_cost_usd=options.max_cost_usd,
        on_unknown="retry" if options.on_unknown == "retry" else None,
        on_starved="retry" if options.on_starved == "retry" else None,
        model_policy="successor" if options.model_policy == "successor" else None,
        rate_tokens=admitted.rate_tokens,
        tags=tuple(options.tags or ()),
        created_at=now,
    )
    return Job.create(spec, admitted.call_spec)


def _repeat(existing: Job, canonical: bytes) -> Submission:
    if existing.body_hash != body.body_hash(canonical):
        raise IdempotencyConflict(
            "This Idempotency-Key was used with another request. Send the same body, or another key.",
            param="Idempotency-Key",
        )
    return Submission(existing, canonical, repeated=True, enqueued=True)
