"""What is announced when a job ends: OpenAI's webhook event, thin: it names the job and says no more."""

import hashlib
import json
from typing import Self

from pydantic import BaseModel, ConfigDict

from afterthought.domain.job import Job


class CompletionEvent(BaseModel):
    """`type` is `response.completed`, `.failed`, `.incomplete` or `.cancelled`; `created_at` is in seconds.
    `id` derives from the job and the type, so that the same event announced twice is seen to be the same."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    created_at: int
    job_id: str
    tenant: str
    status: str
    model: str
    webhook: bool

    @classmethod
    def of(cls, job: Job) -> Self:
        if job.finished_at is None:
            raise ValueError("a job that has not ended has no completion event")
        kind = f"response.{job.status}"
        return cls(
            id="evt_" + _digest(job.id, kind),
            type=kind,
            created_at=int(job.finished_at.timestamp()),
            job_id=job.id,
            tenant=job.tenant,
            status=job.status,
            model=job.model,
            webhook=job.webhook,
        )

    def payload(self) -> bytes:
        """The body of the webhook and of the SNS message: the same bytes at every send, so the same signature input."""
        event = {
            "id": self.id,
            "object": "event",
            "created_at": self.created_at,
            "type": self.type,
            "data": {"id": self.job_id},
        }
        return json.dumps(event, separators=(",", ":")).encode()

    def attributes(self) -> dict[str, str]:
        """What subscribers of the topic can filter by."""
        return {
            "tenant": self.tenant,
            "status": self.status,
            "model": self.model,
            "type": self.type,
            "webhook": str(self.webhook).lower(),
        }


def webhook_id(event: CompletionEvent, endpoint: str) -> str:
    """The `webhook-id` of one event to one endpoint: stable over retries, so that receivers can tell a repeat."""
    return "msg_" + _digest(event.id, endpoint)


def endpoint_hash(endpoint: str) -> str:
    """A short name for an endpoint's URL, which may itself hold a secret."""
    return _digest(endpoint)[:16]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
