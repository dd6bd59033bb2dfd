"""Sends the completion event of a job to its webhook URL, signed with the tenant's secrets."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from afterthought.domain.errors import DeliveryFailed
from afterthought.domain.webhooks import signature
from afterthought.domain.webhooks.event import CompletionEvent, endpoint_hash, webhook_id
from afterthought.services.contents import get_request
from afterthought.services.ports import Accounts, Cipher, Contents, Deliveries, JobLookup, WebhookClient


@dataclass(frozen=True)
class Delivery:
    """`failed`: retry later. `skipped`: there is no endpoint to send to, or the event was delivered before. `status` is
    the endpoint's HTTP status, None without a response."""

    outcome: Literal["delivered", "failed", "skipped"]
    tenant: str | None = None
    status: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class WebhookSender:
    jobs: JobLookup
    contents: Contents
    accounts: Accounts
    deliveries: Deliveries
    cipher: Cipher
    client: WebhookClient
    clock: Callable[[], datetime]

    def send(self, job_id: str) -> Delivery:
        """One attempt. The event derives from the job alone, so a retry has the same id and body."""
        job = self.jobs.get(job_id)
        if job is None or not job.terminal or not job.webhook:
            return Delivery("skipped", reason="no such finished job with a webhook")
        request = get_request(self.contents, job)
        tenant = self.accounts.tenant(job.tenant)
        if request is None or tenant is None:
            return Delivery("skipped", tenant=job.tenant, reason="the request or the tenant is no longer stored")
        url: str = request["afterthought"]["webhook_url"]
        endpoint = endpoint_hash(url)
        if self.deliveries.delivered(job.id, endpoint):
            return Delivery("skipped", tenant=job.tenant, reason="already delivered")
        event = CompletionEvent.of(job)
        body = event.payload()
        secrets = tuple(self.cipher.decrypt(sealed, tenant=tenant.name) for sealed in tenant.webhook_secrets)
        now = self.clock()
        headers = signature.headers(
            secrets, message_id=webhook_id(event, url), timestamp=int(now.timestamp()), body=body
        )
        try:
            status = self.client.post(url, body, headers)
        except DeliveryFailed as error:
            self.deliveries.record(job.id, endpoint, at=now, status=error.status, error=error.message)
            return Delivery("failed", tenant=job.tenant, status=error.status, reason=error.message)
        self.deliveries.record(job.id, endpoint, at=now, status=status, error=None)
        return Delivery("delivered", tenant=job.tenant, status=status)
