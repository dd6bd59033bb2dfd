"""A paid call that is about to be made, and the request that the provider receives."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from afterthought.domain.jobs.attempt import Attempt
from afterthought.domain.jobs.job import Job
from afterthought.domain.models.provider import Provider
from afterthought.domain.request.admission import override
from afterthought.domain.request.body import canonical
from afterthought.domain.request.request import CreateResponse

JOB, ATTEMPT, TOKEN = "afterthought_job", "afterthought_attempt", "afterthought_token"
"""Keys of the metadata that we send. They identify the job in the provider's responses and events."""

CACHE_SALT = "cache_salt"
"""A field of direct calls that keeps the tenants' prompt caches apart. The adapter sends it, keyed, only to a provider
that supports it."""

_PRIVATE = (
    "afterthought",
    "metadata",
    "user",
    "safety_identifier",
    "background",
    "store",
    "stream",
    "prompt_cache_key",
)


class Call(NamedTuple):
    """`job` is the stored version; its newest attempt is `calling`, and only this process may make the call."""

    job: Job
    provider: Provider
    request: Mapping[str, Any]


def call_request(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request for the provider: the attempt's parameters without the private ones, plus our metadata. `request` is
    the stored request in canonical form."""
    attempt = job.called_attempt
    parameters = request if attempt.reason is None else _changed_request(job, request)
    public = {name: value for name, value in parameters.items() if name not in _PRIVATE}
    metadata = {JOB: job.id, ATTEMPT: str(attempt.number), TOKEN: attempt.token}
    return {**public, "metadata": metadata, **(_direct(job) if job.mode == "direct" else _background(job, request))}


def _changed_request(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the attempt's model, effort and `max_output_tokens`."""
    fallback = override(
        CreateResponse.model_validate(request),
        model=job.called_model,
        effort=job.called_effort,
        max_output_tokens=job.called_output_tokens,
    )
    parameters: dict[str, Any] = json.loads(canonical(fallback))
    return parameters


def _direct(job: Job) -> dict[str, Any]:
    return {"store": False, CACHE_SALT: hashlib.sha256(job.tenant.encode()).hexdigest()}


def _background(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    # All tenants share one provider account and its prompt cache. This key separates them: otherwise the cached tokens
    # on one tenant's bill would show that another tenant had sent the same prefix.
    cache_key = f"{job.tenant}\0{request.get('prompt_cache_key', '')}"
    return {
        "prompt_cache_key": hashlib.sha256(cache_key.encode()).hexdigest()[:32],
        # Another tier could cost more than the hold.
        "service_tier": job.service_tier,
        "background": True,
        "store": True,
    }


def belongs(metadata: Mapping[str, str], job: Job, attempt: Attempt) -> bool:
    """Whether the metadata of a response names this attempt."""
    return attempt.token is not None and (metadata.get(JOB), metadata.get(TOKEN)) == (job.id, attempt.token)
