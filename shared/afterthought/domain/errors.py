"""All errors of the service."""

from collections.abc import Mapping
from typing import Any


class AfterthoughtError(Exception):
    """The base class; never raised itself."""


class RequestRefused(AfterthoughtError):
    """A request that is answered with a 4xx or a 503. No job exists, and nothing is held, queued or paid.

    (A request that loses a race for the last of a budget may leave its stored content behind; that expires.)

    - `status`: the HTTP status
    - `kind`, `code`, `param`: `error.type`, `error.code` and `error.param` of the response; `param` is the path of the
      field (`input[0].content[1].type`)
    - `retryable`: whether the same request may succeed later; sent as the header `x-should-retry`, which OpenAI's SDKs
      obey
    - `headers`: further response headers
    - `detail`: figures (JSON) shown as `error.afterthought`
    """

    status = 400
    kind = "invalid_request_error"
    code: str | None = "invalid_value"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = dict(headers or {})
        self.detail = detail
        if code is not None:
            self.code = code

    def wire(self) -> dict[str, Any]:
        """The error object of the response."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return error if self.detail is None else {**error, "afterthought": dict(self.detail)}


class InvalidRequest(RequestRefused):
    """400: a field is invalid. The message says what is allowed."""


class Unauthenticated(RequestRefused):
    """401: the API key is missing, unknown or revoked."""

    status = 401
    code = "invalid_api_key"


class MoneyRefused(RequestRefused):
    """402: the job may cost more than its own limit or its tenant's budget allows."""

    status = 402
    kind = "insufficient_quota"
    code = "budget_exceeded"


class TierRefused(RequestRefused):
    """403: the tenant's rate tier allows no requests."""

    status = 403
    code = "tier_not_supported"


class NotFound(RequestRefused):
    """404: the object does not exist or belongs to another tenant. Both cases look the same."""

    status = 404
    code = "not_found"


class IdempotencyConflict(RequestRefused):
    """409: the Idempotency-Key was used with another body."""

    status = 409
    code = "idempotency_conflict"


class BodyTooLarge(RequestRefused):
    """413: the body is larger than the limit."""

    status = 413
    code = "body_too_large"


class RateLimited(RequestRefused):
    """429: the tenant's requests or tokens of this minute are used up. `kind` says which one, as OpenAI does."""

    status = 429
    code = "rate_limit_exceeded"
    retryable = True

    def __init__(self, kind: str, message: str, *, headers: Mapping[str, str], detail: Mapping[str, Any]) -> None:
        super().__init__(message, headers=headers, detail=detail)
        self.kind = kind


class TablesBusy(RequestRefused):
    """503: every try of a transaction met a conflict on the same items. Nothing was written; a retry may succeed."""

    status = 503
    kind = "server_error"
    code = "tables_busy"
    retryable = True


class QueueUnavailable(AfterthoughtError):
    """The queue did not accept the message. The sweeper finds the job when it is overdue."""


class VersionConflict(AfterthoughtError):
    """The job was changed since it was read: its version differs. The change was not written."""


class JobExists(AfterthoughtError):
    """A job with this id exists: the request or the write is a repeat."""


class IllegalTransition(AfterthoughtError):
    """The job's state does not allow this change: a defect in the caller."""


class ProviderError(AfterthoughtError):
    """A call of a model provider failed.

    `code` is the provider's `error.code`, if there was one. `message` contains no credentials and may be shown to the
    job's owner.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


OUT_OF_FUNDS_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Provider error codes that mean: our account has no money left."""


class ProviderBusy(ProviderError):
    """The call certainly did not run, and may succeed later: rate limit, overload or no connection."""

    def __init__(self, message: str, *, code: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class ProviderRefused(ProviderError):
    """The call certainly did not run, and the same request can never succeed."""


class OutcomeUnknown(ProviderError):
    """The call may have run, and there is no usable answer. It must not be repeated blindly."""


class CallAbandoned(OutcomeUnknown):
    """A direct call was closed because its answer is no longer needed. It may have run."""


class GenerationGone(ProviderError):
    """The provider does not know a response id that it returned earlier."""


class DeliveryFailed(AfterthoughtError):
    """A webhook was not accepted: no connection, no 2xx, or a forbidden address. A retry may succeed."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
