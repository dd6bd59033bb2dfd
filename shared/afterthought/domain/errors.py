"""The one tree of errors. Each class answers two questions: what does the caller see, and can trying again help."""


class AfterthoughtError(Exception):
    """The root: nothing raises it as it is."""


class RequestRefused(AfterthoughtError):
    """A request that gets a 4xx (or a 503): nothing was stored, queued or paid.

    `status` is the HTTP status; `kind` the wire's `error.type`; `code` the wire's `error.code`; `param` names the field
    at fault as a path (`input[0].content[1].type`); `retryable` says whether the same request may succeed later, and
    becomes the `x-should-retry` header that OpenAI's SDKs obey.
    """

    status = 400
    kind = "invalid_request_error"
    code: str | None = "invalid_value"
    retryable = False

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class InvalidRequest(RequestRefused):
    """400: a field is wrong; the message says what is allowed."""


class Unauthenticated(RequestRefused):
    """401: no key, or a key that is unknown or revoked."""

    status = 401
    code = "invalid_api_key"


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


class QueueUnavailable(AfterthoughtError):
    """The queue did not take the message. What is due anyway is found by the sweeper."""


class JobChanged(AfterthoughtError):
    """Somebody else wrote the job first (its version moved). Their step stands; ours is dropped."""


class JobExists(AfterthoughtError):
    """The job's id is taken already: a repeat of the same Idempotency-Key, or of the same write."""


class IllegalStep(AfterthoughtError):
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


class ProviderBusy(ProviderError):
    """Refused for now, and certainly not run: rate limit, overload, or not reached at all. Later may help."""

    def __init__(self, message: str, *, code: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class ProviderRefused(ProviderError):
    """Refused for good, and certainly not run: the same request can never succeed."""


class OutcomeUnknown(ProviderError):
    """The request may have reached the provider and no usable answer came: it must not be blindly repeated."""


class GenerationGone(ProviderError):
    """The provider no longer knows a response id that it gave us."""


class DeliveryFailed(AfterthoughtError):
    """A webhook was not accepted: not reached, not 2xx, or an address that must not be called. Later may help."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
