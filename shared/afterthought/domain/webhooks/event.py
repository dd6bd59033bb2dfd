"""The completion event of a job: OpenAI's webhook event, which names the response and has no content."""

import hashlib
import json
from typing import Self

from pydantic import BaseModel, ConfigDict

from afterthought.domain.jobs.job import Job


class CompletionEvent(BaseModel):
    """`type` is `response.completed`, `.failed`, `.incomplete` or `.cancelled`; `created_at` is in seconds. `id`
    derives from the job and the type, so that receivers can recognise a repeated event."""

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
        event_type = f"response.{job.status}"
        return cls(
            id="evt_" + _digest(job.id, event_type),
            type=event_type,
            created_at=int(job.finished_at.timestamp()),
            job_id=job.id,
            tenant=job.tenant,
            status=job.status,
            model=job.model,
            webhook=job.webhook,
        )

    def payload(self) -> bytes:
        """The body of the webhook and of the SNS message. The bytes are the same for every send."""
        event = {
            "id": self.id,
            "object": "event",
            "created_at": self.created_at,
            "type": self.type,
            "data": {"id": self.job_id},
        }
        return json.dumps(event, separators=(",", ":")).encode()

    def attributes(self) -> dict[str, str]:
        """SNS message attributes, for the filter policies of subscribers."""
        return {
            "tenant": self.tenant,
            "status": self.status,
            "model": self.model,
            "type": self.type,
            "webhook": str(self.webhook).lower(),
        }


def webhook_id(event: CompletionEvent, url: str) -> str:
    """The `webhook-id` header: stable over retries, so that receivers can recognise a repeat."""
    return "msg_" + _digest(event.id, url)


def endpoint_hash(url: str) -> str:
    """A short name for a webhook URL. The URL itself may contain a secret."""
    return _digest(url)[:16]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
