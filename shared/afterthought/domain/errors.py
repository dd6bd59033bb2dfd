"""The one tree of errors. Each class answers two questions: what does the caller see, and can trying again help."""

from collections.abc import Mapping
from typing import Any


class AfterthoughtError(Exception):
    """The root: nothing raises it as it is."""


class RequestRefused(AfterthoughtError):
    """A request that gets a 4xx (or a 503): there is no job, nothing is held, queued or paid. (Where several requests
    raced for the last of a budget, the losers' content is stored, belongs to nothing and expires.)

    `status` is the HTTP status; `kind` the wire's `error.type`; `code` the wire's `error.code`; `param` names the field
    at fault as a path (`input[0].content[1].type`); `retryable` says whether the same request may succeed later, and
    becomes the `x-should-retry` header that OpenAI's SDKs obey. `headers` are more of the answer's headers, `detail`
    the refusal's figures (JSON), shown as `error.afterthought`.
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
        """The wire's error object."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return error if self.detail is None else {**error, "afterthought": dict(self.detail)}


class InvalidRequest(RequestRefused):
    """400: a field is wrong; the message says what is allowed."""


class Unauthenticated(RequestRefused):
    """401: no key, or a key that is unknown or revoked."""

    status = 401
    code = "invalid_api_key"


class MoneyRefused(RequestRefused):
    """402: the job could cost more than its own cap or its tenant's budget allows."""

    status = 402
    kind = "insufficient_quota"
    code = "budget_exceeded"


class TierRefused(RequestRefused):
    """403: the tenant's rate tier admits no request at all."""

    status = 403
    code = "tier_not_supported"


class NotFound(RequestRefused):
    """404: there is no such thing, or it is another tenant's: the two must not differ."""

    status = 404
    code = "not_found"


class IdempotencyConflict(RequestRefused):
    """409: the Idempotency-Key was used with another body."""

    status = 409
    code = "idempotency_conflict"


class BodyTooLarge(RequestRefused):
    """413: the body is over the limit."""

    status = 413
    code = "body_too_large"


class RateLimited(RequestRefused):
    """429: the tenant's requests or tokens of this minute are used up. `kind` says which, as OpenAI's does."""

    status = 429
    code = "rate_limit_exceeded"
    retryable = True

    def __init__(self, kind: str, message: str, *, headers: Mapping[str, str], detail: Mapping[str, Any]) -> None:
        super().__init__(message, headers=headers, detail=detail)
        self.kind = kind


class TablesBusy(RequestRefused):
    """503: too many transactions wanted the same items at once, and none of many tries went through. Nothing of
    them was written; later will help."""

    status = 503
    kind = "server_error"
    code = "tables_busy"
    retryable = True


class QueueUnavailable(AfterthoughtError):
    """The queue did not take the message. What is due anyway is found by the sweeper."""


class VersionConflict(AfterthoughtError):
    """Somebody else wrote the job first (its version moved). Their step stands; ours is dropped."""


class JobExists(AfterthoughtError):
    """The job's id is taken already: a repeat of the same Idempotency-Key, or of the same write."""


class IllegalTransition(AfterthoughtError):
    """A step that the job's state does not allow: a defect in the caller."""


class ProviderError(AfterthoughtError):
    """What can go wrong between us and a model provider.

    `code` is the provider's `error.code` where it gave one. `message` is safe to show to the job's owner: it never
    holds a credential.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


NO_MONEY_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""With which a provider says that its customer, which is us, has no money left there."""


class ProviderBusy(ProviderError):
    """Refused for now, and certainly not run: rate limit, overload, or not reached at all. Later may help."""

    def __init__(self, message: str, *, code: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class ProviderRefused(ProviderError):
    """Refused for good, and certainly not run: the same request can never succeed."""


class OutcomeUnknown(ProviderError):
    """The request may have reached the provider and no usable answer came: it must not be blindly repeated."""


class CallAbandoned(OutcomeUnknown):
    """We gave an awaited call up: nobody wants its answer any more. It may have run."""


class GenerationGone(ProviderError):
    """The provider no longer knows a response id that it gave us."""


class DeliveryFailed(AfterthoughtError):
    """A webhook was not accepted: not reached, not 2xx, or an address that must not be called. Later may help."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
