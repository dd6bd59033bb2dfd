"""Reads and writes the contents of a job: its request and the answers of its attempts."""

import json
from typing import Any

from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.schedule import CONTENT_RETENTION
from afterthought.domain.wire.response import Answer
from afterthought.services.ports import Contents


def put_request(contents: Contents, job: Job, canonical: bytes) -> None:
    """Call this before the job is created. Content without a job is harmless and expires."""
    contents.put(job.id, f"INPUT#{job.body_hash}", canonical, expires_at=job.created_at + CONTENT_RETENTION)


def get_request(contents: Contents, job: Job) -> dict[str, Any] | None:
    """The request in canonical form, or None if it has expired."""
    content = contents.get(job.id, f"INPUT#{job.body_hash}")
    return None if content is None else json.loads(content)


def put_answer(contents: Contents, job: Job, number: int, answer: Answer) -> None:
    """Call this before the outcome is written."""
    content = answer.model_dump_json(exclude_none=False).encode()
    contents.put(job.id, f"OUTPUT#{number}", content, expires_at=job.created_at + CONTENT_RETENTION)


def get_answer(contents: Contents, job: Job) -> Answer | None:
    """The answer of the last attempt if it is settled; None if there is none or it has expired."""
    attempt = job.attempt
    if attempt is None or attempt.state != "settled":
        return None
    content = contents.get(job.id, f"OUTPUT#{attempt.number}")
    return None if content is None else Answer.model_validate_json(content)
