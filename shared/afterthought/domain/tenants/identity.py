"""API keys and job ids."""

import hashlib
import re

from afterthought.domain.errors import InvalidRequest, NotFound, Unauthenticated

_JOB_ID = re.compile(r"resp_[0-9a-f]{48}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
TENANT_NAME = re.compile(r"[a-z0-9-]{1,40}")


def hash_api_key(api_key: str) -> str:
    """The stored form of an API key. An unsalted hash is enough because the keys are random."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def bearer_key(authorization: str | None) -> str:
    """The key of an `Authorization: Bearer …` header (RFC 6750, section 2.1). Raises Unauthenticated."""
    scheme, _, key = (authorization or "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not 1 <= len(key) <= 256 or not key.isascii():
        raise Unauthenticated("An API key is needed: Authorization: Bearer <key>.")
    return key


def idempotent_job_id(tenant: str, idempotency_key: str) -> str:
    """The id of the only job that a tenant can create with this key. Raises InvalidRequest for a malformed key."""
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.", param="Idempotency-Key")
    digest = hashlib.sha256(f"{tenant}\0{idempotency_key}".encode()).hexdigest()
    return f"resp_{digest[:48]}"


def random_job_id(random_bytes: bytes) -> str:
    """A job id from 24 random bytes."""
    return f"resp_{random_bytes.hex()}"


def valid_job_id(job_id: str) -> str:
    """Returns the id if it is well-formed. Raises NotFound otherwise, so that no other string reaches a table."""
    if not _JOB_ID.fullmatch(job_id):
        raise response_not_found(job_id)
    return job_id


def response_not_found(job_id: str) -> NotFound:
    """The same 404 for a response that does not exist and for one of another tenant."""
    return NotFound(f"Response with id '{job_id[:80]}' not found.", param="response_id")
