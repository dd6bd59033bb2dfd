"""Model providers with OpenAI's Responses API, called through OpenAI's SDK.

SDK retries are off: the SDK sends no idempotency key, so a repeated create could be paid twice. Raw responses are read,
because a provider's response is validated here. Errors follow https://platform.openai.com/docs/guides/error-codes.
"""

import asyncio
import email.utils
import hmac
import json
import math
import socket
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from afterthought.adapters import generation
from afterthought.adapters.provider_secrets import Connection, ProviderSecrets
from afterthought.domain.errors import (
    OUT_OF_FUNDS_CODES,
    GenerationGone,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
)
from afterthought.domain.jobs.call import CACHE_SALT
from afterthought.domain.jobs.generation import Generation
from afterthought.domain.jobs.status import TERMINAL
from afterthought.domain.models.provider import Provider

if TYPE_CHECKING:
    import ssl

TIMEOUT = httpx2.Timeout(connect=5.0, write=8.0, read=15.0, pool=5.0)
"""Background calls return at once. Each limit is for one operation; together they are 28 s, far below the call lease,
so that a worker outlives its call."""

_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_NO_MONEY_WAIT_SECONDS = 300.0
_MODEL_NOT_FOUND = "model_not_found"
_INVALID_URL = "Invalid URL"
"""The start of OpenAI's 404 message for an unknown path, such as a base URL without its `/v1`."""
_NOT_FOUND_TYPES = frozenset({"NotFoundError", "not_found_error"})
"""The `error.type` with which vLLM and Ollama report a missing model. Their code is the status or absent."""

# A connection is silent while a model thinks, and a NAT gateway drops a connection that is idle for 350 s.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)
    ),
]


class OpenAIResponses:
    """The ports `Generations` and `AsyncGenerations`."""

    def __init__(self, secrets: ProviderSecrets, timeout: httpx2.Timeout = TIMEOUT) -> None:
        self._secrets = secrets
        self._timeout = timeout
        self._clients: dict[tuple[str, Connection], OpenAI] = {}

    def sends_events(self, provider: Provider) -> bool:
        """Whether the provider's entry in the secret has a webhook secret. False while the secret cannot be read: that
        costs extra polls, while a wrong True could leave a job without any."""
        try:
            connection = self._secrets.connection(provider.name)
        except ProviderBusy:
            return False
        return bool(connection.webhook_secrets)

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        connection = self._secrets.connection(provider.name)
        try:
            raw = self._client(provider, connection).responses.with_raw_response.create(
                **_provider_request(provider, connection, request)
            )
        except openai.APIError as error:
            raise self._rotated(provider, connection, error) or _provider_error(error, connection) from error
        return generation.read(raw.content, provider, _secrets(connection))

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        """Opens a new connection: the server could close a reused one just as the call is sent, and the outcome would
        be unknown."""
        connection = await asyncio.to_thread(self._secrets.connection, provider.name)
        try:
            async with (
                asyncio.timeout(provider.direct_seconds),
                _direct_client(provider, connection, self._timeout) as client,
            ):
                raw = await client.responses.with_raw_response.create(
                    **_provider_request(provider, connection, request)
                )
        except TimeoutError as error:
            message = f"The provider did not respond within {provider.direct_seconds} s; the call may have run."
            raise OutcomeUnknown(message, code="no_answer") from error
        except openai.APIError as error:
            rotated = await asyncio.to_thread(self._rotated, provider, connection, error)
            raise rotated or _provider_error(error, connection) from error
        result = generation.read(raw.content, provider, _secrets(connection))
        if result.status not in TERMINAL:
            raise OutcomeUnknown("The provider returned a response that has not ended.", code="not_ended")
        return result

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        connection = self._secrets.connection(provider.name)
        client = self._client(provider, connection)
        content = _poll(lambda: client.responses.with_raw_response.retrieve(response_id).content, connection)
        return generation.read(content, provider, _secrets(connection))

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        connection = self._secrets.connection(provider.name)
        client = self._client(provider, connection)
        try:
            content = _poll(lambda: client.responses.with_raw_response.cancel(response_id).content, connection)
        except ProviderRefused:
            # A response that has ended cannot be cancelled.
            return self.retrieve(provider, response_id)
        return generation.read(content, provider, _secrets(connection))

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

    def _rotated(self, provider: Provider, connection: Connection, error: openai.APIError) -> ProviderBusy | None:
        """A key that was just replaced in the secret must not fail the jobs that used the cached one."""
        if not isinstance(error, openai.AuthenticationError):
            return None
        if self._secrets.connection(provider.name, fresh=True) == connection:
            return None
        return ProviderBusy("The provider's key has just changed.", retry_after_seconds=1.0)


def _direct_client(provider: Provider, connection: Connection, timeout: httpx2.Timeout) -> AsyncOpenAI:
    """A client for one call, without a read timeout: the caller limits the whole call."""
    no_read_timeout = httpx2.Timeout(connect=timeout.connect, write=timeout.write, pool=timeout.pool, read=None)
    transport = httpx2.AsyncHTTPTransport(verify=_ssl_context(), socket_options=_KEEP_ALIVE)
    return AsyncOpenAI(
        api_key=connection.api_key.get_secret_value(),
        base_url=connection.base_url or provider.base_url,
        max_retries=0,
        timeout=no_read_timeout,
        http_client=DefaultAsyncHttpxClient(transport=transport, timeout=no_read_timeout),
    )


@cache
def _ssl_context() -> "ssl.SSLContext":
    """Once per process: loading the certificates takes about 25 ms, which each of many concurrent calls would pay."""
    return httpx2.create_ssl_context()


def _provider_request(provider: Provider, connection: Connection, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the provider's own name of the model, and with a cache salt if the provider supports one."""
    body = {name: value for name, value in request.items() if name != CACHE_SALT}
    body["model"] = provider.name_of(str(request["model"]))
    if not provider.cache_salt or CACHE_SALT not in request:
        return body
    # An HMAC, so that a tenant's name alone does not reveal its salt. The SDK has no parameter for the salt.
    key = connection.api_key.get_secret_value().encode()
    salt = hmac.new(key, str(request[CACHE_SALT]).encode(), "sha256").hexdigest()
    return {**body, "extra_body": {CACHE_SALT: salt}}


def _poll(call: Callable[[], bytes], connection: Connection) -> bytes:
    """The content that `call` returns, with the SDK's errors translated. The call is free, so it can be repeated."""
    try:
        return call()
    except openai.APIConnectionError as error:
        raise ProviderBusy("The provider could not be reached.", code="unreachable") from error
    except openai.NotFoundError as error:
        if not _is_provider_404(error):
            raise ProviderBusy("The provider could not be reached.", code="unreachable") from error
        raise GenerationGone("The provider no longer has this response.", code=_code(error)) from error
    except openai.APIError as error:
        raise _provider_error(error, connection) from error


def _is_provider_404(error: openai.NotFoundError) -> bool:
    """Whether a 404 comes from the provider's API and not from a gateway or a wrong base URL, which would end every
    running job."""
    try:
        body = json.loads(error.response.content)
    except (ValueError, RecursionError):
        return False
    # Not the SDK's `error.body`, which is the whole body when it has no `error`.
    details = body.get("error") if isinstance(body, dict) else None
    message = details.get("message") if isinstance(details, dict) else None
    return isinstance(message, str) and message != "" and not message.startswith(_INVALID_URL)


def _provider_error(error: openai.APIError, connection: Connection) -> ProviderError:
    """The SDK's error as one of ours."""
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error.__cause__, _NOT_SENT):
            return ProviderBusy("The provider could not be reached.", code="unreachable")
        return OutcomeUnknown("The provider was called but did not respond.", code="no_answer")
    status, code = error.status_code, _code(error)
    retry_after = _retry_after(error.response.headers)
    if code in OUT_OF_FUNDS_CODES:
        wait = max(retry_after or 0.0, _NO_MONEY_WAIT_SECONDS)
        return ProviderBusy("The provider account has no money left.", code=code, retry_after_seconds=wait)
    if status in (429, 503):
        return ProviderBusy(f"The provider is busy ({status}).", code=code, retry_after_seconds=retry_after)
    if status in (401, 403):
        # The provider's message can contain a part of the key.
        return ProviderRefused(f"The provider refused the service's credentials ({status}).", code=code)
    if 400 <= status < 500 and status != 408:
        return ProviderRefused(_message(error, connection), code=code)
    return OutcomeUnknown(f"The provider failed ({status}); the call may have run.", code=code)


def _code(error: openai.APIStatusError) -> str | None:
    """The provider's `error.code`. The SDK converts it to a string."""
    if error.status_code == 404 and isinstance(error.type, str) and error.type in _NOT_FOUND_TYPES:
        return _MODEL_NOT_FOUND
    # Some servers repeat the HTTP status as the code.
    return None if error.code == str(error.status_code) else generation.code(error.code)


def _message(error: openai.APIStatusError, connection: Connection) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    text = body.get("message")
    if not isinstance(text, str) or not text:
        return f"The provider refused the request ({error.status_code})."
    return generation.message(text, _secrets(connection))


def _secrets(connection: Connection) -> tuple[str, ...]:
    """Values of the connection that an error message of the provider could contain."""
    host = urlsplit(connection.base_url or "").netloc
    return (connection.api_key.get_secret_value(), host)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `Retry-After` as a number or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = at.timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None
