"""Model providers that speak OpenAI's Responses API, through OpenAI's own SDK.

The SDK's retries are off: it sends no idempotency key of its own, so a repeated create could be paid twice. Its raw
responses are read here, since what a provider answers is checked before it is believed. The error classes follow
https://platform.openai.com/docs/guides/error-codes.
"""

import email.utils
import math
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NoReturn

import httpx2
import openai
from openai import OpenAI
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from afterthought.adapters.provider_secrets import Connection, ProviderSecrets
from afterthought.domain.errors import GenerationGone, OutcomeUnknown, ProviderBusy, ProviderRefused
from afterthought.domain.job import Status
from afterthought.domain.pricing import Usage
from afterthought.domain.provider import Provider
from afterthought.services.ports import Generation

TIMEOUT = httpx2.Timeout(connect=5.0, write=8.0, read=15.0, pool=5.0)
"""Background calls answer at once. The limits hold for each operation, 28 s together: far below the submit lease, so
that a worker outlives its call."""

_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_NO_MONEY_WAIT_SECONDS = 300.0
_MOST_CODE_CHARACTERS = 64
_MOST_MESSAGE_CHARACTERS = 500


class OpenAIResponses:
    """The port `Generations`."""

    def __init__(self, secrets: ProviderSecrets, timeout: httpx2.Timeout = TIMEOUT) -> None:
        self._secrets = secrets
        self._timeout = timeout
        self._clients: dict[tuple[str, Connection], OpenAI] = {}

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        connection = self._secrets.connection(provider.name)
        client = self._client(provider, connection)
        try:
            raw = client.responses.with_raw_response.create(**request)
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, _NOT_SENT):
                raise ProviderBusy("The provider could not be reached.", code="unreachable") from error
            raise OutcomeUnknown("The provider was called and no answer came.", code="no_answer") from error
        except openai.AuthenticationError as error:
            # A key that was replaced in the secret a moment ago must not cost the jobs that still met the old one.
            if self._secrets.connection(provider.name, fresh=True) != connection:
                raise ProviderBusy("The provider's key has just changed.", retry_after_seconds=1.0) from error
            _raise_refusal(error)
        except openai.APIStatusError as error:
            _raise_refusal(error)
        return _generation(raw.content)

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        client = self._client(provider, self._secrets.connection(provider.name))
        return _look(lambda: client.responses.with_raw_response.retrieve(response_id).content)

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        client = self._client(provider, self._secrets.connection(provider.name))
        try:
            return _look(lambda: client.responses.with_raw_response.cancel(response_id).content)
        except ProviderRefused:
            # What has ended already cannot be cancelled: it stands as it ended.
            return self.retrieve(provider, response_id)

    def _client(self, provider: Provider, connection: Connection) -> OpenAI:
        key = (provider.name, connection)
        if key not in self._clients:
            self._clients[key] = OpenAI(
                api_key=connection.api_key.get_secret_value(),
                base_url=connection.base_url or provider.base_url,
                max_retries=0,
                timeout=self._timeout,
            )
        return self._clients[key]


def _look(ask: Callable[[], bytes]) -> Generation:
    try:
        content = ask()
    except openai.APIConnectionError as error:
        raise ProviderBusy("The provider could not be reached.", code="unreachable") from error
    except openai.NotFoundError as error:
        raise GenerationGone("The provider no longer knows this response.", code=_code(error)) from error
    except openai.APIStatusError as error:
        _raise_refusal(error)
    return _generation(content)


def _raise_refusal(error: openai.APIStatusError) -> NoReturn:
    status, code = error.status_code, _code(error)
    retry_after = _retry_after(error.response.headers)
    if code in _NO_MONEY:
        wait = max(retry_after or 0.0, _NO_MONEY_WAIT_SECONDS)
        raise ProviderBusy("The provider account has no money left.", code=code, retry_after_seconds=wait) from error
    if status in (429, 503):
        raise ProviderBusy(f"The provider is busy ({status}).", code=code, retry_after_seconds=retry_after) from error
    if status in (401, 403):
        # The provider's own text can hold a piece of the key.
        raise ProviderRefused(f"The provider refused the service's credentials ({status}).", code=code) from error
    if 400 <= status < 500 and status != 408:
        raise ProviderRefused(_message(error), code=code) from error
    raise OutcomeUnknown(f"The provider failed ({status}); the call may have run.", code=code) from error


def _code(error: openai.APIStatusError) -> str | None:
    """The provider's `error.code`, which the SDK has made a string of, whatever a gateway put there."""
    return _clip(error.code or None, _MOST_CODE_CHARACTERS)


def _message(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    told = body.get("message")
    if not isinstance(told, str) or not told:
        return f"The provider refused the request ({error.status_code})."
    return told[:_MOST_MESSAGE_CHARACTERS]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `Retry-After` in either of its forms (RFC 9110, section 10.2.3)."""
    given = headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(given)
        except (ValueError, OverflowError):
            return None
        seconds = at.timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None


class _Details(BaseModel):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    input_tokens: int
    input_tokens_details: _Details | None = None
    output_tokens: int
    output_tokens_details: _Details | None = None


class _Error(BaseModel):
    code: str | None = None
    message: str | None = None


class _Incomplete(BaseModel):
    reason: Annotated[str, Field(max_length=256)] | None = None


class _Response(BaseModel):
    """What is read of a provider's response; all else in it is left alone."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(min_length=1, max_length=256)
    status: Status
    metadata: dict[str, str] | None = None
    model: Annotated[str, Field(max_length=256)] | None = None
    service_tier: str | None = None
    output: tuple[dict[str, Any], ...] = ()
    usage: _Usage | None = None
    error: _Error | None = None
    incomplete_details: _Incomplete | None = None


def _generation(content: bytes) -> Generation:
    try:
        wire = _Response.model_validate_json(content)
    except ValidationError:
        # The chain is cut: it would show the answer's text.
        raise OutcomeUnknown("The provider's answer could not be read.", code="bad_answer") from None
    return Generation(
        response_id=wire.id,
        status=wire.status,
        metadata=wire.metadata or {},
        model=wire.model,
        service_tier=wire.service_tier,
        usage=_usage(wire.usage),
        output=wire.output,
        # Both come to stand in the job's STATE, which must stay small.
        error_code=_clip(wire.error.code, _MOST_CODE_CHARACTERS) if wire.error else None,
        error_message=_clip(wire.error.message, _MOST_MESSAGE_CHARACTERS) if wire.error else None,
        incomplete_reason=wire.incomplete_details.reason if wire.incomplete_details else None,
    )


def _clip(text: str | None, most: int) -> str | None:
    return None if text is None else text[:most]


def _usage(wire: _Usage | None) -> Usage | None:
    if wire is None:
        return None
    read, written = wire.input_tokens_details or _Details(), wire.output_tokens_details or _Details()
    try:
        return Usage(
            input_tokens=wire.input_tokens,
            cached_input_tokens=read.cached_tokens or 0,
            cache_write_tokens=read.cache_write_tokens or 0,
            output_tokens=wire.output_tokens,
            reasoning_tokens=written.reasoning_tokens or 0,
        )
    except ValidationError:
        # Counts that contradict each other are no usage to bill by.
        return None
