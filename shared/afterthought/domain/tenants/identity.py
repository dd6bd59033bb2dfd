"""Ids and keys: who calls, and which job is meant."""

import hashlib
import re

from afterthought.domain.errors import InvalidRequest, NotFound, Unauthenticated

_JOB_ID = re.compile(r"resp_[0-9a-f]{48}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
TENANT_NAME = re.compile(r"[a-z0-9-]{1,40}")


def key_hash(api_key: str) -> str:
    """What is stored of an API key. A plain hash is enough: the keys are random, not chosen by people."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def bearer(authorization: str | None) -> str:
    """The key of an `Authorization: Bearer …` header (RFC 6750, section 2.1). Raises Unauthenticated."""
    scheme, _, key = (authorization or "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not 1 <= len(key) <= 256 or not key.isascii():
        raise Unauthenticated("An API key is needed: Authorization: Bearer <key>.")
    return key


def keyed_job_id(tenant: str, idempotency_key: str) -> str:
    """The id of the one job that a tenant can make with this key. Raises InvalidRequest for a key out of form."""
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.", param="Idempotency-Key")
    digest = hashlib.sha256(f"{tenant}\0{idempotency_key}".encode()).hexdigest()
    return f"resp_{digest[:48]}"


def random_job_id(random_bytes: bytes) -> str:
    """A job id from 24 random bytes."""
    return f"resp_{random_bytes.hex()}"


def known_form(job_id: str) -> str:
    """The id if it has the form of one of ours. Raises NotFound, so that no odd string ever reaches a table."""
    if not _JOB_ID.fullmatch(job_id):
        raise no_such_response(job_id)
    return job_id


def no_such_response(job_id: str) -> NotFound:
    """The one 404 for what does not exist and for what is another tenant's."""
    return NotFound(f"Response with id '{job_id[:80]}' not found.", param="response_id")
