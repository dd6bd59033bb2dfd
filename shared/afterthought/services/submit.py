"""Take a request in: keep it, hold what it can cost, and say so. After this answers, the job cannot be lost."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from afterthought.domain import admission, body, budget, identity, job
from afterthought.domain.budget import Caps, OverBudget
from afterthought.domain.errors import (
    IdempotencyConflict,
    JobExists,
    MoneyRefused,
    QueueUnavailable,
    RateLimited,
    TablesBusy,
)
from afterthought.domain.job import Job
from afterthought.domain.limits.rate_limit import RateState
from afterthought.domain.tenant import Tenant
from afterthought.services.admit import Admitted
from afterthought.services.authenticate import tenant_named
from afterthought.services.contents import put_request
from afterthought.services.limits.rate_limiter import RateLimiter
from afterthought.services.ports import Accounts, Books, Contents, JobQueue, Ledger


@dataclass(frozen=True)
class Submitted:
    """`repeated` is true when the same Idempotency-Key and body had made the job before; `enqueued` is false when the
    message could not be sent: the sweeper then sends it. `rate` is what is left of the tenant's minute; None for a
    repeat, which takes nothing of it."""

    job: Job
    request: bytes
    repeated: bool
    enqueued: bool
    rate: RateState | None = None


@dataclass(frozen=True)
class Submit:
    jobs: Ledger
    books: Books
    accounts: Accounts
    contents: Contents
    queue: JobQueue
    limit: RateLimiter
    clock: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]

    def __call__(self, tenant_name: str, admitted: Admitted, idempotency_key: str | None) -> Submitted:
        """The job that the request made, or had made before. Raises RequestRefused before anything is paid or held."""
        if idempotency_key is None:
            return self._submit(identity.random_job_id(self.random_bytes(24)), tenant_name, admitted)
        job_id = identity.keyed_job_id(tenant_name, idempotency_key)
        # Looking first spares the repeat its writes; the condition on the write is what decides.
        if (known := self.jobs.get(job_id)) is not None:
            return _repeat(known, admitted.canonical)
        try:
            return self._submit(job_id, tenant_name, admitted)
        except (MoneyRefused, RateLimited, TablesBusy):
            # What is used up may be so by this very request, sent twice at once: its job runs, and is no refusal.
            if (known := self.jobs.get(job_id)) is not None:
                return _repeat(known, admitted.canonical)
            raise

    def _submit(self, job_id: str, tenant_name: str, admitted: Admitted) -> Submitted:
        tenant = tenant_named(self.accounts, tenant_name)
        if (refusal := admitted.above_cap()) is not None:
            raise refusal
        # Read before the minute's place is taken: the estimate is put right in the minute of the job's creation, which
        # must not be one in which nothing was taken for it.
        now = self.clock()
        rate = self.limit.take(
            tenant, admitted.model.id, admitted.rate_tokens, output_tokens=admitted.rate_output_tokens
        )
        caps = budget.caps_of(tenant)
        self._look_at_budgets(tenant, caps, admitted, now)
        new = _job(job_id, tenant, admitted, now)
        put_request(self.contents, new, admitted.canonical)
        try:
            self.jobs.create(new, caps)
        except OverBudget as over:
            refusal = admitted.over_budget(over.book, caps, now.date())
            if refusal is None:
                raise
            raise refusal from over
        except JobExists:
            known = self.jobs.get(job_id)
            if known is None:
                raise
            if known != new:
                return _repeat(known, admitted.canonical)
            # A write whose answer was lost, repeated by its transport: it was ours, and has no message yet.
        return Submitted(new, admitted.canonical, repeated=False, enqueued=self._enqueue(new), rate=rate)

    def _look_at_budgets(self, tenant: Tenant, caps: Caps, admitted: Admitted, now: datetime) -> None:
        """Refuses what certainly does not fit before its content is stored. What races with others for the last of a
        budget is decided by the transaction."""
        if caps == Caps():
            return
        book = self.books.month(tenant.name, now.date().replace(day=1))
        if (refusal := admitted.over_budget(book, caps, now.date())) is not None:
            raise refusal

    def _enqueue(self, new: Job) -> bool:
        try:
            self.queue.send(new)
        except QueueUnavailable:
            # The job stands in the table and is due: the sweeper sends the message. Refusing now would be a lie.
            return False
        return True


def _job(job_id: str, tenant: Tenant, admitted: Admitted, now: datetime) -> Job:
    request = admitted.request
    return job.accept(
        id=job_id,
        tenant=tenant.name,
        model=request.model,
        effort=admitted.effort,
        max_output_tokens=request.max_output_tokens,
        service_tier=admission.service_tier(request),
        body_hash=body.body_hash(admitted.canonical),
        webhook=admitted.ours.webhook_url is not None,
        plan=admitted.plan,
        mode=admitted.mode,
        deadline_at=now + admitted.deadline,
        max_cost_usd=admitted.ours.max_cost_usd,
        on_unknown="retry" if admitted.ours.on_unknown == "retry" else None,
        on_starved="retry" if admitted.ours.on_starved == "retry" else None,
        model_policy="successor" if admitted.ours.model_policy == "successor" else None,
        rate_tokens=admitted.rate_tokens,
        tags=tuple(admitted.ours.tags or ()),
        now=now,
    )


def _repeat(known: Job, canonical: bytes) -> Submitted:
    if known.body_hash != body.body_hash(canonical):
        raise IdempotencyConflict(
            "This Idempotency-Key was used with another request. Send the same body, or another key.",
            param="Idempotency-Key",
        )
    return Submitted(known, canonical, repeated=True, enqueued=True)
