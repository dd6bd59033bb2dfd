"""A paid call that is about to be made, and what the provider sees of it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from afterthought.domain.attempt import Attempt
from afterthought.domain.job import Job
from afterthought.domain.models.provider import Provider
from afterthought.domain.request.admission import override
from afterthought.domain.request.body import canonical
from afterthought.domain.request.request import CreateResponse

JOB, ATTEMPT, TOKEN = "afterthought_job", "afterthought_attempt", "afterthought_token"
"""What stands in the metadata of what we ask a provider for: by these its events and its answers are known as ours."""

CACHE_SALT = "cache_salt"
"""Of a call that is awaited: what parts its tenant from all others. Its adapter sends it, keyed, to a provider that
takes a salt for its cache, and to no other."""

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
    """`job` is as it stands in the table: its newest attempt is `submitting`, and this process alone may call."""

    job: Job
    provider: Provider
    request: Mapping[str, Any]


def call_request(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider sees: the caller's parameters as the attempt has them, without what is ours or the caller's
    alone, and our metadata. `request` is the stored one, in canonical form."""
    attempt = job.opened
    asked = request if attempt.because is None else _otherwise(job, request)
    kept = {name: value for name, value in asked.items() if name not in _PRIVATE}
    told = {**kept, "metadata": {JOB: job.id, ATTEMPT: str(attempt.number), TOKEN: attempt.token}}
    return {**told, **(_awaited(job) if job.mode == "direct" else _in_background(job, request))}


def _otherwise(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as an attempt has it that calls something else than was asked for."""
    other = override(
        CreateResponse.model_validate(request),
        model=job.called_model,
        effort=job.called_effort,
        max_output_tokens=job.called_output_tokens,
    )
    found: dict[str, Any] = json.loads(canonical(other))
    return found


def _awaited(job: Job) -> dict[str, Any]:
    # What is awaited on the line is not kept there.
    return {"store": False, CACHE_SALT: hashlib.sha256(job.tenant.encode()).hexdigest()}


def _in_background(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    # All tenants share one account at the provider, and with it one prompt cache, which this key parts: otherwise the
    # cached tokens of one tenant's bill would tell that another had sent the same beginning.
    cache_key = f"{job.tenant}\0{request.get('prompt_cache_key', '')}"
    return {
        "prompt_cache_key": hashlib.sha256(cache_key.encode()).hexdigest()[:32],
        # Pinned, or the bound would be false.
        "service_tier": job.service_tier,
        "background": True,
        "store": True,
    }


def belongs(metadata: Mapping[str, str], job: Job, attempt: Attempt) -> bool:
    """Whether what a provider gave is of that attempt, by the metadata that came back with it."""
    return attempt.token is not None and (metadata.get(JOB), metadata.get(TOKEN)) == (job.id, attempt.token)
