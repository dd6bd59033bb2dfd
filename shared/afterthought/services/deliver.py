"""Send a completion event to the endpoint that the caller named, signed with the tenant's secret."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from afterthought.domain import signature
from afterthought.domain.errors import DeliveryFailed
from afterthought.domain.event import CompletionEvent, endpoint_hash, webhook_id
from afterthought.services.contents import get_request
from afterthought.services.ports import Accounts, Cipher, Contents, Deliveries, JobLookup, Receiver


@dataclass(frozen=True)
class Delivery:
    """`delivered`, `failed` (send again later) or `dropped` (nobody to send to, or it was delivered before)."""

    outcome: Literal["delivered", "failed", "dropped"]
    tenant: str | None = None
    status: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Deliver:
    jobs: JobLookup
    contents: Contents
    accounts: Accounts
    deliveries: Deliveries
    cipher: Cipher
    receiver: Receiver
    clock: Callable[[], datetime]

    def __call__(self, job_id: str) -> Delivery:
        """One send. What is sent derives from the job alone, so a repeat sends the same id and the same bytes."""
        job = self.jobs.get(job_id)
        if job is None or not job.terminal or not job.webhook:
            return Delivery("dropped", reason="no such finished job with a webhook")
        request = get_request(self.contents, job)
        tenant = self.accounts.tenant(job.tenant)
        if request is None or tenant is None:
            return Delivery("dropped", tenant=job.tenant, reason="the request or the tenant is no longer stored")
        url: str = request["afterthought"]["webhook_url"]
        endpoint = endpoint_hash(url)
        if self.deliveries.delivered(job.id, endpoint):
            return Delivery("dropped", tenant=job.tenant, reason="delivered before")
        event = CompletionEvent.of(job)
        body = event.payload()
        secrets = tuple(self.cipher.decrypt(sealed, tenant=tenant.name) for sealed in tenant.webhook_secrets)
        now = self.clock()
        headers = signature.headers(
            secrets, message_id=webhook_id(event, url), timestamp=int(now.timestamp()), body=body
        )
        try:
            status = self.receiver.post(url, body, headers)
        except DeliveryFailed as failed:
            self.deliveries.record(job.id, endpoint, at=now, status=failed.status, error=failed.message)
            return Delivery("failed", tenant=job.tenant, status=failed.status, reason=failed.message)
        self.deliveries.record(job.id, endpoint, at=now, status=status, error=None)
        return Delivery("delivered", tenant=job.tenant, status=status)
